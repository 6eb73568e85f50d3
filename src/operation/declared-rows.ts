// The rows of declarations, and their end by a purge. Apart from features/declare, because contexts are purged by a
// feature of their own (as blob-references.ts).

import { parseObject } from "../lib/json-object.ts";
import { levelOf } from "../log/level.ts";
import type { Reader, Writer } from "../store/store.ts";
import { type DeclaredKind, declaredId } from "./declared-kind.ts";

/** The fleet level from which on there are declarations. */
export const DECLARE_LEVEL = 3;

/** A row of `declarations`. */
export interface DeclaredRow {
  /** The context. */
  id: string;
  /** In force; 0: none. */
  version: number;
  hash: string;
  text: string;
  /** Since when, log time in ms. */
  since: number;
  /** The newest version that was judged. */
  judged: number;
  judged_hash: string;
  /** What is wrong with it; "": nothing. */
  problem: string;
  /** The change that made the row as it is. */
  seq: number;
}

/** What stands for a problem whose text was purged, because it may repeat a part of that. */
const PURGED = "it was purged";

/** Returns all rows, by id; none below their fleet level. */
export function declaredRows(reader: Reader): DeclaredRow[] {
  if (levelOf(reader) < DECLARE_LEVEL) return [];
  return reader.all<DeclaredRow>("SELECT * FROM declarations ORDER BY id");
}

/** What a row declares. */
export interface DeclaredValue<T> {
  name: string;
  /** The version of the context that is in force. */
  version: number;
  value: T;
}

/** Returns what the rows declare of a kind, as this build reads it, by name; on any full member the same. */
export function declaredValues<T>(reader: Reader, kind: DeclaredKind<T>): DeclaredValue<T>[] {
  const prefix = declaredId(kind, "");
  return declaredRows(reader).flatMap(({ id, version, text }) => {
    if (version === 0 || !id.startsWith(prefix)) return [];
    const value = kind.schema.safeParse(parseObject(text)).data;
    return value === undefined ? [] : [{ name: id.slice(prefix.length), version, value }];
  });
}

/** A row without its text. */
export type DeclaredHead = Omit<DeclaredRow, "text">;

/** Returns all rows without their texts, by id; none below their fleet level. */
export function declaredHeads(reader: Reader): DeclaredHead[] {
  if (levelOf(reader) < DECLARE_LEVEL) return [];
  return reader.all<DeclaredHead>(
    "SELECT id, version, hash, since, judged, judged_hash, problem, seq FROM declarations ORDER BY id",
  );
}

/** Returns the row of a context. */
export function declaredRow(reader: Reader, id: string): DeclaredRow | undefined {
  return reader.get<DeclaredRow>("SELECT * FROM declarations WHERE id = ?", id);
}

/** In apply: forgets what a row has of purged versions of a context; null: of all. */
export function purgeDeclaration(tx: Writer, id: string, versions: readonly number[] | null, level: number): void {
  if (level < DECLARE_LEVEL || !id.startsWith("fleet/")) return;
  const row = declaredRow(tx, id);
  if (row === undefined) return;
  if (versions === null || versions.includes(row.version)) tx.run("DELETE FROM declarations WHERE id = ?", id);
  else if (versions.includes(row.judged)) tx.run("UPDATE declarations SET problem = ? WHERE id = ?", PURGED, id);
}
