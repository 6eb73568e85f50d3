// The hash chain over change rows (replication.md 3). Each hash covers the previous one and every field, each with its
// length in front; the forwarding node, the state hash, the claim of the client and the agent come last, where there
// are any.

import { sha256 } from "../lib/sha256.ts";
import type { Change } from "./changes.ts";

/**
 * Returns the SHA-256 over the previous hash, the fields and the state hash ("" below its level), 32 bytes. Numbers are
 * hashed as decimal text, and every part has its byte length in front (u32, big endian).
 */
export function chainHash(previous: Uint8Array, fields: Change, state: string): Uint8Array {
  const { epoch, seq, timeMs, caller, operation, target, version, contentHash, outcome } = fields;
  const first = [epoch, seq, timeMs, caller, operation, target, version, contentHash, outcome];
  return sha256(framed([previous, ...first.map(String), ...lastParts(fields, state)]));
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

/** Returns the parts in one piece, which is hashed in a fraction of the time of one call for each. */
function framed(parts: readonly (Uint8Array | string)[]): Uint8Array {
  const lengths = parts.map((part) => (typeof part === "string" ? Buffer.byteLength(part, "utf8") : part.byteLength));
  const bytes = Buffer.allocUnsafe(lengths.reduce((sum, length) => sum + length + 4, 0));
  let at = 0;
  for (const [index, part] of parts.entries()) {
    const length = lengths[index] ?? 0;
    at = bytes.writeUInt32BE(length, at);
    if (typeof part === "string") bytes.write(part, at, "utf8");
    else bytes.set(part, at);
    at += length;
  }
  return bytes;
}
