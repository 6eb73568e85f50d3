// probe_transition: what probes became, as their members say and the leader proposes. Only transitions are in the log.

import { z } from "zod";
import type { Changed } from "../../log/log.ts";
import { DECLARED_NAME } from "../../operation/declared-kind.ts";
import { declaredRow } from "../../operation/declared-rows.ts";
import { write } from "../../operation/define.ts";
import type { OwnEventTable } from "../../operation/own-events.ts";
import type { Writer } from "../../store/store.ts";
import { controlRow, hashOfState, PROBE_LEVEL, probeId, probeTarget, type StateRow } from "./rows.ts";
import { CAUSES, STATES } from "./state.ts";

/** Longest text of a transition. */
const MAX_DETAIL = 300;
/** Most transitions of one command. */
export const MAX_TRANSITIONS = 64;

const transition = z.object({
  name: z.string().regex(DECLARED_NAME),
  node: z.string().max(64),
  space: z.string().max(64),
  /** gone: it is no longer declared, or not there. */
  state: z.enum([...STATES, "gone"]),
  cause: z.enum(CAUSES),
  detail: z.string().max(MAX_DETAIL),
  /** In a maintenance window: no one is told. */
  quiet: z.boolean(),
});

/** One transition. */
export type Transition = z.output<typeof transition>;

/** Keeps transitions. What is so already changes nothing. */
export const probeTransition = write({
  name: "probe_transition",
  v: 1,
  level: PROBE_LEVEL,
  internal: true,
  apart: true,
  title: "Keep what probes became",
  description: "Notes which probes are up, suspect, down or unknown, and why.",
  input: z.object({ transitions: z.array(transition).min(1).max(MAX_TRANSITIONS) }),
  output: z.object({ changed: z.number().int() }),
  access: { verb: "admin", spaces: ["fleet"] },
  prepare: (input) => input,
  apply(tx, command, stamp) {
    const changes: Changed[] = [];
    for (const each of command.transitions) {
      const change = keep(tx, each, { seq: stamp.seq + changes.length, timeMs: stamp.timeMs });
      if (change !== undefined) changes.push(change);
    }
    return { output: { changed: changes.length }, changes };
  },
});

/** Writes one. Returns its change; undefined where it changes nothing. */
function keep(tx: Writer, made: Transition, { seq, timeMs }: { seq: number; timeMs: number }): Changed | undefined {
  const { name, node, space, state, cause, detail } = made;
  const before = tx.get<StateRow>("SELECT * FROM probe_states WHERE name = ? AND node = ?", name, node);
  if (state === "gone") {
    tx.run("DELETE FROM probe_states WHERE name = ? AND node = ?", name, node);
    // What is declared, and only moved, stays paused or muted.
    const ended = (declaredRow(tx, probeId(name))?.version ?? 0) > 0 ? undefined : controlRow(tx, name);
    if (ended !== undefined) tx.run("DELETE FROM probe_controls WHERE name = ?", name);
    const { space: last } = before ?? ended ?? {};
    return last === undefined ? undefined : change(last, made, "removed", undefined);
  }
  const control = controlRow(tx, name);
  const isQuiet = made.quiet || control?.paused === 1 || (control?.muted_until ?? 0) > timeMs;
  const told = before?.told ?? 0;
  const isTold = state === "up" ? 0 : state === "down" && !isQuiet ? 1 : told;
  const isSame = before?.state === state && before.cause === cause && before.told === isTold && before.space === space;
  if (isSame) return undefined;
  const since = before?.state === state ? before.since : timeMs;
  const row: StateRow = { name, node, state, cause, detail, since, told: isTold, space, seq };
  tx.run(
    "INSERT OR REPLACE INTO probe_states (name, node, state, cause, detail, since, told, space, seq) VALUES (?,?,?,?,?,?,?,?,?)",
    ...[name, node, state, cause, detail, since, isTold, space, seq],
  );
  return change(space, made, outcomeOf(state, { before: before?.state, told, isTold, isQuiet }), row);
}

/**
 * Returns the outcome of a change: `down` once for each time that somebody is told, `up` only for what was told to be
 * down. Others have outcomes without events, such as `recovered`.
 */
function outcomeOf(
  state: (typeof STATES)[number],
  { before, told, isTold, isQuiet }: { before: string | undefined; told: number; isTold: number; isQuiet: boolean },
): string {
  if (state === "down") return told === 0 && isTold === 1 ? "down" : before === "down" ? "changed" : "down_quiet";
  if (state === "up") return told === 1 ? "up" : "recovered";
  if (before === state) return "changed";
  return isQuiet && state !== "starting" ? `${state}_quiet` : state;
}

function change(space: string, { name, node }: Transition, outcome: string, row: StateRow | undefined): Changed {
  const place = node === "" ? "" : `/${node}`;
  return {
    target: `${probeTarget(space, name)}${place}`,
    ...{ version: 0, contentHash: "", outcome, state: hashOfState(row) },
  };
}

const kind = (when: string, ...outcomes: string[]) => ({
  when,
  subject: "the probe, as SPACE/probes/NAME, with /NODE where a certain member runs it",
  operations: [probeTransition.name],
  outcomes,
});

/** The events about probes. */
export const probeEvents: OwnEventTable = {
  "cairn.probe.down": kind("a probe failed as often in a row as it says, and it is not muted", "down"),
  "cairn.probe.up": kind("a probe that was said to be down is up again", "up"),
  "cairn.probe.suspect": kind("a probe failed, and is not down yet", "suspect"),
  "cairn.probe.unknown": kind(
    "a member cannot tell how a probe is, because it is cut off itself or by what the probe depends on",
    "unknown",
  ),
};
