// Lets the reads of one turn of the event loop share a read transaction. A statement alone would take and release a
// lock on the file, which costs more than most of our reads; and the reads of one turn see one state.

import type { Database } from "bun:sqlite";
import type { Reader } from "./connection.ts";

/** A reader whose transaction `release` ends: after each commit, and before a checkpoint. */
export interface SharedReader extends Reader {
  release(): void;
}

/** Returns a reader over `database` whose reads join the transaction of the current turn. */
export function shareReads(database: Database, reader: Reader): SharedReader {
  const begin = database.query("BEGIN");
  const commit = database.query("COMMIT");
  let open = false;
  let scheduled = false;
  const release = () => {
    if (!open) return;
    open = false;
    // An error of the disk may have ended it already.
    if (database.inTransaction) commit.run();
  };
  const endOfTurn = () => {
    scheduled = false;
    release();
  };
  const join = () => {
    if (open) return;
    begin.run();
    open = true;
    if (scheduled) return;
    scheduled = true;
    setImmediate(endOfTurn);
  };
  return {
    get: (sql, ...values) => {
      join();
      return reader.get(sql, ...values);
    },
    all: (sql, ...values) => {
      join();
      return reader.all(sql, ...values);
    },
    // A row-by-row read outlives a turn when its caller awaits in between. SQLite gives each statement a state of its
    // own.
    iterate: reader.iterate,
    release,
  };
}
