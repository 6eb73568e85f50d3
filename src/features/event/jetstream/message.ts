// An event as a message of a stream, and back. Its offset is the sequence of the message.

import { parseObject } from "../../../lib/json-object.ts";
import { sha256Hex } from "../../../lib/sha256.ts";
import type { EventRow } from "../rows.ts";

/** Subjects of a stream: events are spread over so many by their source and id, and one is found among few. */
const SUBJECT_DIGITS = 3;

/** An event as a message has it. */
export interface MessageBody extends Omit<EventRow, "offset" | "log_time"> {
  /** When it was ordered, where it was moved here from another log; left out: when the stream took it. */
  log_time?: number;
  /** The change of the replicated log before which it was ordered. */
  seq: number;
}

/** A kept message, as any read of a stream returns it. */
export interface Kept {
  seq: number;
  data: Uint8Array;
  /** When the stream took it. */
  timeMs: number;
}

/** Returns the subject of an event, among those that begin with `prefix`. */
export function subjectOf(prefix: string, source: string, id: string): string {
  return `${prefix}.${keyOf(source, id).slice(0, SUBJECT_DIGITS)}`;
}

/** Returns the key by which the stream finds duplicates. */
export function keyOf(source: string, id: string): string {
  return sha256Hex(`${source}\n${id}`).slice(0, 40);
}

/** Returns the data of a message. */
export function dataOf(body: MessageBody): Uint8Array {
  return Buffer.from(JSON.stringify(body));
}

/**
 * Returns the event of a message, and the change before which it was ordered. What Cairn did not write there is shown
 * as an event that says so, for admins of the fleet: it has an offset, and must keep no reader from the others.
 */
export function rowOf({ seq: offset, data, timeMs }: Kept): { row: EventRow; seq: number } {
  const body = bodyIn(Buffer.from(data).toString("utf8"));
  if (body === undefined) return { row: strange(offset, timeMs, data.length), seq: 0 };
  const { log_time = timeMs, seq, ...rest } = body;
  return { row: { offset, ...rest, log_time }, seq };
}

const TEXTS = [
  ...(["space", "caller", "agent", "node", "source", "id", "type", "subject", "time"] as const),
  ...(["content_type", "attributes", "data"] as const),
];
const KINDS: ReadonlySet<unknown> = new Set(["none", "json", "text", "base64"]);

function bodyIn(text: string): MessageBody | undefined {
  const body = parseObject(text);
  if (body === undefined || !TEXTS.every((name) => typeof body[name] === "string")) return undefined;
  const { size, seq, log_time = 0, kind } = body;
  const isCount = (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 0;
  return isCount(size) && isCount(seq) && isCount(log_time) && KINDS.has(kind)
    ? (body as unknown as MessageBody)
    : undefined;
}

function strange(offset: number, timeMs: number, bytes: number): EventRow {
  const data = JSON.stringify({ bytes });
  return {
    ...{ offset, space: "fleet", caller: "node", agent: "", node: "", source: "node/nats", id: `${offset}` },
    ...{ type: "nats.unreadable", subject: "", time: "", log_time: timeMs, content_type: "", attributes: "" },
    ...{ size: data.length, kind: "json" as const, data },
  };
}
