// The rows of probes, their look-up, and their state hashes.

import { levelOf } from "../../log/level.ts";
import { stateHash } from "../../log/state-hash.ts";
import type { Reader, Writer } from "../../store/store.ts";
import type { Cause, ProbeState } from "./state.ts";

/** The fleet level from which on there are probes. */
export const PROBE_LEVEL = 3;

/** A row of `probe_states`. */
export interface StateRow {
  name: string;
  /** Member id of its runner; "": the leader. */
  node: string;
  state: ProbeState;
  cause: Cause;
  detail: string;
  since: number;
  told: number;
  space: string;
  seq: number;
}

/** A row of `probe_controls`. */
export interface ControlRow {
  name: string;
  paused: number;
  muted_until: number;
  reason: string;
  by: string;
  beat_at: number;
  beat_good: number;
  beat_text: string;
  space: string;
  seq: number;
}

/** Returns the states of all probes, or of one. */
export function stateRows(reader: Reader, name?: string): StateRow[] {
  if (levelOf(reader) < PROBE_LEVEL) return [];
  if (name === undefined) return reader.all<StateRow>("SELECT * FROM probe_states ORDER BY name, node");
  return reader.all<StateRow>("SELECT * FROM probe_states WHERE name = ? ORDER BY node", name);
}

/** Returns what people and jobs said of all probes. */
export function controlRows(reader: Reader): ControlRow[] {
  if (levelOf(reader) < PROBE_LEVEL) return [];
  return reader.all<ControlRow>("SELECT * FROM probe_controls ORDER BY name");
}

/** Returns what people and jobs said of a probe. */
export function controlRow(reader: Reader, name: string): ControlRow | undefined {
  if (levelOf(reader) < PROBE_LEVEL) return undefined;
  return reader.get<ControlRow>("SELECT * FROM probe_controls WHERE name = ?", name);
}

/** In apply: writes what people or jobs say of a probe; `changed` over what is there. */
export function writeControl(
  tx: Writer,
  name: string,
  changed: Partial<ControlRow> & Pick<ControlRow, "space" | "seq">,
): ControlRow {
  const empty = { name, paused: 0, muted_until: 0, reason: "", by: "", beat_at: 0, beat_good: 0, beat_text: "" };
  const row: ControlRow = { ...empty, ...controlRow(tx, name), ...changed };
  tx.run(
    "INSERT OR REPLACE INTO probe_controls (name, paused, muted_until, reason, by, beat_at, beat_good, beat_text, space, seq) VALUES (?,?,?,?,?,?,?,?,?,?)",
    ...[row.name, row.paused, row.muted_until, row.reason, row.by, row.beat_at, row.beat_good, row.beat_text],
    ...[row.space, row.seq],
  );
  return row;
}

/** Returns the context that declares a probe. */
export function probeId(name: string): string {
  return `fleet/probes/${name}`;
}

/** Returns the target of changes about a probe, in its space. */
export function probeTarget(space: string, name: string): string {
  return `${space}/probes/${name}`;
}

/** Returns the state hash of a state; undefined: it was removed. */
export function hashOfState(row: StateRow | undefined): string {
  if (row === undefined) return stateHash(["none"]);
  const { name, node, state, cause, detail, since, told } = row;
  return stateHash([name, node, state, cause, detail, since, told]);
}

/** Returns the state hash of what people and jobs said. */
export function hashOfControl(row: ControlRow): string {
  const { name, paused, muted_until: until, reason, by, beat_at: at, beat_good: good, beat_text: text } = row;
  return stateHash([name, paused, until, reason, by, at, good, text]);
}
