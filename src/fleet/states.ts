// What the leader observes of members: up or down, which leads, their conditions, their backups. One command keeps what
// changed, so each is noted once over any changes of leader; its changes become events (docs/events.md).
// lead/observer.ts observes.

import { z } from "zod";
import { type ChangeRow, madeOther } from "../log/change-row.ts";
import { levelOf } from "../log/level.ts";
import { stateHash } from "../log/state-hash.ts";
import { write } from "../operation/define.ts";
import type { OwnEventTable } from "../operation/own-events.ts";
import type { Reader } from "../store/store.ts";

/** The fleet level from which on they are kept. */
export const STATES_LEVEL = 3;
/** Most states of one command. */
export const MAX_OBSERVED = 64;

/** What became of something that is observed. */
export interface Observed {
  target: string;
  /** "": as usual. */
  value: string;
  outcome: (typeof OUTCOMES)[number];
}

const OUTCOMES = ["up", "down", "raised", "cleared", "done", "failed", "leads", "removed"] as const;
const observed = z.object({
  target: z
    .string()
    .max(256)
    .regex(/^fleet\/(?:health|backups|leader)\/[^/]+(?:\/[a-z0-9_]+)?$/),
  value: z.string().max(200),
  outcome: z.enum(OUTCOMES),
});

/** Keeps what the leader observed. What is so already changes nothing. */
export const fleetObserve = write({
  name: "fleet_observe",
  v: 1,
  level: STATES_LEVEL,
  internal: true,
  apart: true,
  title: "Keep what was observed of members",
  description: "Notes which members are up, which conditions hold on them, and how their backups went.",
  input: z.object({ observed: z.array(observed).min(1).max(MAX_OBSERVED) }),
  output: z.object({ changed: z.number().int() }),
  access: { verb: "admin", spaces: ["fleet"] },
  prepare: (input) => input,
  apply(tx, command) {
    const news = command.observed.filter(({ target, value }) => value !== stateAt(tx, target));
    for (const { target, value } of news) {
      if (value === "") tx.run("DELETE FROM fleet_states WHERE target = ?", target);
      else tx.run("INSERT OR REPLACE INTO fleet_states (target, value) VALUES (?, ?)", target, value);
    }
    const changes = news.map(({ target, value, outcome }) => {
      return { target, version: 0, contentHash: "", outcome, state: stateHash([value]) };
    });
    return { output: { changed: news.length }, changes };
  },
});

function stateAt(reader: Reader, target: string): string {
  return reader.get<{ value: string }>("SELECT value FROM fleet_states WHERE target = ?", target)?.value ?? "";
}

/** Returns all that is kept, by target. */
export function allStates(reader: Reader): ReadonlyMap<string, string> {
  const rows = reader.all<{ target: string; value: string }>("SELECT target, value FROM fleet_states ORDER BY target");
  return new Map(rows.map(({ target, value }) => [target, value]));
}

/** Returns the first row that is not as its newest change made it; `changeOf` returns that of a target. */
export function stateProblem(
  reader: Reader,
  changeOf: (target: string) => ChangeRow | undefined,
  floor: number,
): string | undefined {
  if (levelOf(reader) < STATES_LEVEL) return undefined;
  for (const [target, value] of allStates(reader)) {
    const change = changeOf(target);
    if (change === undefined && floor === 0) return `${target} was observed by no change`;
    if (change !== undefined && madeOther(change, stateHash([value])))
      return `${target} is not as change ${change.seq} observed it`;
  }
  return undefined;
}

const kind = (when: string, subject: string, ...outcomes: Observed["outcome"][]) => {
  return { when, subject, operations: [fleetObserve.name], outcomes };
};

/** The events about what was observed. */
export const stateEvents: OwnEventTable = {
  "cairn.member.down": kind("a full member did not respond for 10 seconds", "the member, as fleet/health/NODE", "down"),
  "cairn.member.up": kind("a member that was down responds again", "the member, as fleet/health/NODE", "up"),
  "cairn.member.leads": kind(
    "another full member than before leads the fleet, and has for 5 seconds",
    "the member, as fleet/leader/NODE",
    "leads",
  ),
  "cairn.condition.raised": kind(
    "a health condition held on a member for 5 seconds",
    "the condition, as fleet/health/NODE/CODE",
    "raised",
  ),
  "cairn.condition.cleared": kind(
    "a condition that was raised holds no longer",
    "the condition, as fleet/health/NODE/CODE",
    "cleared",
  ),
  "cairn.backup.done": kind("a member made a backup", "the member, as fleet/backups/NODE", "done"),
  "cairn.backup.failed": kind("a backup of a member failed", "the member, as fleet/backups/NODE", "failed"),
};
