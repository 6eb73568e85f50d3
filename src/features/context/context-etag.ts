// ETags of contexts (replication.md 2): version and content hash. lib/etag.ts parses and compares them.

import { sha256Hex } from "../../lib/sha256.ts";

/** Returns `7-1f3a9c0b22de`: version and first 12 hex digits of the content's SHA-256, without quotes. */
export function etagOf(version: number, hash: string): string {
  return `${version}-${hash.slice(0, 12)}`;
}

/** Reports whether the hash in an etag is the hash of `content`. */
export function namesContent(etag: string, content: string): boolean {
  const hash = sha256Hex(content);
  return hash.startsWith(etag.slice(etag.indexOf("-") + 1));
}
