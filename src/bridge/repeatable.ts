// Makes a call repeatable before it is first sent: an idempotency key for a write that has none, a start position for a
// wait that has none. Then it can be sent again, to the same or to another member, and still has one effect.

import { isObject } from "../lib/json-object.ts";
import { withArguments } from "./insert-arguments.ts";
import type { Message } from "./json-rpc.ts";
import type { Member, Route } from "./route.ts";
import { calledTool, type Tool } from "./tool-list.ts";

/** A message as it can be sent several times. */
export interface RepeatableCall {
  /** Returns the text for this member: with the key and the position that every attempt carries. */
  textFor: (member: Member) => string;
  /** Whether it may be sent again when its outcome is unknown. */
  repeatable: boolean;
  writes: boolean;
  waits: boolean;
}

/** Methods besides `tools/call` that change nothing outside the session. */
const HARMLESS_METHODS: ReadonlySet<string> = new Set([
  "initialize",
  "ping",
  "server/discover",
  "subscriptions/listen",
  "tools/list",
  "prompts/list",
  "prompts/get",
  "resources/list",
  "resources/read",
  "resources/templates/list",
  "resources/subscribe",
  "resources/unsubscribe",
  "completion/complete",
  "events/list",
  "events/poll",
  "logging/setLevel",
]);

/** Prepares a message for sending it, perhaps several times. Asks the member for its position where the call waits. */
export async function makeRepeatable(
  route: Route,
  member: Member,
  text: string,
  message: Message,
  signal: AbortSignal,
): Promise<RepeatableCall> {
  const tool = calledTool(message, member.tools);
  const repeatable = isRepeatable(message, tool);
  if (!route.hasSeveral || tool === undefined) return { repeatable, writes: false, waits: false, textFor: () => text };
  const given = argumentsOf(message);
  const added: Record<string, string> = {};
  if (tool.takesKey && given["idempotency_key"] === undefined)
    added["idempotency_key"] = `bridge-${crypto.randomUUID()}`;
  // "position" is an alias of "since": a call with both would be refused.
  if (tool.waits && given["since"] === undefined && given["position"] === undefined) {
    const position = await member.position(signal);
    if (position !== undefined) added["since"] = position;
  }
  const mayAddPosition = tool.takesMinPosition && given["min_position"] === undefined;
  return {
    repeatable,
    writes: !tool.readOnly,
    waits: tool.waits,
    textFor: ({ behind }) =>
      withArguments(text, mayAddPosition && behind !== undefined ? { ...added, min_position: behind } : added),
  };
}

function isRepeatable(message: Message, tool: Tool | undefined): boolean {
  if (message.method === undefined || message.id === undefined) return true;
  if (message.method === "tools/call") return tool?.takesKey === true || tool?.readOnly === true;
  return HARMLESS_METHODS.has(message.method);
}

function argumentsOf(message: Message): Record<string, unknown> {
  const given = message.params?.["arguments"];
  return isObject(given) ? given : {};
}
