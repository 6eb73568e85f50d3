// Applies the commands of one entry inside one transaction. A repeated key returns its first answer, each command has
// its own savepoint, and each change becomes a chained row. Shared by every engine, so a command has the same outcome
// whichever log carried it.

import { Fault } from "../lib/fault.ts";
import type { Store, Writer } from "../store/store.ts";
import { chainHash } from "./chain.ts";
import type { Change } from "./changes.ts";
import { type DecodedEntry, decodeEntry } from "./entry.ts";
import { keepOutcome, type Outcome, outcomeInApply } from "./idempotency.ts";
import { COUNTED_OUTCOMES_LEVEL, forgetExpired, makeRoom } from "./kept-outcomes.ts";
import { AGENT_LEVEL, CLIENT_LEVEL, levelOf, refuseHigherLevel } from "./level.ts";
import type { Apply, Changed, Command } from "./log.ts";
import { writeMeta } from "./meta.ts";
import { DigestedWriter, digestText, type RunningDigest, readDigest } from "./running-digest.ts";
import { STATE_HASH_LEVEL } from "./state-hash.ts";

/** The replicated state that apply carries from one command to the next. Times are in ms of log time. */
export interface BatchState {
  epoch: string;
  seq: number;
  hash: Uint8Array;
  logTimeMs: number;
  /** Fleet level of the state. */
  level: number;
  /** Running digest of the state; undefined below its level. */
  digest: RunningDigest | undefined;
}

/** The result of one entry: the state after it, and one outcome per command, in order. */
export interface BatchResult {
  state: BatchState;
  outcomes: Outcome[];
  changes: Change[];
  /** Seq of the last change that purged a text; 0: none did. */
  purgedSeq: number;
}

/**
 * Decodes an entry and applies all of it in one transaction. Every command goes through here, on every node and in
 * every replay.
 */
export function applyEntry(store: Store, apply: Apply, before: BatchState, bytes: Uint8Array): BatchResult {
  const entry = decodeEntry(bytes);
  return store.transaction((tx) => applyCommands(store, tx, apply, before, entry));
}

/** Applies the commands of one decoded entry inside the open transaction. A throw other than a Fault must undo it. */
export function applyCommands(
  store: Store,
  tx: Writer,
  apply: Apply,
  before: BatchState,
  { header: { stampMs, level }, commands }: DecodedEntry,
): BatchResult {
  refuseHigherLevel(level, "An entry of the log");
  const state = { ...before, logTimeMs: Math.max(before.logTimeMs, stampMs) };
  const changes: Change[] = [];
  const outcomes = commands.map((command) => {
    const writer = new DigestedWriter(tx);
    const outcome = applyOnce(store, writer, tx, apply, state, command, changes);
    // It begins after the command that raised the level, wherever in an entry that is.
    if (state.digest === undefined) state.digest = readDigest(tx, state.level);
    else state.digest = writer.after(state.digest, outcomeText(outcome, state));
    return outcome;
  });
  tx.run("UPDATE head SET seq = ?, hash = ?, log_time = ? WHERE one = 1", state.seq, state.hash, state.logTimeMs);
  if (state.digest !== undefined) writeMeta(tx, { state_digest: digestText(state.digest) });
  refuseHigherLevel(state.level, "The fleet");
  const purgedSeq = Math.max(0, ...outcomes.map((outcome) => ("purges" in outcome ? outcome.seq : 0)));
  return { state, outcomes, changes, purgedSeq };
}

/** Applies one command, unless its key has an outcome already. */
function applyOnce(
  store: Store,
  writer: DigestedWriter,
  tx: Writer,
  apply: Apply,
  state: BatchState,
  command: Command,
  changes: Change[],
): Outcome {
  if (command.key === "") return applyOne(store, writer, tx, apply, state, command, changes);
  const earlier = outcomeInApply(tx, apply, command, state.logTimeMs);
  if (earlier !== undefined) return earlier;
  const isCounted = state.level >= COUNTED_OUTCOMES_LEVEL;
  const full = isCounted ? makeRoom(writer, command, state.logTimeMs) : undefined;
  // Not kept itself: there is no room for it.
  if (full !== undefined) return { fault: full };
  const outcome = applyOne(store, writer, tx, apply, state, command, changes);
  forgetExpired(writer, state.logTimeMs, { isCounted });
  keepOutcome(tx, apply, command, outcome, { seq: state.seq, logTimeMs: state.logTimeMs, counted: writer, isCounted });
  return outcome;
}

