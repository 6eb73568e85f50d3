// The table `meta`: single values of the store, by key. Every key is listed here, and no other file names the table in
// SQL. Free of clocks and randomness, since apply reads and writes these values too.

import type { Reader, Writer } from "../store/store.ts";

/** The values by key, as `readMeta` returns them. */
export interface MetaValues {
  /** Random id of the fleet, 32 hex digits. */
  fleet_id: string;
  /** Name of the fleet, for people; written when the fleet begins. */
  fleet_name: string;
  /** How patient raft is: `lan`, `home` or `wan`. */
  fleet_profile: string;
  /** Level that all full members understand (level.ts). */
  fleet_level: number;
  /** Settings of the fleet as a JSON object, keys sorted (operation/fleet-settings.ts). */
  fleet_settings: string;
  /** Running digest of the replicated state: `<commands>-<hash>` (running-digest.ts). */
  state_digest: string;
  /** Of how many changes no event was made, because too many waited (features/event/moves/place.ts). */
  untold_events: number;
  /** Counts the changes of the members table. */
  fleet_revision: number;
  /** 1 while the fleet has no other full member, else 0. */
  alone: number;
  /** Raft index of the last entry that is in the store. */
  applied_index: number;
  /** Raft term of that entry. */
  applied_term: number;
  /** Id of this node's raft server; missing before it was in a fleet. */
  raft_server: string;
  /** Seq of the newest purge in the store, and raft index of its entry (engine/raft/erasure.ts). */
  purged_seq: number;
  purged_index: number;
  /** Up to this seq no file of this node holds a purged text any more. */
  erased_seq: number;
  /** Of an edge: the newest position that it returned, "" for none, and in which boot (cache/acknowledged.ts). */
  acknowledged: string;
  acknowledged_by: string;
}

type MetaKey = keyof MetaValues;

interface MetaKind {
  type: "text" | "integer";
  /** Belongs to this node alone: left out of digests, and removed when a new history begins. */
  own?: true;
}

/** Every key of the table, apart from those with a prefix. */
export const META_KEYS: { readonly [Key in MetaKey]: MetaKind } = {
  fleet_id: { type: "text" },
  fleet_name: { type: "text" },
  fleet_profile: { type: "text" },
  fleet_level: { type: "integer" },
  fleet_settings: { type: "text" },
  state_digest: { type: "text" },
  untold_events: { type: "integer" },
  fleet_revision: { type: "integer" },
  alone: { type: "integer" },
  applied_index: { type: "integer", own: true },
  applied_term: { type: "integer", own: true },
  raft_server: { type: "text", own: true },
  purged_seq: { type: "integer", own: true },
  purged_index: { type: "integer", own: true },
  erased_seq: { type: "integer", own: true },
  acknowledged: { type: "text", own: true },
  acknowledged_by: { type: "text", own: true },
};

/**
 * Keys of which there is one for each name. `edge:<space>` is how edges may keep that space; `key:<fleet id>` is the
 * secret that seals backups of that fleet (fleet-key.ts), which is on every full member and in no digest.
 */
type MetaPrefix = "edge:" | "key:";

const OWN_KEYS = Object.entries(META_KEYS)
  .filter(([, { own }]) => own === true)
  .map(([key]) => `'${key}'`)
  .join(", ");

/** Selects what is replicated of the table, in a fixed order. Secrets are left out: a backup has the same digest. */
export const REPLICATED_META = `SELECT * FROM meta WHERE key NOT IN (${OWN_KEYS}) AND substr(key, 1, 4) <> 'key:' ORDER BY key`;

/** Returns the value of a key; undefined where it was never written. */
export function readMeta<Key extends MetaKey>(reader: Reader, key: Key): MetaValues[Key] | undefined {
  const value = reader.get<{ value: string | number }>("SELECT value FROM meta WHERE key = ?", key)?.value;
  if (value === undefined) return undefined;
  return (META_KEYS[key].type === "integer" ? Number(value) : String(value)) as MetaValues[Key];
}

/** Writes these values in place of earlier ones; numbers must be whole. */
export function writeMeta(tx: Writer, values: Partial<MetaValues>): void {
  const entries = Object.entries(values);
  const rows = entries.map(() => "(?, ?)").join(", ");
  tx.run(`INSERT OR REPLACE INTO meta (key, value) VALUES ${rows}`, ...entries.flat());
}

/** Returns the names and texts of all keys with that prefix, sorted by name. */
export function listMeta(reader: Reader, prefix: MetaPrefix): [string, string][] {
  return reader
    .all<{ key: string; value: string }>(
      "SELECT key, value FROM meta WHERE substr(key, 1, ?) = ? ORDER BY key",
      prefix.length,
      prefix,
    )
    .map(({ key, value }) => [key.slice(prefix.length), value]);
}

/** Returns the text of one name under a prefix. */
export function readMetaNamed(reader: Reader, prefix: MetaPrefix, name: string): string | undefined {
  return reader.get<{ value: string }>("SELECT value FROM meta WHERE key = ?", `${prefix}${name}`)?.value;
}

/** Writes the text of one name under a prefix; undefined removes it. */
export function writeMetaNamed(tx: Writer, prefix: MetaPrefix, name: string, value: string | undefined): void {
  const key = `${prefix}${name}`;
  if (value === undefined) tx.run("DELETE FROM meta WHERE key = ?", key);
  else tx.run("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", key, value);
}

/** Reports whether the fleet has no other full member; a store that was never in a fleet is alone too. */
export function isAlone(reader: Reader): boolean {
  return (readMeta(reader, "alone") ?? 1) === 1;
}

/** Writes whether there is no other full member. For the commands that change the full members. */
export function writeAlone(tx: Writer, alone: boolean): void {
  writeMeta(tx, { alone: alone ? 1 : 0 });
}

/** Makes the store the only member of a new fleet with that id: without a raft server and its progress. */
export function beginFleet(tx: Writer, fleetId: string): void {
  tx.run(`DELETE FROM meta WHERE key IN (${OWN_KEYS})`);
  writeMeta(tx, { fleet_id: fleetId, alone: 1 });
}
