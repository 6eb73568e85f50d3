// The event types of MCP Events: their names, the arguments of a subscription to one, and how an occurrence looks.

import { z } from "zod";
import { Fault } from "../../../lib/fault.ts";
import { sha256Hex } from "../../../lib/sha256.ts";
import { spaceArgument } from "../arguments.ts";
import type { Chosen } from "../chosen.ts";
import type { ShownEvent } from "../shown.ts";

/** The type that stands for every event of a space. */
export const ANY_EVENT = "cairn.event";
/** Most types that a subscription to ANY_EVENT chooses. */
const MAX_TYPES = 16;
const MAX_NAME = 256;

/** The name of an event type. */
export const eventName = z.string().min(1).max(MAX_NAME);

const pattern = z.string().min(1).max(512);

/** The arguments of a subscription. */
export const eventArguments = z.strictObject({
  space: spaceArgument.describe("The space of the events."),
  types: z
    .array(z.string().min(1).max(MAX_NAME))
    .min(1)
    .max(MAX_TYPES)
    .optional()
    .describe(`Of ${ANY_EVENT} only: only these types; one that ends with * means all that begin so.`),
  source: pattern.optional().describe("Only events of this source; with * at its end all that begin so."),
  subject: pattern.optional().describe("Only events with this subject; with * at its end all that begin so."),
  own: z.boolean().optional().describe("Also those that you sent yourself (default: only those of others)."),
});

/** The arguments of a subscription as they are written. */
export type EventArguments = z.output<typeof eventArguments>;

/** An occurrence of an event as MCP Events has it. */
export const occurrence = z.object({
  eventId: z.string().describe("The same wherever the event is delivered."),
  name: z.string(),
  timestamp: z.string(),
  data: z.record(z.string(), z.unknown()).describe("The event as CloudEvents 1.0, with its verified caller."),
  cursor: z.string().optional(),
});

/** An occurrence of an event. */
export type Occurrence = z.output<typeof occurrence>;

/** Throws Fault `invalid_input` for types beside a name that is one. */
export function refuseTypes(name: string, { types }: EventArguments): void {
  if (types === undefined || name === ANY_EVENT) return;
  throw new Fault("invalid_input", `${JSON.stringify(name)} is one type, so arguments.types has nothing to choose`, {
    hint: `Leave types out, or subscribe to ${ANY_EVENT}.`,
    details: { field: "arguments.types" },
  });
}

/** Returns which events a subscription takes. */
export function chosenBy(name: string, given: EventArguments): Chosen {
  const { own = false, types, ...wanted } = given;
  return { ...wanted, own, types: name === ANY_EVENT ? types : [name] };
}

/** Returns an event as an occurrence of the type `name`, without a cursor. Its id is the same in every history. */
export function occurrenceOf(event: ShownEvent, offset: number, name: string): Occurrence {
  const { source, id, time: timestamp } = event;
  const eventId = `evt_${sha256Hex(JSON.stringify([source, id, offset])).slice(0, 32)}`;
  return { eventId, name, timestamp, data: { ...event } };
}
