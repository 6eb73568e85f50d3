// The changes of messages in the feed, as far as a caller may know of them.

import { spaceOf } from "../../access/space.ts";
import type { CallContext } from "../../operation/define.ts";
import type { ChangeRule } from "../../operation/viewer.ts";
import type { Reader } from "../../store/store.ts";
import { type ChangedMessage, changedMessage } from "./rows.ts";
import { mayRead } from "./viewer.ts";

/** Writes whose changes are about messages. */
const MESSAGE_WRITES: ReadonlySet<string> = new Set([
  "message_post",
  "message_edit",
  "message_retract",
  "message_purge",
  "message_ack",
]);

/** Reports whether the changes of a write are about messages. */
export function isAboutMessages(operation: string): boolean {
  return MESSAGE_WRITES.has(operation);
}

/** Reports whether a viewer of a session may know of a change: a change of a message, if it may read the message. */
export const mayReadChange: ChangeRule = ({ operation, seq }, viewer, reader) => {
  if (!isAboutMessages(operation)) return true;
  const changed = changedMessage(reader, seq);
  return changed !== undefined && mayRead(changed.row, viewer);
};

/** Returns what a change did to which message; undefined where the caller may not know of it. */
export function changeFor(reader: Reader, seq: number, context: CallContext): ChangedMessage | undefined {
  const changed = changedMessage(reader, seq);
  if (changed === undefined) return undefined;
  const space = spaceOf(changed.row.session);
  return context.visible(space) && mayRead(changed.row, context.viewer(space)) ? changed : undefined;
}
