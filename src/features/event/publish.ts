// event_publish and event_publish_many: take events of a caller, complete and check them, and append them in batches.

import { z } from "zod";
import { MAX_DOCUMENT_INPUT_BYTES } from "../../lib/bounds.ts";
import { Fault, writeFault } from "../../lib/fault.ts";
import { isObject } from "../../lib/json-object.ts";
import { sha256Hex } from "../../lib/sha256.ts";
import type { Surface } from "../../operation/call.ts";
import { type MacroOperation, type MacroSteps, macro, type Operation } from "../../operation/define.ts";
import { NODE } from "../../operation/node-parts.ts";
import type { Services } from "../../operation/services.ts";
import { spaceArgument } from "./arguments.ts";
import { Batches, type Placed } from "./batches.ts";
import { cursorText } from "./cursor.ts";
import { EVENT_LOG, type EventLog } from "./event-log.ts";
import { tracedItem } from "./event-trace.ts";
import { type EventItem, itemOf, MAX, RESERVED, type SaidEvent, sizeOf } from "./item.ts";
import { EVENT_METER } from "./meter.ts";
import { appendAnywhere } from "./moves/movable-log.ts";

/** Most events of one call. */
export const MAX_PUBLISHED = 1000;
/** The source of an event whose sender named none. */
const OWN_SOURCE = "self";

const publishedEvent = {
  id: z.string().describe("Of the event: yours, or the one that it was given."),
  cursor: z.string().describe("Place of the event in the log."),
  duplicate: z.boolean().describe("It was there already: same caller, source and id within the window."),
};

const error = z.object({
  code: z.string(),
  field: z.string().optional().describe("The part of the event that is wrong."),
  message: z.string(),
  hint: z.string().optional(),
});

const singleInput = z.object({
  space: spaceArgument.optional().describe("Space of the event (default: default)."),
  type: z.string().max(MAX.type).describe("What happened, such as build.done."),
  id: z.string().max(MAX.id).optional().describe("Yours, to send it twice and have it once (default: a new one)."),
  source: z
    .string()
    .max(MAX.source)
    .optional()
    .describe("Which part of you: a URI reference, such as ci (default: self)."),
  subject: z.string().max(MAX.subject).optional().describe("What it is about."),
  time: z.string().max(64).optional().describe("When it happened, RFC 3339 (default: when it is ordered)."),
  data: z.unknown().optional().describe("A JSON value, or text with a datacontenttype that is not JSON."),
  data_base64: z.string().optional().describe("Bytes as base64, in place of data."),
  datacontenttype: z.string().max(MAX.contentType).optional().describe("Media type of data (default: JSON)."),
  extensions: z
    .record(z.string(), z.unknown())
    .optional()
    .describe("Further attributes: names of a-z and 0-9; values text, true, false or whole numbers."),
});
const durability = z
  .string()
  .optional()
  .describe("Which promise an acknowledged event has. The header Cairn-Durability has it too.");
const singleOutput = z.object({ ...publishedEvent, durability });

const manyInput = z.object({
  space: spaceArgument.optional().describe("Space of the events (default: default)."),
  events: z
    // Each is judged by itself, also where it is no object.
    .array(z.unknown().meta({ type: "object" }))
    .max(MAX_PUBLISHED)
    .describe("Each as a JSON object: the arguments of event_publish, or an event of CloudEvents 1.0."),
});
const manyOutput = z.object({
  results: z
    .array(z.union([z.object(publishedEvent), z.object({ id: z.string().optional(), error })]))
    .describe("One for each event, in order."),
  durability,
});

/** The outcome of one event. */
type Result = z.output<typeof manyOutput>["results"][number];

/** An edge has no log of events, but publishes. */
const OF_AN_EDGE: Pick<EventLog, "append"> = {
  append: (steps, space, items) => appendAnywhere(steps, space, items),
};

