// Sessions and messages as operations return them to one viewer: nothing in them tells of a message that the viewer may
// not read.

import { z } from "zod";
import { timeOf } from "../../lib/time-of.ts";
import { LOOK_AT_ROW, SHOW_ROW } from "../../lib/work.ts";
import type { CallContext } from "../../operation/define.ts";
import { shownName } from "../../operation/recipients.ts";
import type { Viewer } from "../../operation/viewer.ts";
import { recipientsOf } from "../../operation/visibility.ts";
import type { Reader } from "../../store/store.ts";
import type { Tally } from "./hidden.ts";
import { MAX_DEPTH, type MessageRow, type MessageWithText, messageAtSeq, type SessionRow } from "./rows.ts";
import { mayRead } from "./viewer.ts";

/** Longest text of a message in a list, in characters; message_get returns all of it. */
export const MAX_LISTED_TEXT = 20_000;

/** Most of those who acknowledged a message that a list names; message_get names more. */
const MAX_LISTED_ACKS = 20;

const someone = {
  author: z.string().describe("Its caller, verified by the tailnet."),
  agent: z.string().optional().describe("The agent of that caller; absent: the caller itself."),
};

/** Schema of a session. */
export const shownSession = z.object({
  session: z.string(),
  space: z.string(),
  purpose: z.string(),
  metadata: z.record(z.string(), z.unknown()).optional(),
  state: z.enum(["open", "closed"]),
  ...someone,
  created_at: z.string(),
  message_count: z.number().int().describe("Messages that you may read."),
  last_at: z.string().optional().describe("When the last of these was posted."),
  closed_at: z.string().optional(),
  closed_by: z.string().optional(),
});

/** Schema of a message. */
export const shownMessage = z.object({
  message: z.string(),
  session: z.string(),
  position: z.string().describe("Its place: message_list takes it as after and before."),
  posted_at: z.string(),
  ...someone,
  client: z.string().optional().describe("As said by the client, never verified."),
  kind: z.string(),
  text: z.string(),
  text_cut: z.literal(true).optional().describe("The text goes on: message_get returns all of it."),
  metadata: z.record(z.string(), z.unknown()).optional(),
  visibility: z.string(),
  to: z.array(z.string()).optional(),
  mentions: z.array(z.string()).optional(),
  parent: z.string().optional().describe("The message that it is a reply to."),
  thread: z.string().optional().describe("The message that began the thread; absent where it is the first itself."),
  depth: z.number().int().optional().describe("How many messages of its thread are above it."),
  version: z.number().int(),
  edited_at: z.string().optional(),
  removed: z.enum(["retracted", "purged"]).optional().describe("Its text was removed."),
  ack_wanted: z.literal(true).optional(),
  acks: z.number().int().optional().describe("How many acknowledged it, where that is wanted."),
  acked: z.boolean().optional().describe("You did."),
  acked_by: z
    .array(z.object({ ...someone, at: z.string() }))
    .optional()
    .describe(`The first ${MAX_LISTED_ACKS} by name, where that is wanted; message_get lists more.`),
});

/** A message as it is returned. */
export type ShownMessage = z.infer<typeof shownMessage>;

/** Returns a session for a viewer, who may read so many of its messages that are not public. */
export function sessionFor(row: SessionRow, hidden: Tally) {
  const lastMs = Math.max(row.public_at, hidden.lastMs);
  const isClosed = row.state === "closed";
  return {
    session: row.id,
    space: row.space,
    purpose: row.purpose,
    ...metadataPart(row.metadata),
    state: row.state,
    ...authorPart(row),
    created_at: timeOf(row.created_at),
    message_count: row.public_count + hidden.count,
    ...(lastMs === 0 ? {} : { last_at: timeOf(lastMs) }),
    ...(isClosed ? { closed_at: timeOf(row.state_at), closed_by: row.state_agent || row.state_caller } : {}),
  };
}

/** Turns rows into messages for one viewer, who may read each of them. Remembers what it looked up above them. */
export class MessagesFor {
  readonly #reader: Reader;
  readonly #viewer: Viewer;
  readonly #context: Pick<CallContext, "spend" | "positionAt">;
  readonly #readable = new Map<number, MessageRow | undefined>();

  constructor(reader: Reader, viewer: Viewer, context: Pick<CallContext, "spend" | "positionAt">) {
    this.#reader = reader;
    this.#viewer = viewer;
    this.#context = context;
  }

