// An event as callers see it: CloudEvents 1.0 in its JSON format, with what Cairn adds.

import { z } from "zod";
import { parseExact } from "../../lib/json-value.ts";
import { timeOf } from "../../lib/time-of.ts";
import { cursorText } from "./cursor.ts";
import type { EventRow } from "./rows.ts";

/** An event in the JSON format of CloudEvents 1.0. Extensions are members beside these. */
export const shownEvent = z.looseObject({
  specversion: z.literal("1.0"),
  id: z.string(),
  source: z.string().describe("The sender's own, behind the verified caller and a slash."),
  type: z.string(),
  subject: z.string().optional(),
  time: z.string().describe("That of the sender; where it gave none, when the event was ordered."),
  datacontenttype: z.string().optional(),
  data: z.unknown().optional(),
  data_base64: z.string().optional(),
  cairncaller: z.string().describe("The verified caller."),
  cairnagent: z.string().optional().describe("The agent as which it acted."),
  cairnnode: z.string().optional().describe("The member that took the event."),
  cairnspace: z.string(),
  cairntime: z.string().describe("When the event was ordered."),
  cairnposition: z.string().describe("The cursor of the event: pass it as since to go on behind it."),
});

/** An event as callers see it. */
export type ShownEvent = z.output<typeof shownEvent>;

/** Returns an event as callers see it. `epoch`: of the history that the store follows. */
export function shown(row: EventRow, epoch: string): ShownEvent {
  const ordered = timeOf(row.log_time);
  return {
    specversion: "1.0",
    ...{ id: row.id, source: row.source, type: row.type },
    ...(row.subject === "" ? {} : { subject: row.subject }),
    time: row.time === "" ? ordered : row.time,
    ...(row.content_type === "" ? {} : { datacontenttype: row.content_type }),
    ...(row.attributes === "" ? {} : (JSON.parse(row.attributes) as Record<string, unknown>)),
    ...{ cairncaller: row.caller, cairnspace: row.space, cairntime: ordered },
    ...(row.agent === "" ? {} : { cairnagent: row.agent }),
    ...(row.node === "" ? {} : { cairnnode: row.node }),
    cairnposition: cursorText(epoch, row.offset),
    ...dataOf(row),
  };
}

function dataOf({ kind, data }: EventRow): { data?: unknown; data_base64?: string } {
  switch (kind) {
    case "none":
      return {};
    case "json":
      return { data: parseExact(data) };
    case "text":
      return { data };
    case "base64":
      return { data_base64: data };
  }
}
