// event_position: keeps how far a reader has come, by a name, for readers that keep nothing themselves: the event
// source of Argo Events, which dials again and again.

import { z } from "zod";
import { Fault } from "../../lib/fault.ts";
import { WRITE_ROW } from "../../lib/work.ts";
import { type EventPlace, write } from "../../operation/define.ts";
import type { Reader } from "../../store/store.ts";
import { cursorArgument } from "./arguments.ts";
import { cursorText, logNameOf } from "./cursor.ts";
import { headFor, offsetFor, placeIn } from "./moves/limits.ts";
import { EVENT_LEVEL } from "./rows.ts";

/** Most positions of one caller. */
const MAX_POSITIONS = 256;

interface PositionCommand {
  reader: string;
  cursor?: string | undefined;
  remove: boolean;
  place?: EventPlace;
}

/** Keeps a position, or returns the one that is kept. */
export const eventPosition = write({
  name: "event_position",
  v: 1,
  level: EVENT_LEVEL,
  isTool: false,
  title: "Keep a position in the events",
  search: "consumer offset, acknowledge events, commit position, resume",
  description:
    "Keeps how far a reader of yours has come in the events, and returns it. Without cursor it returns the position that is kept; a reader without one begins with the next event.",
  input: z.object({
    reader: z
      .string()
      .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, "must be letters, digits, dots, hyphens and underscores, at most 64")
      .describe("Name of the reader, among yours."),
    cursor: cursorArgument.optional().describe("Every event up to it was taken."),
    remove: z.boolean().optional().describe("Forget the reader."),
  }),
  example: { reader: "argo-prod" },
  samples: { cursor: "1f3a9c0b22-e0" },
  output: z.object({
    reader: z.string(),
    cursor: z.string().describe("Pass it as since of event_wait and event_list, or of a stream."),
  }),
  access: { verb: "read", spaces: "visible" },
  hints: { idempotent: true },
  aliases: { since: "cursor", name: "reader" },
  work: () => 2 * WRITE_ROW,
  prepare: ({ reader, cursor, remove = false }, limits): PositionCommand => ({
    ...placeIn(limits),
    reader,
    remove,
    ...(cursor === undefined ? {} : { cursor }),
  }),
  asked: ({ place: _, ...rest }) => rest,
  apply(tx, { reader, cursor, remove, place }, { caller }) {
    const kept = keptPosition(tx, caller, reader);
    if (remove) tx.run("DELETE FROM event_positions WHERE caller = ? AND reader = ?", caller, reader);
    if (cursor !== undefined) offsetFor(tx, place, cursor);
    const now = cursor ?? kept ?? cursorText(logNameOf(tx), headFor(tx, place).tail);
    if (!remove && now !== kept) {
      if (kept === undefined) refuseMore(tx, caller);
      tx.run(
        "INSERT INTO event_positions (caller, reader, cursor) VALUES (?,?,?) " +
          "ON CONFLICT (caller, reader) DO UPDATE SET cursor = excluded.cursor",
        ...[caller, reader, now],
      );
    }
    return { output: { reader, cursor: now }, changes: [] };
  },
});

function keptPosition(reader: Reader, caller: string, name: string): string | undefined {
  const sql = "SELECT cursor FROM event_positions WHERE caller = ? AND reader = ?";
  return reader.get<{ cursor: string }>(sql, caller, name)?.cursor;
}

function refuseMore(reader: Reader, caller: string): void {
  const count = reader.get<{ n: number }>("SELECT COUNT(*) AS n FROM event_positions WHERE caller = ?", caller)?.n ?? 0;
  if (count < MAX_POSITIONS) return;
  throw new Fault(
    "quota_exceeded",
    `The caller ${caller} has ${count} positions in the events; the limit is ${MAX_POSITIONS}`,
    {
      hint: "Remove those of readers that are gone: event_position with remove.",
      details: { limit: MAX_POSITIONS },
    },
  );
}
