// Inspects a store's file from outside, read-only, without creating or changing anything: for the doctor, beside a
// running node too.

import type { Database } from "bun:sqlite";
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { Fault } from "../lib/fault.ts";
import { reasonOf } from "../lib/reason-of.ts";
import { type Reader, readerOf } from "./connection.ts";
import { damaged, isDamaged } from "./damage.ts";
import { openReadonly, refuseDamage } from "./open.ts";
import { APPLICATION_ID, refuseForeignSchema, type Schema, schemaOf } from "./own-schema.ts";

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

/** Reads the store in `folder` without checking it; undefined where there is none. Fault `data_corrupt`. */
export function readStore<T>(folder: string, look: (reader: Reader) => T): T | undefined {
  return withStore(folder, (database) => look(readerOf(database)))?.seen;
}

/**
 * Checks every page of the store in `folder` (`<data>/store`) and returns what `look` returns; undefined where there is
 * no store. With `schema` its own must be exactly that. Faults `data_corrupt`, `data_newer`.
 */
export function inspectStore<T>(
  folder: string,
  look: (reader: Reader) => T,
  schema?: Schema,
): Inspected<T> | undefined {
  return withStore(folder, (database, path) => {
    const id = database.query<{ application_id: number }, []>("PRAGMA application_id").get()?.application_id;
    if (id !== APPLICATION_ID) throw damaged(path, `it is no file of Cairn (application id ${id})`);
    if (schema !== undefined)
      refuseForeignSchema(database, {
        schema,
        what: path,
        newerHint: "Use the version that wrote it, or a newer one.",
        foreign: (why) => damaged(path, why),
      });
    refuseDamage(database, path);
    const walBytes = statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0;
    const bytes = statSync(path).size;
    return { path, bytes, walBytes, schema: schemaOf(database), seen: look(readerOf(database)) };
  })?.seen;
}

function withStore<T>(folder: string, use: (database: Database, path: string) => T): { seen: T } | undefined {
  const pointer = join(folder, "CURRENT");
  if (!existsSync(pointer)) return undefined;
  const path = join(folder, readFileSync(pointer, "utf8").trim(), "cairn.db");
  try {
    const database = openReadonly(path);
    try {
      return { seen: use(database, path) };
    } finally {
      database.close();
    }
  } catch (error) {
    if (error instanceof Fault) throw error;
    const reason = reasonOf(error);
    throw isDamaged(error) ? damaged(path, reason, error) : new Fault("data_unsafe", `Cannot read ${path}: ${reason}`);
  }
}
