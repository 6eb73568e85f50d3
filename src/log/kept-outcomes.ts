// The disk that outcomes of idempotency keys take: for how long they are kept, their bytes by caller, and the limit on
// them (security.md 24). What a key stands for is up to idempotency.ts.

import { Fault } from "../lib/fault.ts";
import type { Reader, Writer } from "../store/store.ts";
import type { Command } from "./log.ts";

/** The fleet level from which on kept outcomes are counted and limited, and refusals are kept for minutes. */
export const COUNTED_OUTCOMES_LEVEL = 3;

const MINUTE_MS = 60_000;
/** How long the outcome of a keyed command is kept, in ms of log time. */
const KEEP_MS = 24 * 60 * MINUTE_MS;
/** How long a refusal is kept: it changed nothing, and only an attempt that is still on its way could be done later. */
const KEEP_REFUSED_MS = 10 * MINUTE_MS;
/** How long any is kept where a node made the key for a write that it forwards: as long as forwards are retried. */
const KEEP_FORWARDED_MS = 5 * MINUTE_MS;

/** Most bytes that are kept of a refusal, and what each counts for: builds may word it differently. */
export const REFUSED_BYTES = 2048;
/** What each counts for besides its texts: fingerprint, times, entries of pages. */
const ROW_BYTES = 200;
/** Caller, operation and key are in the table and in both indexes. */
const COPIES_OF_KEY = 3;

/** Expired outcomes that each new one removes, and most that are removed to make room for one. */
const FORGOTTEN = 4;
const MAX_FORGOTTEN = 256;

/** A keyed command, as far as its outcome is counted. */
export type CountedCommand = Pick<Command, "name" | "caller" | "key" | "nodeKey" | "outcomeBytes">;

/** Whose outcomes are counted together: those of a caller's own keys, or of keys that nodes made for it. */
interface Counter {
  caller: string;
  by_node: number;
}

/** Returns the log time from which on outcomes are kept now. */
export function keptFrom(logTimeMs: number): number {
  return logTimeMs - KEEP_MS;
}

/** Returns the log time to note for an outcome: back-dated where it is kept for a shorter time. */
export function notedTime(logTimeMs: number, { nodeKey }: CountedCommand, isShortened: boolean): number {
  if (nodeKey === true) return keptFrom(logTimeMs) + KEEP_FORWARDED_MS;
  return isShortened ? keptFrom(logTimeMs) + KEEP_REFUSED_MS : logTimeMs;
}

/**
 * Makes room for the outcome of a new keyed command, where its caller has as many bytes as it may: removes what has
 * expired. Returns Fault `rate_limited` where that is not enough.
 */
export function makeRoom(tx: Writer, command: CountedCommand, logTimeMs: number): Fault | undefined {
  const { outcomeBytes: limit = 0 } = command;
  const counter = counterOf(command);
  if (limit === 0 || bytesOf(tx, counter) < limit) return undefined;
  forgetExpired(tx, logTimeMs, { of: counter });
  const used = bytesOf(tx, counter);
  if (used < limit) return undefined;
  return full(command, { used, limit, leftMs: roomAt(tx, counter, used - limit) - keptFrom(logTimeMs) });
}

/** Returns the same Fault before the log, as it is at this log time; changes nothing. */
export function outcomesFull(reader: Reader, command: CountedCommand, logTimeMs: number): Fault | undefined {
  const { outcomeBytes: limit = 0 } = command;
  const counter = counterOf(command);
  const used = limit === 0 ? 0 : bytesOf(reader, counter);
  if (used < limit || limit === 0) return undefined;
  const leftMs = roomAt(reader, counter, used - limit) - keptFrom(logTimeMs);
  return leftMs < 0 ? undefined : full(command, { used, limit, leftMs });
}

/** Counts the outcome of a command, and no longer the one that its row replaces. Returns what its row notes. */
export function countOutcome(
  tx: Writer,
  command: CountedCommand,
  outcomeBytes: number,
): { bytes: number; by_node: number } {
  const { caller, name, key } = command;
  const replaced = tx.get<{ by_node: number; bytes: number }>(
    "SELECT by_node, bytes FROM idempotency WHERE caller = ? AND operation = ? AND key = ?",
    caller,
    name,
    key,
  );
  if (replaced !== undefined) addBytes(tx, { caller, by_node: replaced.by_node }, -replaced.bytes);
  const texts = Buffer.byteLength(caller) + Buffer.byteLength(name) + Buffer.byteLength(key);
  const bytes = COPIES_OF_KEY * texts + ROW_BYTES + outcomeBytes;
  const counter = counterOf(command);
  addBytes(tx, counter, bytes);
  return { bytes, by_node: counter.by_node };
}