  /** Returns one message. `maxText`: most characters of its text. */
  show(row: MessageWithText, maxText = Number.POSITIVE_INFINITY): ShownMessage {
    this.#context.spend(SHOW_ROW + row.text.length);
    const text = cutText(row.text, maxText);
    return {
      message: row.id,
      session: row.session,
      position: this.#context.positionAt(row.seq),
      posted_at: timeOf(row.posted_at),
      ...authorPart(row),
      ...(row.client === "" ? {} : { client: row.client }),
      kind: row.kind,
      text,
      ...(text === row.text ? {} : { text_cut: true as const }),
      ...metadataPart(row.metadata),
      visibility: row.visibility,
      ...namesPart("to", row.recipients),
      ...namesPart("mentions", row.mentions),
      ...this.#threadPart(row),
      version: row.version,
      ...(row.edited_at === 0 ? {} : { edited_at: timeOf(row.edited_at) }),
      ...(row.removed === "" ? {} : { removed: row.removed }),
      ...(row.wants_ack === 1 ? this.#ackPart(row) : {}),
    };
  }

  /** A message whose parent the viewer may not read begins a thread. Authors who read less can make it deeper. */
  #threadPart(row: MessageRow) {
    const parent = this.#readableParent(row);
    if (parent === undefined) return {};
    let first = parent;
    let depth = 1;
    for (; depth < MAX_DEPTH; depth += 1) {
      const above = this.#readableParent(first);
      if (above === undefined) break;
      first = above;
    }
    return { parent: parent.id, thread: first.id, depth };
  }

  #readableParent({ parent }: MessageRow): MessageRow | undefined {
    if (parent === 0) return undefined;
    if (!this.#readable.has(parent)) {
      this.#context.spend(LOOK_AT_ROW);
      const row = messageAtSeq(this.#reader, parent);
      this.#readable.set(parent, row !== undefined && mayRead(row, this.#viewer) ? row : undefined);
    }
    return this.#readable.get(parent);
  }

  #ackPart({ seq }: MessageRow) {
    const count = this.#reader.get<{ n: number }>("SELECT COUNT(*) AS n FROM message_acks WHERE message = ?", seq);
    const ackedBy = acksOf(this.#reader, seq, MAX_LISTED_ACKS);
    this.#context.spend(LOOK_AT_ROW * ackedBy.length);
    return {
      ack_wanted: true as const,
      acks: count?.n ?? 0,
      acked: hasAcknowledged(this.#reader, seq, this.#viewer),
      acked_by: ackedBy,
    };
  }
}

/** Returns those who acknowledged a message, by name, at most so many. */
export function acksOf(reader: Reader, seq: number, limit: number) {
  const rows = reader.all<{ caller: string; agent: string; at: number }>(
    "SELECT caller, agent, at FROM message_acks WHERE message = ? ORDER BY caller, agent LIMIT +?",
    seq,
    limit,
  );
  return rows.map(({ at, ...each }) => ({ ...authorPart(each), at: timeOf(at) }));
}

/** Reports whether the viewer acknowledged a message. */
export function hasAcknowledged(reader: Reader, seq: number, { callers, agent = "" }: Viewer): boolean {
  const sql = "SELECT 1 FROM message_acks WHERE message = ? AND caller = ? AND agent = ?";
  return callers.some((caller) => reader.get(sql, seq, caller, agent) !== undefined);
}

/** Returns the beginning of a text, without half of a character at its end. */
function cutText(text: string, max: number): string {
  if (text.length <= max) return text;
  const end = /[\ud800-\udbff]/.test(text[max - 1] ?? "") ? max - 1 : max;
  return text.slice(0, end);
}

/** Returns caller and agent as members of an output. */
export function authorPart({ caller, agent }: { caller: string; agent: string }) {
  return { author: caller, ...(agent === "" ? {} : { agent }) };
}

function metadataPart(metadata: string): { metadata?: Record<string, unknown> } {
  return metadata === "" ? {} : { metadata: JSON.parse(metadata) };
}

function namesPart<Name extends "to" | "mentions">(name: Name, framed: string): { [Key in Name]?: string[] } {
  return framed === "" ? {} : ({ [name]: recipientsOf(framed).map(shownName) } as { [Key in Name]?: string[] });
}
