// Refused calls of this node, for the audit (security.md 23). They are counted in memory and written every few seconds;
// the number of rows is bounded whatever hostile callers do.

import type { Store, Writer } from "../store/store.ts";
import schema from "./refusals.sql" with { type: "text" };
import clientSchema from "./refusals-client.sql" with { type: "text" };

/** Table of refused calls. */
export const refusalsSchema: string = schema;

/** Adds to it what the client said of itself. */
export const refusalsClientSchema: string = clientSchema;

/** A call that the gate refused. */
export interface Refusal {
  caller: string;
  verb: string;
  /** `*` where no space was named. */
  space: string;
  operation: string;
  /** What the client of the caller said of itself; left out: nothing. */
  client?: string;
}

/** Refusals of one minute, as they are kept; `client` is that of the last one. */
export interface CountedRefusal extends Refusal {
  /** Begin of the minute in ms. */
  minute: number;
  count: number;
}

const MINUTE_MS = 60_000;
const FLUSH_MS = 5_000;
/**
 * Different refusals between two writes, of one caller and of all. Those beyond are counted under the space `…`, then
 * under the caller `…`.
 */
const MAX_PENDING_OF_CALLER = 50;
const MAX_PENDING = 500;
const MAX_ROWS = 20_000;

/** Removes the refusals of another node from a copy of its store. */
export function removeRefusals(tx: Writer): void {
  tx.run("DELETE FROM refusals");
}

export interface RefusalsOptions {
  store: Store;
  /** Reports whether the table has a column for the client: it came with a fleet level. */
  keepsClients: () => boolean;
  nowMs: () => number;
  onError: (error: unknown) => void;
}

/** Calls that the gate refused on this node, one row per caller, verb, space, operation and minute. */
export class Refusals {
  readonly #store: Store;
  readonly #keepsClients: () => boolean;
  readonly #nowMs: () => number;
  readonly #onError: (error: unknown) => void;
  #pending = new Map<string, CountedRefusal>();
  #rowsOf = new Map<string, number>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: RefusalsOptions) {
    this.#store = options.store;
    this.#keepsClients = options.keepsClients;
    this.#nowMs = options.nowMs;
    this.#onError = options.onError;
  }

  record(refusal: Refusal): void {
    const minute = Math.floor(this.#nowMs() / MINUTE_MS) * MINUTE_MS;
    const exact = { client: "", ...refusal, space: refusal.space.slice(0, 256) };
    const crowded = { ...exact, space: "…", operation: "…", client: "" };
    if (this.#count(exact, minute, (this.#rowsOf.get(refusal.caller) ?? 0) < MAX_PENDING_OF_CALLER)) return;
    if (this.#count(crowded, minute, this.#pending.size < 2 * MAX_PENDING)) return;
    this.#count({ ...crowded, caller: "…" }, minute, true);
  }

  /** Counts the refusal in its row. Returns false where there is none and none may be added. */
  #count(refusal: Refusal, minute: number, mayAdd: boolean): boolean {
    const key = JSON.stringify([minute, refusal.caller, refusal.verb, refusal.space, refusal.operation]);
    const row = this.#pending.get(key);
    if (row !== undefined) this.#pending.set(key, { ...row, ...refusal, count: row.count + 1 });
    else if (!mayAdd || (this.#pending.size >= MAX_PENDING && refusal.space !== "…")) return false;
    else {
      this.#pending.set(key, { ...refusal, minute, count: 1 });
      this.#rowsOf.set(refusal.caller, (this.#rowsOf.get(refusal.caller) ?? 0) + 1);
    }
    this.#timer ??= setTimeout(() => this.flush(), FLUSH_MS).unref();
    return true;
  }

  /** Writes the counts. A write that fails is reported, and the counts are kept for the next one. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#pending.size === 0) return;
    try {
      this.#store.transaction((tx) => {
        for (const row of this.#pending.values()) this.#write(tx, row);
        tx.run(
          `DELETE FROM refusals WHERE (minute, caller, verb, space, operation) IN
           (SELECT minute, caller, verb, space, operation FROM refusals
            ORDER BY minute DESC, caller, verb, space, operation LIMIT -1 OFFSET ?)`,
          MAX_ROWS,
        );
      });
      this.#pending = new Map();
      this.#rowsOf = new Map();
    } catch (error) {
      this.#onError(error);
    }
  }

  #write(tx: Writer, { minute, caller, verb, space, operation, count, client = "" }: CountedRefusal): void {
    const key = [minute, caller, verb, space, operation];
    const names = "minute, caller, verb, space, operation, count";
    const added = "ON CONFLICT DO UPDATE SET count = count + excluded.count";
    if (this.#keepsClients()) {
      const insert = `INSERT INTO refusals (${names}, client) VALUES (?,?,?,?,?,?,?)`;
      tx.run(`${insert} ${added}, client = excluded.client`, ...key, count, client);
    } else tx.run(`INSERT INTO refusals (${names}) VALUES (?,?,?,?,?,?) ${added}`, ...key, count);
  }

  /** Returns the refusals of minutes in [sinceMs, untilMs], newest first, at most `limit`. */
  list(sinceMs: number, untilMs: number, limit: number): CountedRefusal[] {
    this.flush();
    const rows = this.#store.reader.all<CountedRefusal>(
      "SELECT * FROM refusals WHERE minute >= ? AND minute <= ? ORDER BY minute DESC, caller, verb, space, operation LIMIT +?",
      sinceMs,
      untilMs,
      limit,
    );
    return rows.map(({ client, ...row }) => (client ? { ...row, client } : row));
  }

  /** Writes the rest; call it before the store is closed. */
  close(): void {
    this.flush();
  }
}