/**
 * Removes a few expired outcomes: the oldest, or those of one counter. Whether an outcome counts as expired depends on
 * log time alone; deleting its row only frees space, so each new outcome removes up to four and no batch pays for all.
 */
export function forgetExpired(
  tx: Writer,
  logTimeMs: number,
  { of, isCounted = true }: { of?: Counter; isCounted?: boolean },
): void {
  const before = keptFrom(logTimeMs);
  const [which, values] =
    of === undefined
      ? [`log_time < ? ORDER BY log_time, caller, operation, key LIMIT ${FORGOTTEN}`, [before]]
      : [
          `caller = ? AND by_node = ? AND bytes > 0 AND log_time < ? ORDER BY log_time, operation, key LIMIT ${MAX_FORGOTTEN}`,
          [of.caller, of.by_node, before],
        ];
  if (isCounted) {
    const gone = tx.all<Counter & { bytes: number }>(
      "SELECT caller, by_node, SUM(bytes) AS bytes FROM " +
        `(SELECT caller, by_node, bytes FROM idempotency WHERE ${which}) GROUP BY caller, by_node ORDER BY caller, by_node`,
      ...values,
    );
    if (gone.length === 0) return;
    for (const { bytes, ...counter } of gone) addBytes(tx, counter, -bytes);
  }
  tx.run(
    "DELETE FROM idempotency WHERE (caller, operation, key) IN " +
      `(SELECT caller, operation, key FROM idempotency WHERE ${which})`,
    ...values,
  );
}

function counterOf({ caller, nodeKey }: CountedCommand): Counter {
  return { caller, by_node: nodeKey === true ? 1 : 0 };
}

function bytesOf(reader: Reader, { caller, by_node }: Counter): number {
  const sql = "SELECT bytes FROM kept_outcomes WHERE caller = ? AND by_node = ?";
  return reader.get<{ bytes: number }>(sql, caller, by_node)?.bytes ?? 0;
}

function addBytes(tx: Writer, { caller, by_node }: Counter, bytes: number): void {
  if (bytes === 0) return;
  tx.run(
    "INSERT INTO kept_outcomes (caller, by_node, bytes) VALUES (?,?,?) " +
      "ON CONFLICT (caller, by_node) DO UPDATE SET bytes = bytes + excluded.bytes",
    caller,
    by_node,
    bytes,
  );
  if (bytes < 0) tx.run("DELETE FROM kept_outcomes WHERE caller = ? AND by_node = ? AND bytes = 0", caller, by_node);
}

/** Returns the noted time of the outcome that must have expired for more than `over` bytes to be gone. */
function roomAt(reader: Reader, { caller, by_node }: Counter, over: number): number {
  const oldest = reader.all<{ log_time: number; bytes: number }>(
    "SELECT log_time, bytes FROM idempotency WHERE caller = ? AND by_node = ? AND bytes > 0 " +
      `ORDER BY log_time, operation, key LIMIT ${MAX_FORGOTTEN}`,
    caller,
    by_node,
  );
  let gone = 0;
  const last = oldest.find(({ bytes }) => {
    gone += bytes;
    return gone > over;
  });
  return (last ?? oldest.at(-1))?.log_time ?? 0;
}

/** `leftMs`: time until there is room. */
function full(
  command: CountedCommand,
  { used, limit, leftMs }: { used: number; limit: number; leftMs: number },
): Fault {
  const retryAfterSeconds = Math.floor(Math.max(0, leftMs) / 1000) + 1;
  const whose = command.nodeKey === true ? "of forwarded writes" : "of idempotency keys";
  return new Fault(
    "rate_limited",
    `${command.caller} has ${used} bytes of kept outcomes ${whose}; the limit is ${limit} (quota.outcome_bytes)`,
    {
      hint:
        `There is room in ${retryAfterSeconds} s` +
        (command.nodeKey === true
          ? "; write less often, or ask an admin to raise the limit."
          : ". Until then make the call without a key (with if_match a repetition is refused), or ask an admin to raise the limit."),
      details: { quota: "outcomes", limit, used, retryAfterSeconds },
    },
  );
}
