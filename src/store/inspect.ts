// Inspects a store's file from outside, read-only, without creating or changing anything: for the doctor, beside a
// running node too.

import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { Fault } from "../lib/fault.ts";
import { reasonOf } from "../lib/reason-of.ts";
import { type Reader, readerOf } from "./connection.ts";
import { damaged, isDamaged } from "./damage.ts";
import { APPLICATION_ID, openReadonly, refuseDamage, schemaOf } from "./open.ts";

/** What an inspection found. */
export interface Inspected<T> {
  path: string;
  bytes: number;
  /** Size of the write-ahead log. */
  walBytes: number;
  /** Number of the last migration. */
  schema: number;
  seen: T;
}

/**
 * Checks every page of the store in `folder` (`<data>/store`) and returns what `look` returns; undefined where there is
 * no store. Fault `data_corrupt`.
 */
export function inspectStore<T>(folder: string, look: (reader: Reader) => T): Inspected<T> | undefined {
  const pointer = join(folder, "CURRENT");
  if (!existsSync(pointer)) return undefined;
  const path = join(folder, readFileSync(pointer, "utf8").trim(), "cairn.db");
  try {
    const bytes = statSync(path).size;
    const database = openReadonly(path);
    try {
      const id = database.query<{ application_id: number }, []>("PRAGMA application_id").get()?.application_id;
      if (id !== APPLICATION_ID) throw damaged(path, `it is no file of Cairn (application id ${id})`);
      refuseDamage(database, path);
      const walBytes = statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0;
      return { path, bytes, walBytes, schema: schemaOf(database), seen: look(readerOf(database)) };
    } finally {
      database.close();
    }
  } catch (error) {
    if (error instanceof Fault) throw error;
    const reason = reasonOf(error);
    throw isDamaged(error) ? damaged(path, reason, error) : new Fault("data_unsafe", `Cannot read ${path}: ${reason}`);
  }
}
