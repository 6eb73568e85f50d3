// An event as a message of a stream, and back. Its offset is the sequence of the message.

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

/** Returns the event of a message, and the change before which it was ordered. */
export function rowOf({ seq: offset, data, timeMs }: Kept): { row: EventRow; seq: number } {
  const { log_time = timeMs, seq, ...body } = JSON.parse(Buffer.from(data).toString("utf8")) as MessageBody;
  return { row: { offset, ...body, log_time }, seq };
}
