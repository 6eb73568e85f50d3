// event_append: the one write of events. A command has the events of one caller for one space, up to 512 of them; it
// gives them offsets, finds duplicates, and makes one change row, which is in no feed.

import { z } from "zod";
import { MAX_DOCUMENT_INPUT_BYTES } from "../../lib/bounds.ts";
import { canonicalJson } from "../../lib/canonical-json.ts";
import { Fault } from "../../lib/fault.ts";
import { WRITE_BYTE } from "../../lib/work.ts";
import { readMeta } from "../../log/meta.ts";
import { type ApplyStamp, write } from "../../operation/define.ts";
import type { Writer } from "../../store/store.ts";
import { spaceArgument } from "./arguments.ts";
import { tracedItem } from "./event-trace.ts";
import { HOPS, hopsOf } from "./hops.ts";
import { type EventItem, eventItem, sizeOf } from "./item.ts";
import { refuseElsewhere } from "./moves/place.ts";
import {
  EVENT_LEVEL,
  EVENT_ROW_BYTES,
  type EventHead,
  type EventRow,
  epochOf,
  eventHead,
  segmentHash,
} from "./rows.ts";

/** Most events of one command. */
export const MAX_APPENDED = 512;
/** Units of work of one event beside its bytes. */
const APPEND_EVENT = 20_000;
/** How long a caller at its quota is asked to wait, in seconds: retention frees room. */
const QUOTA_RETRY_S = 60;

/** An event in a command: what apply writes beside what it gives itself. */
export type Packed = Omit<EventRow, "offset" | "space" | "caller" | "agent" | "node" | "log_time">;

interface AppendCommand {
  space: string;
  node: string;
  events: Packed[];
  dedupe_ms: number;
  caller_bytes: number;
  space_bytes: number;
  /** Of the fleet, for the promise that the answer says. */
  voters?: number;
}

/** What the command answers. */
export interface Appended {
  /** The history in which the offsets are. */
  epoch: string;
  /** Of each event, in order; that of the first one for a duplicate. */
  offsets: number[];
  /** Places in `offsets` of those that were there already. */
  duplicates: number[];
  /** Places in `offsets` of those that have been in this fleet before, with offset 0: they are not appended. */
  looped: number[];
  /** Which promise these events have; an edge knows it of no log. */
  durability?: string;
  /** Those that were not appended, or of which that is unknown; a command has none, because it is all or none. */
  failed?: FailedEvent[];
}

/** An event that a log outside did not acknowledge. */
export interface FailedEvent {
  /** Its place among the events. */
  at: number;
  code: "too_large" | "event_log_unavailable";
  message: string;
  /** It may have been appended. */
  unknown: boolean;
}

/** Appends events. */
export const eventAppend = write({
  name: "event_append",
  v: 1,
  level: EVENT_LEVEL,
  apart: true,
  isTool: false,
  title: "Append events",
  description:
    "Appends up to 512 checked events of one space in one command: all or none. For programs; event_publish and event_publish_many check and complete events, and put those of several calls together.",
  input: z.object({
    space: spaceArgument.optional().describe("Space of the events (default: default)."),
    events: z.array(eventItem).min(1).max(MAX_APPENDED).describe("The events, their sources without the caller."),
  }),
  example: {
    space: "team-a",
    events: [{ id: "1", source: "ci", type: "build.done", extensions: {}, kind: "json", data: '{"ok":true}' }],
  },
  maxInputBytes: MAX_DOCUMENT_INPUT_BYTES,
  output: z.object({
    epoch: z.string(),
    offsets: z.array(z.number().int()),
    duplicates: z.array(z.number().int()).describe("Places of events that were there already."),
    looped: z.array(z.number().int()).describe("Places of events that this fleet has passed on before: not appended."),
    durability: z.string().optional().describe("Which promise these events have."),
  }),
  access: { verb: "write", spaces: ({ space }) => [space ?? "default"] },
  hints: { idempotent: true },
  work: ({ events }: AppendCommand) =>
    events.reduce((sum, { size }) => sum + APPEND_EVENT + WRITE_BYTE * size, APPEND_EVENT),
  prepare: (input, limits, proposer): AppendCommand => ({
    space: input.space ?? "default",
    node: proposer?.node ?? "",
    events: input.events.map((item) =>
      packed(tracedItem(item, proposer?.trace, limits.events.maxBytes), limits.events.maxBytes),
    ),
    dedupe_ms: limits.events.dedupeSeconds * 1000,
    caller_bytes: limits.events.callerBytes,
    space_bytes: limits.events.spaceBytes,
    ...(limits.events.voters === undefined ? {} : { voters: limits.events.voters() }),
  }),
  asked: ({ space, events }) => ({ space, events }),
  apply: (tx, command, stamp) => {
    refuseElsewhere(tx);
    const head = eventHead(tx);
    const { rows, ...found } = append(tx, command, stamp, head.tail);
    const { voters } = command;
    const promise = voters === undefined ? {} : { durability: replicatedPromise(voters) };
    const output: Appended = { epoch: epochOf(tx), ...found, ...promise };
    if (rows.length === 0) return { output, changes: [] };
    const hash = writeSegment(tx, head, rows, stamp);
    countUsage(tx, command, stamp.caller, bytesOf(rows));
    const change = { target: `${command.space}/events`, version: rows.length, contentHash: hash, outcome: "published" };
    return { output, changes: [change] };
  },
});

