// create_session, get_session, add_message and get_messages: sessions and messages under the names of
// shared-context-server.

import { z } from "zod";
import { MAX_DOCUMENT_INPUT_BYTES } from "../../lib/bounds.ts";
import type { MacroSteps } from "../../operation/define.ts";
import { metadataArgument } from "../../operation/metadata.ts";
import { VISIBILITIES } from "../../operation/visibility.ts";
import { MAX_MESSAGE_NUMBER, messageOf, numberOf } from "./ids.ts";
import { fromFirst, messagesFor, sessionFor, sessionShape } from "./shown.ts";
import { SESSION_EXAMPLE, sessionArgument, tool } from "./tool.ts";

const MAX_PURPOSE = 1000;
/** Most messages that get_session and get_messages return. */
const MAX_OF_SESSION = 500;
const MAX_PAGE = 1000;
const MAX_OFFSET = 20_000;

const metadata = metadataArgument.optional().describe("JSON object for programs, or its text.");
const visibility = z.enum(VISIBILITIES).optional();

/** Begins a session. */
export const createSession = tool({
  name: "create_session",
  title: "Create a session",
  search: "new collaboration session, shared workspace of agents",
  description:
    "Begins a session in which agents work together: in the space default, or in the one you name. Returns session_id, created_by, created_at.",
  input: {
    purpose: z.string().min(1).max(MAX_PURPOSE).describe("What it is for."),
    metadata,
    space: z
      .string()
      .min(1)
      .max(200)
      .optional()
      .describe("The space it belongs to (default: default); whoever may read that sees the session."),
  },
  example: { purpose: "Review of the parser" },
  samples: { metadata: { build: 7 }, space: "team-a" },
  verb: "write",
  space: ({ space = "default" }) => space,
  run: async ({ purpose, metadata: given, space }, steps) => {
    const more = { ...(given === undefined ? {} : { metadata: given }), ...(space === undefined ? {} : { space }) };
    const { session, author, created_at } = await steps.ask("session_create", { purpose, ...more });
    return { session_id: session, created_by: await nameOf(steps, String(author)), created_at };
  },
});

async function nameOf({ ask }: MacroSteps, author: string): Promise<string> {
  const { agent } = await ask("whoami", {});
  return (agent as { name: string } | undefined)?.name ?? author;
}

/** Reads a session. */
export const getSession = tool({
  name: "get_session",
  title: "Get a session",
  search: "open a collaboration session, last messages",
  description:
    "Reads a session and the last messages that you may read, newest first. Returns session, messages, message_count.",
  input: {
    session_id: sessionArgument,
    limit: z.number().int().min(1).max(MAX_OF_SESSION).optional().describe("At most this many messages (default 50)."),
  },
  example: { session_id: SESSION_EXAMPLE, limit: 50 },
  verb: "read",
  run: async ({ session_id: session, limit = 50 }, steps) => {
    const got = sessionShape.parse(await steps.ask("session_get", { session, limit }));
    const messages = await messagesFor(steps, got.messages.toReversed());
    return { session: sessionFor(got), messages, message_count: got.message_count };
  },
});

/** Posts a message. */
export const addMessage = tool({
  name: "add_message",
  title: "Add a message",
  search: "post into a collaboration session, share a finding",
  description:
    "Adds a message to a session. visibility: public (whoever may read the space), private (you alone), agent_only (agents of your type, where the grants list it), admin_only (admins of the space). Returns message_id, timestamp.",
  input: {
    session_id: sessionArgument,
    content: z.string().min(1).describe("The message."),
    visibility: visibility.describe("Who may read it (default: public)."),
    metadata,
    parent_message_id: z
      .number()
      .int()
      .min(0)
      .max(MAX_MESSAGE_NUMBER)
      .optional()
      .describe("The message that it is a reply to."),
  },
  example: { session_id: SESSION_EXAMPLE, content: "The login is open to SQL injection" },
  samples: { visibility: "public", metadata: { build: 7 }, parent_message_id: 1_250_999_896_491 },
  maxInputBytes: MAX_DOCUMENT_INPUT_BYTES,
  verb: "write",
  run: async (
    { session_id: session, content: text, visibility: who, metadata: given, parent_message_id: above },
    { ask },
  ) => {
    const { message, posted_at } = await ask("message_post", {
      ...{ session, text },
      ...(who === undefined ? {} : { visibility: who }),
      ...(given === undefined ? {} : { metadata: given }),
      ...(above === undefined ? {} : { parent: messageOf(above) }),
    });
    return { message_id: numberOf(String(message)), timestamp: posted_at };
  },
});

/** Lists messages. */
export const getMessages = tool({
  name: "get_messages",
  title: "Get messages",
  search: "read a collaboration session, message history",
  description:
    "Lists the messages of a session that you may read, oldest first, from an offset on. Returns messages, count, total_count, has_more. total_count is that of the messages looked at where has_more says that there are others.",
  input: {
    session_id: sessionArgument,
    limit: z.number().int().min(1).max(MAX_PAGE).optional().describe("At most this many (default 50)."),
    offset: z.number().int().min(0).max(MAX_OFFSET).optional().describe("Leaves out this many (default 0)."),
    visibility_filter: visibility.describe("Only messages of this visibility."),
  },
  example: { session_id: SESSION_EXAMPLE, limit: 50, offset: 0 },
  samples: { visibility_filter: "public" },
  verb: "read",
  run: async ({ session_id: session, limit = 50, offset = 0, visibility_filter: only }, steps) => {
    const most = only === undefined ? { most: offset + limit } : {};
    const { messages, goesOn } = await fromFirst(steps, { session, ...most });
    const matching = only === undefined ? messages : messages.filter((each) => each.visibility === only);
    const page = matching.slice(offset, offset + limit);
    const all = only === undefined ? await countOf(steps, session) : matching.length;
    return {
      messages: await messagesFor(steps, page),
      count: page.length,
      total_count: Math.max(all, matching.length),
      has_more: goesOn || matching.length > offset + limit,
    };
  },
});

/** Returns how many messages the caller may read. */
async function countOf({ ask }: MacroSteps, session: string): Promise<number> {
  return sessionShape.parse(await ask("session_get", { session, limit: 1 })).message_count;
}