/** Returns the operations. */
export function publishOperations(node: Services): readonly Operation[] {
  const batches = new Batches(() => node.find(EVENT_LOG) ?? OF_AN_EDGE);
  const tools: PublishTools = {
    batches,
    maxBytes: () => node.get(NODE).limits().events.maxBytes,
    count: (surface, status, item) => node.find(EVENT_METER)?.published(surface, status, item && bytesOf(item)),
  };
  return [publishOne(tools), publishMany(tools)];
}

/** What both operations work with. */
interface PublishTools {
  batches: Batches;
  /** Reads the settings of the fleet: once a call, not for each event. */
  maxBytes: () => number;
  /** Counts an event for the metrics. `item`: one that was published. */
  count: (surface: Surface, status: "success" | "error", item?: EventItem) => void;
}

function bytesOf(item: EventItem): number {
  return sizeOf(item, JSON.stringify(item.extensions));
}

function publishOne({
  batches,
  maxBytes,
  count,
}: PublishTools): MacroOperation<typeof singleInput, typeof singleOutput> {
  return macro({
    name: "event_publish",
    title: "Publish an event",
    search: "emit, send event, notify, trigger, announce, fire, publish",
    description:
      "Publishes that something happened, for all who may read the space: durable, in order, and replayable while it is kept. Send an id of your own to repeat a call safely.",
    input: singleInput,
    example: { space: "team-a", type: "build.done", source: "ci", id: "build-7", data: { ok: true } },
    samples: {
      ...{ subject: "main", time: "2026-11-29T16:31:00Z", datacontenttype: "application/json" },
      ...{ extensions: { severity: "low" }, data_base64: "eyJvayI6dHJ1ZX0=" },
    },
    maxInputBytes: MAX_DOCUMENT_INPUT_BYTES,
    output: singleOutput,
    access: { verb: "write", spaces: ({ space }) => [space ?? "default"] },
    hints: { idempotent: false },
    aliases: { event_type: "type", event_id: "id", payload: "data", content_type: "datacontenttype" },
    async run({ space = "default", extensions = {}, ...said }, steps) {
      try {
        const most = maxBytes();
        const item = itemOf({ ...completed(said, steps, 0), extensions }, most);
        const [placing] = batches.append(steps, space, [item], tracer(steps, most));
        if (placing === undefined) throw new Error("an event without an outcome");
        const placed = await placing;
        count(steps.surface, "success", item);
        return { ...publishedOf(item, placed), ...promiseOf([placed]) };
      } catch (error) {
        count(steps.surface, "error");
        throw error;
      }
    },
  });
}

function publishMany({ batches, maxBytes, count }: PublishTools): MacroOperation<typeof manyInput, typeof manyOutput> {
  return macro({
    name: "event_publish_many",
    title: "Publish events",
    search: "bulk publish, batch of events, emit many, ingest",
    description:
      "Publishes up to 1,000 events at once, in their order. The result has one outcome for each: an event that is refused keeps no other one from being published.",
    input: manyInput,
    example: { space: "team-a", events: [{ type: "test.passed", data: { name: "parser" } }, { type: "build.done" }] },
    maxInputBytes: MAX_DOCUMENT_INPUT_BYTES,
    output: manyOutput,
    access: { verb: "write", spaces: ({ space }) => [space ?? "default"] },
    hints: { idempotent: false },
    async run({ space = "default", events }, steps) {
      const most = maxBytes();
      const items = events.map((raw, index) => itemOrFault(() => itemOf(saidOf(raw, steps, index), most)));
      const good = items.filter((item): item is EventItem => !(item instanceof Fault));
      const placed = batches.append(steps, space, good, tracer(steps, most));
      const outcomes = await Promise.allSettled(placed);
      for (const item of items) if (item instanceof Fault) count(steps.surface, "error");
      for (const [index, { status }] of outcomes.entries())
        if (status === "fulfilled") count(steps.surface, "success", good[index]);
        else count(steps.surface, "error");
      refuseAll(outcomes, good.length === items.length);
      let next = 0;
      const results = items.map((item, index): Result => {
        if (item instanceof Fault) return refused(idOf(events[index]), item);
        const outcome = outcomes[next++];
        if (outcome?.status === "fulfilled") return publishedOf(item, outcome.value);
        if (outcome?.reason instanceof Fault) return refused(item.id, outcome.reason);
        throw outcome?.reason;
      });
      return { results, ...promiseOf(outcomes.flatMap((each) => (each.status === "fulfilled" ? [each.value] : []))) };
    },
  });
}

