// Ids of sessions and messages. That of a session holds its space, as ids of contexts do: `team-a/session_…`, and
// `session_…` in the space `default`. They are made in apply of the change that creates them, and give no right.

import { z } from "zod";
import { shownValue } from "../../lib/schema-issue.ts";
import { sha256Hex } from "../../lib/sha256.ts";
import type { Reader } from "../../store/store.ts";

/** Most characters of the name of a space, so that an id is no longer than one of a context. */
const MAX_SPACE = 200;
const SPACE = /^(?!\.{1,2}$)[A-Za-z0-9._~:@-]+$/;
const SESSION = /^session_[0-9a-f]{16}$/;
const MESSAGE = /^m_[0-9a-f]{12}$/;

/** Longest id of a session. */
export const MAX_SESSION_ID = MAX_SPACE + "/session_".length + 16;

function isSessionId(id: string): boolean {
  const slash = id.indexOf("/");
  const space = slash < 0 ? "default" : id.slice(0, slash);
  if (slash >= 0 && space === "default") return false;
  return SESSION.test(id.slice(slash + 1)) && space.length <= MAX_SPACE && SPACE.test(space);
}

/** The argument `session`. */
export const sessionId = z
  .string()
  .superRefine((id, context) => {
    if (isSessionId(id)) return;
    const message = `${shownValue(id)} is no id of a session: that is session_ and 16 hexadecimal digits, after the name of its space and a / where that is not default`;
    context.addIssue({ code: "custom", message });
  })
  .describe("Id of the session, such as team-a/session_0123456789abcdef; session_list shows them.");

/** The argument `message`. */
export const messageId = z
  .string()
  .regex(MESSAGE, "must be m_ and 12 hexadecimal digits, as message_list returns it")
  .describe("Id of the message, as message_list returns it.");

/** The argument `space` of operations that begin or list sessions. */
export const spaceArgument = z
  .string()
  .max(MAX_SPACE)
  .regex(SPACE, "must be the name of a space: ASCII letters, digits and . _ ~ : @ -");

/** Names that agents try for `session`, and for `message` beside it. */
export const sessionAliases = { session_id: "session", conversation: "session" } as const;
export const messageAliases = { ...sessionAliases, message_id: "message" } as const;

/** Returns the id of the session that the change `seq` creates. */
export function newSessionId(reader: Reader, space: string, seq: number): string {
  const id = `session_${sha256Hex(`session ${epochNumber(reader)} ${seq}`).slice(0, 16)}`;
  return space === "default" ? id : `${space}/${id}`;
}

/** Returns the id of the message that the change `seq` posts. Unlike a number it does not say what lies before it. */
export function newMessageId(reader: Reader, session: string, seq: number): string {
  for (let attempt = 0; ; attempt += 1) {
    const id = `m_${sha256Hex(`message ${epochNumber(reader)} ${seq} ${attempt}`).slice(0, 12)}`;
    if (reader.get("SELECT 1 FROM messages WHERE session = ? AND id = ?", session, id) === undefined) return id;
  }
}

function epochNumber(reader: Reader): number {
  return reader.get<{ n: number }>("SELECT n FROM epochs ORDER BY n DESC LIMIT 1")?.n ?? 1;
}
