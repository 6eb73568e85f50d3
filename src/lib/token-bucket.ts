// A rate limit: one bucket of tokens per key, which refills steadily. The number of keys is bounded; the least recently
// used is dropped first.

import { LRUCache } from "lru-cache";

interface Bucket {
  tokens: number;
  atMs: number;
}

/** The rate limits of many keys. */
export class TokenBuckets {
  readonly #buckets: LRUCache<string, Bucket>;
  readonly #nowMs: () => number;

  constructor(options: { maxKeys: number; nowMs: () => number }) {
    this.#buckets = new LRUCache({ max: options.maxKeys });
    this.#nowMs = options.nowMs;
  }

  /**
   * Takes one token of `key`, whose bucket holds `most` and refills `perMinute`. Returns 0, or the ms to wait until
   * there is one.
   */
  take(key: string, perMinute: number, most = perMinute): number {
    const now = this.#nowMs();
    const perMs = perMinute / 60_000;
    const bucket = this.#buckets.get(key) ?? { tokens: most, atMs: now };
    bucket.tokens = Math.min(most, bucket.tokens + Math.max(0, now - bucket.atMs) * perMs);
    bucket.atMs = now;
    this.#buckets.set(key, bucket);
    if (bucket.tokens < 1) return Math.ceil((1 - bucket.tokens) / perMs);
    bucket.tokens -= 1;
    return 0;
  }

  /** Takes further tokens of a key that had one. It may come to owe them, at most a minute's worth. */
  owe(key: string, perMinute: number, tokens: number): void {
    const bucket = this.#buckets.get(key);
    if (bucket !== undefined) bucket.tokens = Math.max(-perMinute, bucket.tokens - tokens);
  }
}