/** Returns what adds the trace of the call to an event. */
function tracer({ trace }: MacroSteps, maxBytes: number): (item: EventItem) => EventItem {
  return (item) => tracedItem(item, trace, maxBytes);
}

/** Returns which promise events have, as a member of the answer: what the log said that took the last of them. */
function promiseOf(placed: readonly Placed[]): { durability?: string } {
  const durability = placed.findLast((each) => each.durability !== undefined)?.durability;
  return durability === undefined ? {} : { durability };
}

/** Where every event failed for one reason, that is the answer to the call: a node without a leader, a quota. */
function refuseAll(outcomes: readonly PromiseSettledResult<Placed>[], areAll: boolean): void {
  const reasons = outcomes.map((outcome) => (outcome.status === "rejected" ? outcome.reason : undefined));
  if (areAll && reasons[0] instanceof Fault && reasons.every((reason) => reason === reasons[0])) throw reasons[0];
}

function itemOrFault(make: () => EventItem): EventItem | Fault {
  try {
    return make();
  } catch (error) {
    if (error instanceof Fault) return error;
    throw error;
  }
}

function publishedOf({ id }: EventItem, { epoch, offset, duplicate }: Placed): z.output<typeof singleOutput> {
  return { id, cursor: cursorText(epoch, offset), duplicate };
}

function refused(id: string | undefined, fault: Fault): Result {
  const { code, message, hint, details = {} } = writeFault(fault);
  const { field } = details;
  return {
    ...(id === undefined ? {} : { id }),
    error: { code, ...(typeof field === "string" ? { field } : {}), message, ...(hint === undefined ? {} : { hint }) },
  };
}

function idOf(raw: unknown): string | undefined {
  return isObject(raw) && typeof raw["id"] === "string" ? raw["id"].slice(0, 256) : undefined;
}

/** Attributes of CloudEvents that are no extension, and those that only the arguments have. */
const KNOWN: ReadonlySet<string> = new Set([...RESERVED, "extensions", "data_base64"]);

/** Returns an event in the JSON format of CloudEvents, or as the arguments of event_publish. */
function saidOf(raw: unknown, steps: MacroSteps, index: number): SaidEvent {
  if (!isObject(raw))
    throw new Fault("invalid_input", "An event must be a JSON object", { details: { field: "event" } });
  const { specversion, extensions = {}, id, source, type, subject, time, datacontenttype, data, data_base64 } = raw;
  if (specversion !== undefined && specversion !== "1.0") {
    throw new Fault("invalid_input", `event: specversion is ${JSON.stringify(specversion)?.slice(0, 80)}`, {
      hint: 'Send specversion "1.0".',
      details: { field: "specversion" },
    });
  }
  if (!isObject(extensions))
    throw new Fault("invalid_input", "event: extensions must be an object", { details: { field: "extensions" } });
  const further = Object.keys(raw).filter((name) => !KNOWN.has(name));
  const own =
    further.length === 0
      ? extensions
      : { ...Object.fromEntries(further.map((name) => [name, raw[name]])), ...extensions };
  const said = { id, source, type, subject, time, datacontenttype, data, data_base64, extensions: own };
  return specversion === undefined ? completed(said, steps, index) : said;
}

/**
 * Adds the id and the source that a sender left out who sent no CloudEvent: with a key the same id each time, else one
 * that sorts behind those before it. Random ids would dirty a page of the index of ids for each event.
 */
function completed<T extends { id?: unknown; source?: unknown }>(said: T, { key }: MacroSteps, index: number): T {
  const id = said.id ?? (key === undefined ? Bun.randomUUIDv7() : sha256Hex(`${key} ${index}`).slice(0, 32));
  return { ...said, id, source: said.source ?? OWN_SOURCE };
}
