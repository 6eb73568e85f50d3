// The secret of a fleet that seals its backups (security.md 11): one random key for each fleet id, in the table `meta`
// of every full member. It leaves a node only in copies for peers and in a key file; never in backups, exports, answers
// or logs.

import { randomBytes } from "node:crypto";
import type { Reader, Writer } from "../store/store.ts";
import { listMeta, writeMetaNamed } from "./meta.ts";

/** Keys by fleet id, each as 64 hex digits. */
export type FleetKeys = ReadonlyMap<string, string>;

/** Returns a new key. */
export function newFleetKey(): string {
  return randomBytes(32).toString("hex");
}

/** Writes the key of a fleet. */
export function writeFleetKey(tx: Writer, fleetId: string, key: string): void {
  writeMetaNamed(tx, "key:", fleetId, key);
}

/** Returns the keys of a store: of its fleet, and of those whose history it continues. */
export function fleetKeys(reader: Reader): FleetKeys {
  return new Map(listMeta(reader, "key:"));
}

/** Removes all keys and returns them. For copies that leave the fleet. */
export function takeFleetKeys(tx: Writer): FleetKeys {
  const keys = fleetKeys(tx);
  for (const fleetId of keys.keys()) writeMetaNamed(tx, "key:", fleetId, undefined);
  return keys;
}
