// Who reads messages: the rule of visibility over their rows, for reads, and for writes that name a message.

import type { Viewer } from "../../operation/viewer.ts";
import { mayRead as mayReadRow, recipientsOf } from "../../operation/visibility.ts";
import type { Reader } from "../../store/store.ts";
import { type MessageRow, messageRow, noMessage } from "./rows.ts";

/** Reports whether the viewer, who may read the space, may read a message. */
export function mayRead({ visibility, caller, agent, type, recipients }: MessageRow, viewer: Viewer): boolean {
  return mayReadRow({ visibility, author: { caller, agent, type }, to: recipientsOf(recipients) }, viewer);
}

/** Reports whether the viewer is the author of a message: what a private row without recipients asks. */
export function isAuthor({ caller, agent }: Pick<MessageRow, "caller" | "agent">, viewer: Viewer): boolean {
  return mayReadRow({ visibility: "private", author: { caller, agent }, to: [] }, viewer);
}

/** Reports whether somebody is exactly the viewer: as the same agent, or as the caller itself. */
export function isSame({ caller, agent }: { caller: string; agent: string }, viewer: Viewer): boolean {
  return viewer.callers.includes(caller) && agent === (viewer.agent ?? "");
}

/** Returns a message that the viewer may read. Throws Fault `not_found`. */
export function readableMessage(reader: Reader, session: string, id: string, viewer: Viewer): MessageRow {
  const row = messageRow(reader, session, id);
  if (row === undefined || !mayRead(row, viewer)) throw noMessage(session, id);
  return row;
}
