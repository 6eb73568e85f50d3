// Checks that a file is one of Cairn and holds exactly the schema that our migrations make. Every file that came from
// elsewhere, or lay where others can write, passes it before its tables are read: a foreign trigger, view, index or
// table would run with this node's rights.

import { Database } from "bun:sqlite";
import { Fault } from "../lib/fault.ts";
import { type Reader, readerOf } from "./connection.ts";

/** One step of the schema. */
export interface Migration {
  /** 1, 2, 3 … in the order of application. Never changed after a release. */
  id: number;
  /** The fleet level from which on a store has it: never below that of the step before. */
  level: number;
  name: string;
  sql: string;
}

/** The schema of one kind of file. */
export interface Schema {
  migrations: readonly Migration[];
  /**
   * Returns the fleet level of a file's state, whose migrations the file has and no others; undefined before it has a
   * state. Left out: the file belongs to this node alone and has all of them.
   */
  level?: (reader: Reader) => number | undefined;
}

/** "CAIR": distinguishes our files from other SQLite files. */
export const APPLICATION_ID = 0x43414952;

/** Whose file is checked, in words of the caller. */
export interface SchemaCheck {
  schema: Schema;
  /** Names the file in messages, such as `The copy /x/y`. */
  what: string;
  /** What to do about a schema that is newer than this build. */
  newerHint: string;
  /** Makes the Fault for a file that is not ours; `why` is a clause such as `it holds trigger x, …`. */
  foreign: (why: string) => Fault;
}

/**
 * Checks application id and schema, and returns the number of the last migration. Throws `data_newer` for more
 * migrations than this build has, else what `foreign` returns, also for migrations above the level of the file's state.
 */
export function refuseForeignSchema(database: Database, check: SchemaCheck): number {
  const { schema, what, newerHint, foreign } = check;
  const { migrations } = schema;
  const id = database.query<{ application_id: number }, []>("PRAGMA application_id").get()?.application_id;
  if (id !== APPLICATION_ID) throw foreign(`it is no file of Cairn (application id ${id})`);
  const found = schemaOf(database);
  if (found > migrations.length) {
    throw new Fault(
      "data_newer",
      `${what} has schema ${found}; this version of cairn knows schemas up to ${migrations.length}`,
      { hint: newerHint },
    );
  }
  const model = new Database(":memory:");
  try {
    for (const { sql } of migrations.slice(0, found)) model.run(sql);
    const wanted = new Map(objectsOf(model));
    // A list, not a map: two rows of one name would hide each other.
    for (const [name, sql] of objectsOf(database)) {
      if (wanted.get(name) !== sql) throw foreign(`it holds ${name}, which no migration makes like that`);
      wanted.delete(name);
    }
    for (const [name] of wanted) throw foreign(`${name} is missing in it`);
  } finally {
    model.close();
  }
  const wanted = migrationsFor(database, schema).length;
  if (found > wanted) throw foreign(`it has schema ${found}, and that of its fleet level is ${wanted}`);
  return found;
}

/** Returns the migrations that a file with this state has once it is open. */
export function migrationsFor(database: Database, { migrations, level }: Schema): readonly Migration[] {
  const atLevel = schemaOf(database) === 0 ? undefined : level?.(readerOf(database));
  return atLevel === undefined ? migrations : migrations.filter((migration) => migration.level <= atLevel);
}

/** Runs those of the migrations that the file lacks, each in one transaction. */
export function runMigrations(writer: Database, migrations: readonly Migration[]): void {
  const found = schemaOf(writer);
  for (const [index, { id, name, sql }] of migrations.entries()) {
    if (id !== index + 1) throw new Error(`migration ${name} has id ${id} at place ${index + 1}`);
    if (id <= found) continue;
    writer.transaction(() => {
      writer.run(sql);
      writer.run(`PRAGMA user_version = ${id}`);
    })();
  }
}

/** Returns the number of the last migration in the file. */
export function schemaOf(database: Database): number {
  return database.query<{ user_version: number }, []>("PRAGMA user_version").get()?.user_version ?? 0;
}

/** Returns every object of a schema by type and name, with its table and its SQL. */
function objectsOf(database: Database): [string, string][] {
  return database
    .query<{ type: string; name: string; tbl_name: string; sql: string | null }, []>(
      "SELECT type, name, tbl_name, sql FROM sqlite_schema",
    )
    .all()
    .map(({ type, name, tbl_name, sql }) => [`${type} ${name}`, `${tbl_name}: ${sql ?? ""}`]);
}