/** What the digest covers of an outcome: all of an answer, the code of a refusal, and where the chain is then. */
function outcomeText(outcome: Outcome, { seq, hash }: BatchState): string {
  const what = "fault" in outcome ? outcome.fault.code : JSON.stringify(outcome.output, inOrder);
  return `${seq} ${Buffer.from(hash).toString("hex")} ${what}`;
}

/** Builds may put the members of an answer together in another order. */
function inOrder(_name: string, value: unknown): unknown {
  if (value === null || typeof value !== "object" || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1)));
}

function applyOne(
  store: Store,
  writer: DigestedWriter,
  tx: Writer,
  apply: Apply,
  state: BatchState,
  command: Command,
  changes: Change[],
): Outcome {
  const seq = state.seq + 1;
  // What was forgotten to make room for the outcome comes before the savepoint, and stays.
  const mark = writer.mark();
  try {
    return store.savepoint(() => {
      const effect = apply(writer, command, {
        timeMs: state.logTimeMs,
        caller: command.caller,
        via: command.via,
        ...claimOf(state, command),
        ...agentOf(state, command),
        seq,
        level: state.level,
      });
      const made = effect.changes.map((changed, index) => changeOf(state, command, changed, seq + index));
      // Read for each command: how commands are cut into entries must not decide it.
      const level = levelOf(tx);
      if (level !== state.level) store.migrate(level);
      const hashesState = level >= STATE_HASH_LEVEL;
      let hash = state.hash;
      for (const [index, change] of made.entries()) {
        const ofState = hashesState ? (effect.changes[index]?.state ?? "") : undefined;
        hash = chainHash(hash, change, ofState ?? "");
        insertChange(tx, change, ofState, hash);
      }
      if (made.length > 0) apply.after?.(writer, made, level);
      state.seq += made.length;
      state.hash = hash;
      state.level = level;
      changes.push(...made);
      return { output: effect.output, seq: state.seq, ...(effect.purges === true ? { purges: true } : {}) };
    });
  } catch (error) {
    writer.undone(mark);
    if (error instanceof Fault) return { fault: error };
    throw error;
  }
}

function claimOf({ level }: BatchState, { client }: Command): { client?: string } {
  return level >= CLIENT_LEVEL && client !== undefined ? { client } : {};
}

/** Who the agent is that made a change, and whether its type counts. */
function agentOf({ level }: BatchState, { agent }: Command): { agent?: string; agentType?: string } {
  if (level < AGENT_LEVEL || agent === undefined) return {};
  return { agent: agent.name, ...(agent.type === undefined ? {} : { agentType: agent.type }) };
}

function changeOf(state: BatchState, command: Command, changed: Changed, seq: number): Change {
  return {
    seq,
    epoch: state.epoch,
    timeMs: state.logTimeMs,
    caller: command.caller,
    via: command.via,
    ...claimOf(state, command),
    ...(state.level >= AGENT_LEVEL && command.agent !== undefined ? { agent: command.agent.name } : {}),
    operation: command.name,
    target: changed.target,
    version: changed.version,
    contentHash: changed.contentHash,
    outcome: changed.outcome,
  };
}

const CHANGE_COLUMNS = "seq, epoch, log_time, caller, via, operation, target, version, content_hash, outcome, hash";

/** `state` is undefined below the level from which on the table has that column, `client` and `agent`. */
function insertChange(tx: Writer, change: Change, state: string | undefined, hash: Uint8Array): void {
  tx.run(
    state === undefined
      ? `INSERT INTO changes (${CHANGE_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?)`
      : `INSERT INTO changes (${CHANGE_COLUMNS}, state_hash, client, agent) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)`,
    change.seq,
    change.epoch,
    change.timeMs,
    change.caller,
    change.via,
    change.operation,
    change.target,
    change.version,
    change.contentHash,
    change.outcome,
    hash,
    ...(state === undefined ? [] : [state, change.client ?? "", change.agent ?? ""]),
  );
}
