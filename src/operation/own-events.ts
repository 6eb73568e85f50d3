// What Cairn does as events (docs/features.md 4): the types that features declare, what such an event holds, and which
// types a fleet publishes. features/event/own.ts appends them in apply, so everything here is deterministic.

import { z } from "zod";
import type { Change } from "../log/changes.ts";
import { readMeta } from "../log/meta.ts";
import type { Reader } from "../store/store.ts";
import { ServiceKey } from "./services.ts";

/** A type of events about changes. */
export interface OwnEventKind {
  /** When there is one, for people. */
  when: string;
  /** What its `subject` is, for people. */
  subject: string;
  /** Names of the writes whose changes are of this type. */
  operations: readonly string[];
  /** Only changes with these outcomes. Left out: all. */
  outcomes?: readonly string[];
}

/** Types of events by name, `cairn.<noun>.<verb>`. */
export type OwnEventTable = Readonly<Record<string, OwnEventKind>>;

/** The types of the build, by name. */
export const OWN_TYPES: ServiceKey<ReadonlyMap<string, OwnEventKind>> = new ServiceKey("the types of own events");

/** The data of such an event. It holds no text of a row: who may read the row gets it from there. */
export const ownEventData = z.object({
  operation: z.string().describe("The write that made the change."),
  outcome: z.string().describe("What it did, such as created, updated or deleted."),
  version: z.number().int().optional().describe("That of the context; of other subjects the number of their change."),
  caller: z.string().describe("The verified caller that did it; node: the fleet itself."),
  agent: z.string().optional().describe("The agent as which it acted."),
  position: z.string().describe("The change, as in the audit."),
});

/** The data of such an event. */
export type OwnEventData = z.output<typeof ownEventData>;

/** Returns what an event says of a change. The order of its members is that of every build. */
export function ownDataOf({ epoch, seq, operation, outcome, version, caller, agent }: Change): OwnEventData {
  const who = agent === undefined || agent === "" ? { caller } : { caller, agent };
  return { operation, outcome, ...(version > 0 ? { version } : {}), ...who, position: `${epoch}-${seq}` };
}

/** Returns the function that returns the type of the event of a change; undefined where it has none. */
export function ownTypeOf(
  kinds: ReadonlyMap<string, OwnEventKind>,
): (change: Pick<Change, "operation" | "outcome">) => string | undefined {
  const byOperation = Map.groupBy(
    [...kinds].flatMap(([type, { operations, outcomes }]) =>
      operations.map((operation) => ({ operation, type, outcomes })),
    ),
    ({ operation }) => operation,
  );
  return ({ operation, outcome }) =>
    byOperation.get(operation)?.find(({ outcomes }) => outcomes === undefined || outcomes.includes(outcome))?.type;
}

/** Reports whether a pattern of `events.own` names a type: the type itself, or its beginning and `*`. */
export function namesType(pattern: string, type: string): boolean {
  return pattern.endsWith("*") ? type.startsWith(pattern.slice(0, -1)) : pattern === type;
}

/**
 * Returns the function that reports whether the fleet publishes a type, by the setting `events.own` that the store of
 * `reader` has. A fleet without it in its log publishes none.
 */
export function ownWanted(): (reader: Reader, type: string) => boolean {
  let text: string | undefined;
  let patterns: readonly string[] = [];
  return (reader, type) => {
    const now = readMeta(reader, "fleet_settings");
    if (now !== text) patterns = patternsIn(now);
    text = now;
    return patterns.some((pattern) => namesType(pattern, type));
  };
}

function patternsIn(stored: string | undefined): readonly string[] {
  const own = stored === undefined ? undefined : (JSON.parse(stored) as Record<string, unknown>)["events.own"];
  return Array.isArray(own) ? own.filter((each) => typeof each === "string") : [];
}
