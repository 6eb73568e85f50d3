// Sessions and messages in the members of shared-context-server, and how a tool reads many of them.

import { z } from "zod";
import type { MacroSteps } from "../../operation/define.ts";
import { numberOf } from "./ids.ts";

/** Messages of one page. */
const PAGE = 500;
/** Most messages that a call looks at to find some of them. */
export const MAX_LOOKED_AT = 5000;

const messageShape = z.looseObject({
  message: z.string(),
  session: z.string(),
  posted_at: z.string(),
  author: z.string(),
  agent: z.string().optional(),
  kind: z.string(),
  text: z.string(),
  text_cut: z.literal(true).optional(),
  visibility: z.string(),
  metadata: z.record(z.string(), z.unknown()).optional(),
  parent: z.string().optional(),
  thread: z.string().optional(),
});

const pageShape = z.looseObject({
  messages: z.array(messageShape),
  older: z.string().optional(),
  newer: z.string().optional(),
  position: z.string(),
});

/** A message of `message_list`. */
export type Listed = z.output<typeof messageShape>;

/** Members of a session of `session_get`. */
export const sessionShape = z.looseObject({
  session: z.string(),
  purpose: z.string(),
  state: z.string(),
  author: z.string(),
  agent: z.string().optional(),
  created_at: z.string(),
  last_at: z.string().optional(),
  message_count: z.number(),
  metadata: z.record(z.string(), z.unknown()).optional(),
  messages: z.array(messageShape),
});

/** Returns a session for clients. */
export function sessionFor(session: z.output<typeof sessionShape>) {
  return {
    id: session.session,
    purpose: session.purpose,
    created_at: session.created_at,
    updated_at: session.last_at ?? session.created_at,
    is_active: session.state === "open",
    created_by: session.agent ?? session.author,
    metadata: session.metadata ?? null,
  };
}

/** Returns messages for clients, each with its whole text. */
export async function messagesFor(steps: MacroSteps, messages: readonly Listed[]) {
  const shown: ReturnType<typeof messageFor>[] = [];
  for (const each of messages) shown.push(messageFor(each.text_cut === true ? await whole(steps, each) : each));
  return shown;
}

async function whole({ ask }: MacroSteps, { session, message }: Listed): Promise<Listed> {
  return messageShape.parse(await ask("message_get", { session, message }));
}

function messageFor(message: Listed) {
  return {
    id: numberOf(message.message),
    session_id: message.session,
    sender: message.agent ?? message.author,
    sender_caller: message.author,
    content: message.text,
    visibility: message.visibility,
    message_type: message.kind,
    metadata: message.metadata ?? null,
    timestamp: message.posted_at,
    parent_message_id: message.parent === undefined ? null : numberOf(message.parent),
    thread_id: message.thread === undefined ? null : numberOf(message.thread),
  };
}

/** Which messages a walk looks at. */
interface Walk {
  session: string;
  /** Only of this agent or caller. */
  from?: string;
  /** Ends the walk with so many messages. Default: MAX_LOOKED_AT. */
  most?: number;
}

/** What a walk found. */
interface Found {
  messages: Listed[];
  /** It ended before the last message. */
  goesOn: boolean;
}

/** Returns the messages that the caller may read, from the first one on. */
export async function fromFirst({ ask }: MacroSteps, { session, most = MAX_LOOKED_AT }: Walk): Promise<Found> {
  const one = pageShape.parse(await ask("message_list", { session, limit: 1 }));
  const found: Listed[] = [];
  // Positions are an epoch and a number; that of number 0 lies before every message.
  let after: string | undefined = `${one.position.slice(0, one.position.indexOf("-"))}-0`;
  while (after !== undefined && found.length < most) {
    const limit = Math.min(PAGE, most - found.length);
    const page = pageShape.parse(await ask("message_list", { session, after, limit }));
    found.push(...page.messages);
    after = page.newer;
  }
  return { messages: found, goesOn: after !== undefined };
}

/** Returns the messages that the caller may read, the newest first. */
export async function fromLast({ ask }: MacroSteps, { session, from, most = MAX_LOOKED_AT }: Walk): Promise<Found> {
  const found: Listed[] = [];
  let before: string | undefined;
  do {
    const only = { ...(from === undefined ? {} : { from }), ...(before === undefined ? {} : { before }) };
    const limit = Math.min(PAGE, most - found.length);
    const page = pageShape.parse(await ask("message_list", { session, limit, ...only }));
    found.push(...page.messages.toReversed());
    before = page.older;
  } while (before !== undefined && found.length < most);
  return { messages: found, goesOn: before !== undefined };
}
