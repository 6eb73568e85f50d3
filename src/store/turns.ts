// Reads that are made in the same turn of the event loop share one read transaction. Each statement alone would take and give back a lock on the file, which costs more than most of our reads;
// and what one turn reads is of one state.

import type { Database } from "bun:sqlite";
import type { Reader } from "./connection.ts";

/** A reader that `release` must let go of before the file's newest state is wanted: after each commit, and before a checkpoint. */
export interface TurnReader extends Reader {
  release(): void;
}

/** Makes each read of `reader`, which reads over `database`, part of the transaction of this turn. */
export function readInTurns(database: Database, reader: Reader): TurnReader {
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
    // Row by row outlives a turn when its caller waits in between: it holds a state of its own, as SQLite gives each statement.
    iterate: reader.iterate,
    release,
  };
}
