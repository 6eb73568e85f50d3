// The hash chain over change rows (replication.md 3). Each hash covers the previous one and every field, each with its
// length in front; the forwarding node, the state hash, the claim of the client and the agent come last, where there
// are any.

import { Sha256 } from "../lib/sha256.ts";
import type { Change } from "./changes.ts";

/**
 * Returns the SHA-256 over the previous hash, the fields and the state hash ("" below its level), 32 bytes. Numbers are
 * hashed as decimal text, and every part has its byte length in front (u32, big endian).
 */
export function chainHash(previous: Uint8Array, fields: Change, state: string): Uint8Array {
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
    ...lastParts(fields, state),
  ];
  add(hasher, previous);
  for (const part of parts) add(hasher, Buffer.from(String(part), "utf8"));
  return hasher.bytes();
}

/**
 * Returns the parts that are left out where they are empty, so that chains written before these existed keep their
 * hashes. No two rows have the same parts: with an agent there are four, with a client three, with a state hash two,
 * else at most one.
 */
function lastParts({ via, client = "", agent = "" }: Change, state: string): readonly string[] {
  if (agent !== "") return [via, state, client, agent];
  if (client !== "") return [via, state, client];
  if (state !== "") return [via, state];
  return via === "" ? [] : [via];
}

function add(hasher: Sha256, bytes: Uint8Array): void {
  const length = Buffer.allocUnsafe(4);
  length.writeUInt32BE(bytes.byteLength);
  hasher.update(length);
  hasher.update(bytes);
}
