// What a change row covers beside its content: titles, tags, types, members. From a fleet level on, each change carries
// a hash of the rest of the state that it made, and the chain covers that hash (replication.md 3).

import { sha256Hex } from "../lib/sha256.ts";

/** The fleet level from which on changes carry a state hash. Rows below it have "" and stay verifiable. */
export const STATE_HASH_LEVEL = 3;

/** Returns the hash of these values in this order, 64 hex digits. */
export function stateHash(values: readonly (string | number)[]): string {
  return sha256Hex(JSON.stringify(values));
}
