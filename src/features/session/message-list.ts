// message_list: pages of the messages of a session, or of one thread.

import { z } from "zod";
import { spaceOf } from "../../access/space.ts";
import { Fault } from "../../lib/fault.ts";
import { type CallContext, read } from "../../operation/define.ts";
import { refuseBelowLevel } from "../../operation/versions.ts";
import { positionArgument } from "../../operation/wait-arguments.ts";
import { limitArgument } from "./arguments.ts";
import { messageId, sessionAliases, sessionId } from "./ids.ts";
import { messagesAfter, newestMessages } from "./pages-of-messages.ts";
import { SESSION_LEVEL, sessionOf } from "./rows.ts";
import { shownMessage } from "./shown.ts";
import { readableMessage } from "./viewer.ts";

/** Lists messages. */
export const messageList = read({
  name: "message_list",
  title: "List messages",
  search: "read a conversation, chat history, thread, replies",
  description:
    "Lists the messages of a session that you may read, oldest first: the newest ones, or those before or after a position, or a thread (a message and the replies below it). Filter by sender or kind. Long texts are cut; message_get returns all of one.",
  input: z.object({
    session: sessionId,
    after: positionArgument.optional().describe("Only messages posted after this position, the first of them."),
    before: positionArgument.optional().describe("Only messages posted before this position, the last of them."),
    thread: messageId.optional().describe("Only this message and the replies below it, from the first on."),
    from: z.string().min(1).max(256).optional().describe("Only messages of this agent or caller."),
    kind: z.string().min(1).max(32).optional().describe("Only messages of this kind."),
    limit: limitArgument.optional().describe("At most this many (default 50)."),
  }),
  example: { session: "team-a/session_0123456789abcdef", kind: "decision" },
  samples: { after: "1f3a9c0b22-7", before: "1f3a9c0b22-9", thread: "m_0123456789ab", from: "reviewer" },
  output: z.object({
    messages: z.array(shownMessage),
    older: z.string().optional().describe("Pass it as before for older ones; absent where there are none."),
    newer: z.string().optional().describe("Pass it as after for newer ones; absent where there are none."),
    position: z.string().describe("Pass it as since to message_wait."),
  }),
  access: { verb: "read", spaces: ({ session }) => [spaceOf(session)] },
  aliases: { ...sessionAliases, since: "after", cursor: "after", sender: "from", message: "thread" },
  async run(reader, { session, after, before, thread, from, kind, limit = 50 }, context) {
    refuseBelowLevel(reader, SESSION_LEVEL, "message_list");
    refuseBoth({ before, after: after ?? thread });
    // First, so that the session of a message that the caller knows is here.
    const afterSeq = await seqOf(after, context);
    const beforeSeq = await seqOf(before, context);
    const { space } = sessionOf(reader, session);
    const viewer = context.viewer(space);
    const position = context.positionAt(context.position().seq);
    const wanted = { session, from, kind, limit };
    if (afterSeq === undefined && thread === undefined)
      return { ...(await newestMessages(reader, { ...wanted, before: beforeSeq }, viewer, context)), position };
    const first = thread === undefined ? undefined : readableMessage(reader, session, thread, viewer).seq;
    const page = await messagesAfter(reader, { ...wanted, after: afterSeq ?? 0, thread: first }, viewer, context);
    return { ...page, position };
  },
});

async function seqOf(position: string | undefined, context: CallContext): Promise<number | undefined> {
  return position === undefined ? undefined : await context.reach(position);
}

function refuseBoth({ before, after }: { before: string | undefined; after: string | undefined }): void {
  if (before === undefined || after === undefined) return;
  throw new Fault("invalid_input", "before excludes after and thread", {
    hint: "Page backwards with before, or forwards with after.",
    details: { field: "before" },
  });
}