/** Returns which promise an acknowledged event of the replicated log has. */
export function replicatedPromise(voters: number): string {
  return `replicated; voters=${voters}; sync=always`;
}

/** Returns what is written of an event. Throws Fault `too_large`. */
export function packed(item: EventItem, maxBytes: number): Packed {
  const { id, source, type, subject = "", time = "", datacontenttype = "", extensions, kind, data } = item;
  const attributes = Object.keys(extensions).length === 0 ? "" : canonicalJson(extensions);
  const size = sizeOf(item, attributes);
  if (size > maxBytes) throw tooLarge(id, size, maxBytes);
  return { source, id, type, subject, time, content_type: datacontenttype, attributes, size, kind, data };
}

/** The refusal of an event that has more bytes than a log takes. */
export function tooLarge(id: string, size: number, limit: number): Fault {
  return new Fault("too_large", `The event ${JSON.stringify(id)} has ${size} bytes; the limit is ${limit}`, {
    hint: "Put the data into a context and its id into the event.",
    details: { field: "data", limit },
  });
}

const COLUMNS = [
  ...(["offset", "space", "caller", "agent", "node", "source", "id", "type", "subject", "time"] as const),
  ...(["log_time", "content_type", "attributes", "size", "kind", "data"] as const),
];
/** With `max`, the other columns are those of its row. */
const SAME =
  "SELECT id, max(offset) AS offset, log_time FROM events " +
  "WHERE source = ? AND id IN (SELECT value FROM json_each(?)) GROUP BY id";

/** Writes the events that are no duplicates. */
function append(
  tx: Writer,
  { space, node, events, dedupe_ms }: AppendCommand,
  { caller, agent = "", timeMs }: ApplyStamp,
  tail: number,
): Omit<Appended, "epoch"> & { rows: EventRow[] } {
  const rows: EventRow[] = [];
  const offsets: number[] = [];
  const duplicates: number[] = [];
  const looped: number[] = [];
  const fleet = readMeta(tx, "fleet_id");
  const newest = newestOf(tx, caller, events);
  for (const [index, event] of events.entries()) {
    if (fleet !== undefined && hopsIn(event).includes(fleet)) {
      offsets.push(0);
      looped.push(index);
      continue;
    }
    const ofSource = newest.get(event.source);
    const same = ofSource?.get(event.id);
    if (same !== undefined && same.log_time > timeMs - dedupe_ms) {
      offsets.push(same.offset);
      duplicates.push(index);
      continue;
    }
    const offset = tail + rows.length + 1;
    const source = `${caller}/${event.source}`;
    rows.push({ ...event, offset, space, caller, agent, node, source, log_time: timeMs });
    ofSource?.set(event.id, { offset, log_time: timeMs });
    offsets.push(offset);
  }
  insertRows(tx, rows);
  return { rows, offsets, duplicates, looped };
}

