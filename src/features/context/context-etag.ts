// ETags of contexts (replication.md 2): version and content hash, both must match. How conditions are compared is
// lib/etag.ts.

import { sha256Hex } from "../../lib/sha256.ts";

/** `7-1f3a9c0b22de`: the version and the first 12 hex digits of the content's SHA-256, without quotes. */
export function etagOf(version: number, hash: string): string {
  return `${version}-${hash.slice(0, 12)}`;
}

/** Reports whether the hash in an etag is that of this text. */
export function namesContent(etag: string, content: string): boolean {
  const hash = sha256Hex(content);
  return hash.startsWith(etag.slice(etag.indexOf("-") + 1));
}
