// What a key stands for, and the outcome that is kept of it (replication.md 10). From a fleet level on a command
// carries a hash of what its caller sent, so that neither the build nor the limits of the node that prepared it matter.

import { Fault, readFault, type WrittenFault, writeFault } from "../lib/fault.ts";
import { sha256Hex } from "../lib/sha256.ts";
import type { Reader, Writer } from "../store/store.ts";
import type { Apply, Command } from "./log.ts";

/** The fleet level from which on keyed commands carry `inputHash`. */
export const INPUT_HASH_LEVEL = 3;

/** How long the answer to a keyed command is kept, in ms of log time. */
const KEEP_ANSWERS_MS = 24 * 60 * 60 * 1000;
/** How long it is kept where a node made the key for a write that it forwards: as long as forwards are retried. */
const KEEP_FORWARDED_MS = 5 * 60 * 1000;
/** Begins the fingerprints that cover what a caller sent; the others cover a prepared command. */
const OF_INPUT = "input:";

/** The outcome of a command, with the position after it. */
export type Outcome = { output: Record<string, unknown>; seq: number; purges?: true } | { fault: Fault };

/** A keyed call as its row names it. */
export type KeyedCall = Pick<Command, "name" | "caller" | "key" | "inputHash">;

/** Returns the kept outcome of the command's key: `key_reused` if the key stands for another call. */
export function outcomeInApply(tx: Writer, apply: Apply, command: Command, logTimeMs: number): Outcome | undefined {
  const row = keptRow(tx, command, logTimeMs);
  if (row === undefined) return undefined;
  const isSame = row.fingerprint.startsWith(OF_INPUT)
    ? row.fingerprint === `${OF_INPUT}${command.inputHash}`
    : row.fingerprint === ofPrepared(apply, command);
  return isSame ? outcomeOf(row) : reused(command);
}

/** Returns the same outside of apply, for a call with `inputHash`; undefined where a kept row cannot tell. */
export function knownOutcome(reader: Reader, call: KeyedCall): Outcome | undefined {
  const logTimeMs = reader.get<{ log_time: number }>("SELECT log_time FROM head")?.log_time ?? 0;
  const row = keptRow(reader, call, logTimeMs);
  if (row?.fingerprint.startsWith(OF_INPUT) !== true) return undefined;
  return row.fingerprint === `${OF_INPUT}${call.inputHash}` ? outcomeOf(row) : reused(call);
}

/** Keeps the outcome of a keyed command. `seq` is that after it. */
export function keepOutcome(
  tx: Writer,
  apply: Apply,
  command: Command,
  outcome: Outcome,
  { seq, logTimeMs }: { seq: number; logTimeMs: number },
): void {
  const kept = "fault" in outcome ? writeFault(outcome.fault) : { output: outcome.output };
  tx.run(
    "INSERT OR REPLACE INTO idempotency (caller, operation, key, fingerprint, outcome, seq, log_time) VALUES (?,?,?,?,?,?,?)",
    command.caller,
    command.name,
    command.key,
    command.inputHash === undefined ? ofPrepared(apply, command) : `${OF_INPUT}${command.inputHash}`,
    JSON.stringify(kept),
    seq,
    // Back-dated where it is kept for a shorter time, so that one index and one comparison serve both.
    command.nodeKey === true ? logTimeMs - KEEP_ANSWERS_MS + KEEP_FORWARDED_MS : logTimeMs,
  );
}

/**
 * Removes a few expired answers. Whether an answer counts as expired depends on log time alone; deleting its row only
 * frees space, so each new answer removes up to four and no batch pays for all.
 */
export function forgetExpired(tx: Writer, logTimeMs: number): void {
  tx.run(
    "DELETE FROM idempotency WHERE (caller, operation, key) IN (SELECT caller, operation, key FROM idempotency WHERE log_time < ? ORDER BY log_time, caller, operation, key LIMIT 4)",
    logTimeMs - KEEP_ANSWERS_MS,
  );
}

interface KeptRow {
  fingerprint: string;
  outcome: string;
  seq: number;
}

function keptRow(reader: Reader, { caller, name, key }: KeyedCall, logTimeMs: number): KeptRow | undefined {
  return reader.get<KeptRow>(
    "SELECT fingerprint, outcome, seq FROM idempotency WHERE caller = ? AND operation = ? AND key = ? AND log_time >= ?",
    caller,
    name,
    key,
    logTimeMs - KEEP_ANSWERS_MS,
  );
}

function outcomeOf({ outcome, seq }: KeptRow): Outcome {
  const kept: { output: Record<string, unknown> } | WrittenFault = JSON.parse(outcome);
  return "output" in kept ? { output: kept.output, seq } : { fault: readFault(kept) };
}

function reused({ name, key }: KeyedCall): Outcome {
  const message = `The idempotency key ${JSON.stringify(key)} was used for another ${name}`;
  return { fault: new Fault("key_reused", message, { hint: "Use a new key for each new write." }) };
}

/** Returns the fingerprint of a command without `inputHash`: what its caller asked for, without the stamped limits. */
function ofPrepared(apply: Apply, command: Command): string {
  return sha256Hex(JSON.stringify(apply.asked?.(command) ?? [command.v, command.input]));
}