/** Returns where the newest kept event of each source and id is, of those that come again. */
function newestOf(tx: Writer, caller: string, events: readonly Packed[]): Map<string, Map<string, Kept>> {
  const newest = new Map<string, Map<string, Kept>>();
  for (const [source, those] of Map.groupBy(events, (event) => event.source)) {
    const ids = JSON.stringify(those.map(({ id }) => id));
    const found = tx.all<Kept & { id: string }>(SAME, `${caller}/${source}`, ids);
    newest.set(source, new Map(found.map(({ id, ...kept }) => [id, kept])));
  }
  return newest;
}

/** Where an event is, and when it was ordered. */
type Kept = Pick<EventRow, "offset" | "log_time">;

function hopsIn({ attributes }: Packed): string[] {
  if (!attributes.includes(`"${HOPS}"`)) return [];
  return hopsOf((JSON.parse(attributes) as Record<string, unknown>)[HOPS]);
}

function bytesOf(rows: readonly EventRow[]): number {
  return rows.reduce((sum, { size }) => sum + size + EVENT_ROW_BYTES, 0);
}

function insertRows(tx: Writer, rows: readonly EventRow[]): void {
  tx.insert(
    "events",
    COLUMNS,
    rows.map((row) => COLUMNS.map((column) => row[column])),
  );
}

/**
 * Appends events with their offsets, as a segment of their own, and returns its hash. Their bytes count, but no limit
 * holds: they were taken before, or tell what has happened.
 */
export function appendRows(tx: Writer, head: EventHead, rows: readonly EventRow[], stamp: SegmentStamp): string {
  insertRows(tx, rows);
  const hash = writeSegment(tx, head, rows, stamp);
  for (const { caller, space, size } of rows) {
    const bytes = size + EVENT_ROW_BYTES;
    addUsage(tx, { kind: "caller", name: caller, bytes, limit: 0 });
    addUsage(tx, { kind: "space", name: space, bytes, limit: 0 });
  }
  return hash;
}

/** The change of a segment, and its log time. */
type SegmentStamp = Pick<ApplyStamp, "seq" | "timeMs">;

/** Returns the hash of the segment. */
function writeSegment(tx: Writer, head: EventHead, rows: readonly EventRow[], stamp: SegmentStamp): string {
  const hash = segmentHash(head.hash, rows);
  const tail = head.tail + rows.length;
  const bytes = bytesOf(rows);
  tx.run(
    "INSERT INTO event_segments (last, first, seq, log_time, bytes, hash) VALUES (?,?,?,?,?,?)",
    ...[tail, head.tail + 1, stamp.seq, stamp.timeMs, bytes, hash],
  );
  tx.run("UPDATE event_head SET tail = ?, hash = ?, bytes = bytes + ? WHERE one = 1", tail, hash, bytes);
  return hash;
}

/** Throws Fault `rate_limited` where caller or space would have more than it may. */
function countUsage(tx: Writer, command: AppendCommand, caller: string, bytes: number): void {
  addUsage(tx, { kind: "caller", name: caller, bytes, limit: command.caller_bytes });
  addUsage(tx, { kind: "space", name: command.space, bytes, limit: command.space_bytes });
}

interface Addition {
  kind: "caller" | "space";
  name: string;
  /** Negative: removed. */
  bytes: number;
  /** 0: none. */
  limit: number;
}

/** Adds to the bytes of kept events of a caller or a space. Throws Fault `rate_limited` above the limit. */
export function addUsage(tx: Writer, { kind, name, bytes, limit }: Addition): void {
  const used = tx.get<{ bytes: number }>(
    "INSERT INTO event_usage (kind, name, bytes) VALUES (?,?,?) " +
      "ON CONFLICT (kind, name) DO UPDATE SET bytes = bytes + excluded.bytes RETURNING bytes",
    ...[kind, name, bytes],
  );
  if (limit === 0 || bytes < 0 || used === undefined || used.bytes <= limit) return;
  const owner = kind === "caller" ? `The caller ${name}` : `The space ${JSON.stringify(name)}`;
  throw new Fault("rate_limited", `${owner} would have ${used.bytes} bytes of kept events; the quota is ${limit}`, {
    hint:
      `Wait until retention has removed older ones, or ask an admin to keep them for less time (events.keep_hours) or ` +
      `to raise events.${kind}_bytes: \`cairn fleet settings\`.`,
    details: { quota: kind, limit, used: used.bytes - bytes, retryAfterSeconds: QUOTA_RETRY_S },
  });
}
