// What a key stands for, and the outcome that is kept of it (replication.md 10). From a fleet level on a command
// carries a hash of what its caller sent, so that neither the build nor the limits of the node that prepared it matter.

import { Fault, readFault, type WrittenFault, writeFault } from "../lib/fault.ts";
import { sha256Hex } from "../lib/sha256.ts";
import type { Reader, Writer } from "../store/store.ts";
import { countOutcome, keptFrom, notedTime, REFUSED_BYTES } from "./kept-outcomes.ts";
import type { Apply, Command } from "./log.ts";

/** The fleet level from which on keyed commands carry `inputHash`. */
export const INPUT_HASH_LEVEL = 3;

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

const COLUMNS = "caller, operation, key, fingerprint, outcome, seq, log_time";

/** What `keepOutcome` writes with. */
export interface KeepOptions {
  /** Seq after the command, and its log time in ms. */
  seq: number;
  logTimeMs: number;
  /** Writes what the running digest covers: the bytes that are counted. */
  counted: Writer;
  /** Whether the fleet's level counts them. */
  isCounted: boolean;
}

/**
 * Keeps the outcome of a keyed command. `tx` writes it past the running digest: the words of a refusal may change from
 * build to build.
 */
export function keepOutcome(
  tx: Writer,
  apply: Apply,
  command: Command,
  outcome: Outcome,
  { seq, logTimeMs, counted, isCounted }: KeepOptions,
): void {
  const isRefusal = "fault" in outcome;
  const text = isRefusal ? refusalText(outcome.fault) : JSON.stringify({ output: outcome.output });
  const row = [
    command.caller,
    command.name,
    command.key,
    command.inputHash === undefined ? ofPrepared(apply, command) : `${OF_INPUT}${command.inputHash}`,
    text,
    seq,
    notedTime(logTimeMs, command, isCounted && isRefusal),
  ];
  if (!isCounted) {
    tx.run(`INSERT OR REPLACE INTO idempotency (${COLUMNS}) VALUES (?,?,?,?,?,?,?)`, ...row);
    return;
  }
  const { bytes, by_node } = countOutcome(counted, command, isRefusal ? REFUSED_BYTES : Buffer.byteLength(text));
  const sql = `INSERT OR REPLACE INTO idempotency (${COLUMNS}, bytes, by_node) VALUES (?,?,?,?,?,?,?,?,?)`;
  tx.run(sql, ...row, bytes, by_node);
}

/** Characters that are kept of the message and the hint of a refusal that is too large to be kept whole. */
const KEPT_WORDS = 150;

function refusalText(fault: Fault): string {
  const whole = JSON.stringify(writeFault(fault));
  if (Buffer.byteLength(whole) <= REFUSED_BYTES) return whole;
  const cut = (words = "") => (words.length > KEPT_WORDS ? `${words.slice(0, KEPT_WORDS)}…` : words);
  return JSON.stringify({ code: fault.code, message: cut(fault.message), hint: cut(fault.hint) });
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
    keptFrom(logTimeMs),
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
