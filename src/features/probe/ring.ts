// The last results of probes on this member, in memory: writes for each would wear SD cards.

/** One result. */
export interface KeptResult {
  atMs: number;
  good: boolean;
  latencyMs: number | undefined;
  value: number | undefined;
  detail: string;
}

/** Results that are kept of one probe. */
export const MAX_KEPT = 120;
const MAX_DETAIL = 200;

/** The last results of one probe, oldest first. */
export class Ring {
  readonly #kept: KeptResult[] = [];

  add({ detail, ...result }: KeptResult): void {
    if (this.#kept.length >= MAX_KEPT) this.#kept.shift();
    this.#kept.push({ ...result, detail: result.good ? "" : detail.slice(0, MAX_DETAIL) });
  }

  list(): readonly KeptResult[] {
    return this.#kept;
  }
}
