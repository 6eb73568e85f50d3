// Opens a cursor in the feed of changes, from where an operation says.

import type { CallContext, Follow } from "./define.ts";
import { ChangeCursor } from "./follow.ts";

/** Returns a cursor in the feed of changes, from where an operation says. */
export async function changeCursor({ since, show }: Follow, context: CallContext): Promise<ChangeCursor> {
  const seq = since === undefined ? context.position().seq : await context.reach(since);
  const cursor = context.changes.cursor(seq);
  return new ChangeCursor({ cursor, position: context.positionAt(seq), show, spend: context.spend });
}
