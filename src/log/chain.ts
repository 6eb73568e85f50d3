// The hash chain over change rows (replication.md 3): each row's hash covers the one before and every field, each length-prefixed; the forwarding node last, where there is one.

import { Sha256 } from "../lib/sha256.ts";
import type { Change } from "./changes.ts";

/** SHA-256 over the previous hash and the fields, as 32 bytes; numbers go in as decimal text, every part behind its byte length (u32, big endian). */
export function chainHash(previous: Uint8Array, fields: Change): Uint8Array {
  const hasher = new Sha256();
  const parts = [
    fields.epoch,
    fields.seq,
    fields.timeMs,
    fields.caller,
    fields.operation,
    fields.target,
    fields.version,
    fields.contentHash,
    fields.outcome,
    // Only where there is one: chains of before, none of whose changes was forwarded, stay what they were.
    ...(fields.via === "" ? [] : [fields.via]),
  ];
  add(hasher, previous);
  for (const part of parts) add(hasher, Buffer.from(String(part), "utf8"));
  return hasher.bytes();
}

function add(hasher: Sha256, bytes: Uint8Array): void {
  const length = Buffer.allocUnsafe(4);
  length.writeUInt32BE(bytes.byteLength);
  hasher.update(length);
  hasher.update(bytes);
}
