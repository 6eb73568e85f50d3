// The fleet level (replication.md 8): the highest level that every full member understands. Kept in the table `meta`
// and raised by a command.

import { Fault } from "../lib/fault.ts";
import type { Reader } from "../store/store.ts";
import { readMeta } from "./meta.ts";

/**
 * The highest level that this build understands. 2: commands have a limit on their work in apply (`maxWork` of a
 * write). 3: changes carry a state hash (state-hash.ts); members keep a running digest (running-digest.ts); the fleet
 * has settings (operation/fleet-settings.ts). A level that adds migrations has no other place for them (`level` of a
 * migration): a store has those of its level alone.
 */
export const KNOWN_LEVEL = 3;

/** The fleet level from which on commands, changes and versions carry what the client said of itself. */
export const CLIENT_LEVEL = 3;

/** The fleet level from which on callers may act as agents, and commands, changes and versions say so. */
export const AGENT_LEVEL = 3;

/** The fleet level from which on a forward names the span of which it is part. */
export const TRACE_LEVEL = 3;

/** Returns the level of the state. */
export function levelOf(reader: Reader): number {
  return readMeta(reader, "fleet_level") ?? 1;
}

/**
 * Returns the level by which a store's schema is judged; undefined before its history has begun: then it is that of
 * this build.
 */
export function storeLevel(reader: Reader): number | undefined {
  return reader.get("SELECT 1 FROM epochs") === undefined ? undefined : levelOf(reader);
}

/** Throws Fault `data_newer` for a level that this build does not understand. `where` names what has that level. */
export function refuseHigherLevel(level: number, where: string): void {
  if (level <= KNOWN_LEVEL) return;
  throw new Fault(
    "data_newer",
    `${where} has fleet level ${level}; this version of cairn knows levels up to ${KNOWN_LEVEL}`,
    {
      hint: "Start the version that the other members run, or a newer one; nothing was changed.",
    },
  );
}
