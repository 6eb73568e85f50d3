// message_diff: what changed in a message from one version to another.

import { z } from "zod";
import { spaceOf } from "../../access/space.ts";
import { diffText } from "../../lib/text-diff.ts";
import { read } from "../../operation/define.ts";
import { refuseBelowLevel } from "../../operation/versions.ts";
import { textOfVersion } from "./get.ts";
import { messageAliases, messageId, sessionId } from "./ids.ts";
import { SESSION_LEVEL, sessionOf } from "./rows.ts";
import { readableMessage } from "./viewer.ts";

const version = z.number().int().min(1);

/** Compares two versions of a message. */
export const messageDiff = read({
  name: "message_diff",
  title: "Difference of two versions of a message",
  search: "what was edited in a message, compare versions",
  description: "Shows what changed in a message from one version to another, as a unified diff.",
  input: z.object({
    session: sessionId,
    message: messageId,
    from: version.describe("The older version."),
    to: version.optional().describe("The newer version (default: the newest)."),
  }),
  example: { session: "team-a/session_0123456789abcdef", message: "m_0123456789ab", from: 1, to: 2 },
  output: z.object({
    session: z.string(),
    message: z.string(),
    from: version,
    to: version,
    diff: z.string().describe("A unified diff; empty if the texts are equal."),
    coarse: z.boolean().optional().describe("true: correct but not minimal, because the texts differ too much."),
  }),
  access: { verb: "read", spaces: ({ session }) => [spaceOf(session)] },
  isTool: false,
  aliases: { ...messageAliases, from_version: "from", to_version: "to" },
  async run(reader, { session, message, from, to }, { viewer, inTurn, spend }) {
    refuseBelowLevel(reader, SESSION_LEVEL, "message_diff");
    sessionOf(reader, session);
    const row = readableMessage(reader, session, message, viewer(spaceOf(session)));
    const newer = to ?? row.version;
    const older = textOfVersion(reader, row, from);
    const text = textOfVersion(reader, row, newer);
    // Few messages end with a line end: without one each diff would say that there is none.
    const { text: diff, coarse, work } = await inTurn(() => diffText(`${older}\n`, `${text}\n`));
    spend(work);
    return { session, message, from, to: newer, diff, ...(coarse ? { coarse } : {}) };
  },
});
