// The HTTP routes of sessions, as rows for the router of api/: `/sessions`, and `/conversations`, the same under the
// name that earlier servers gave it. Rules and rights are those of the operations.

import { MAX_DOCUMENT_INPUT_BYTES } from "../../lib/bounds.ts";
import { DEFAULT_WAIT_SECONDS } from "../../operation/define.ts";
import type { PathParameter, QueryParameter, RestRoute } from "../../operation/rest-route.ts";
import { sessionCreate } from "./create.ts";
import { messageEdit } from "./edit.ts";
import { messageGet, sessionGet, sessionParticipants } from "./get.ts";
import { MAX_SESSION_ID } from "./ids.ts";
import { inbox } from "./inbox.ts";
import { sessionList } from "./list.ts";
import { messageList } from "./message-list.ts";
import { messagePost } from "./post.ts";
import { messageRetract } from "./remove.ts";
import { sessionClose, sessionJoin, sessionReopen } from "./state.ts";
import { messageWait } from "./wait.ts";

const MAX_CREATE_BYTES = 16 * 1024;

const tag = "sessions";
const session: PathParameter = {
  kind: "wide",
  maxLength: MAX_SESSION_ID,
  description: "Id of the session; / plain or percent-encoded",
};
const message: PathParameter = { kind: "segment", maxLength: 14, description: "Id of the message" };
const limit: QueryParameter = { kind: "count", description: "At most this many" };
const cursor: QueryParameter = { kind: "text", description: "The cursor of the previous page" };
const since: QueryParameter = { kind: "text", description: "Only what came after this position" };
const response = { kind: "json" } as const;
const created = { kind: "json", created: "always" } as const;

const LISTED = {
  space: { kind: "text", description: "Only sessions of this space" },
  state: { kind: "text", choices: ["open", "closed"], description: "Only sessions in this state" },
  limit,
  cursor,
} as const;

const CREATED = {
  kind: "json",
  members: ["purpose", "space", "metadata"],
  required: ["purpose"],
  refusal: "The body must be a JSON object with purpose, space and metadata",
  maxBytes: MAX_CREATE_BYTES,
} as const;

const POSTED = {
  kind: "json",
  required: ["text"],
  members: ["text", "kind", "to", "visibility", "parent", "mentions", "ack", "metadata"],
  refusal: "The body must be a JSON object with text, kind, to, visibility, parent, mentions, ack and metadata",
  maxBytes: MAX_DOCUMENT_INPUT_BYTES,
} as const;

/** What there is under both names. `noun` is that in the ids of rows. */
function sharedRoutes(base: string, noun: string): readonly RestRoute[] {
  return [
    {
      ...{ method: "GET", path: base, operationId: `list${noun}s`, summary: `List ${noun.toLowerCase()}s`, tag },
      ...{ operation: sessionList.name, query: LISTED, response },
    },
    {
      ...{ method: "POST", path: base, operationId: `create${noun}`, summary: `Begin a ${noun.toLowerCase()}`, tag },
      ...{ operation: sessionCreate.name, body: CREATED, response: created, errors: [507] },
    },
    {
      ...{ method: "GET", path: `${base}/{session}`, params: { session }, operationId: `get${noun}`, tag },
      ...{ summary: `Read a ${noun.toLowerCase()} with its last messages`, operation: sessionGet.name },
      ...{ query: { limit }, response },
    },
    {
      ...{ method: "GET", path: `${base}/{session}/messages`, params: { session }, operationId: `list${noun}Messages` },
      ...{ summary: "List messages", tag, operation: messageList.name, response },
      query: {
        after: { kind: "text", description: "Only messages posted after this position" },
        before: { kind: "text", description: "Only messages posted before this position" },
        thread: { kind: "text", description: "Only this message and the replies below it" },
        from: { kind: "text", description: "Only messages of this agent or caller" },
        kind: { kind: "text", description: "Only messages of this kind" },
        limit,
      },
    },
    {
      ...{ method: "POST", path: `${base}/{session}/messages`, params: { session }, operationId: `post${noun}Message` },
      ...{ summary: "Post a message", tag, operation: messagePost.name, body: POSTED, response: created },
      errors: [409, 507],
    },
  ];
}

const becomes = (operationId: string, word: string, summary: string, operation: string): RestRoute => ({
  ...{ method: "POST", path: `/sessions/{session}/${word}`, params: { session }, operationId, summary, tag },
  ...{ operation, response },
});

/** The routes. */
export const sessionRoutes: readonly RestRoute[] = [
  ...sharedRoutes("/sessions", "Session"),
  becomes("joinSession", "join", "Join a session", sessionJoin.name),
  becomes("closeSession", "close", "Close a session", sessionClose.name),
  becomes("reopenSession", "reopen", "Reopen a session", sessionReopen.name),
  {
    ...{
      method: "GET",
      path: "/sessions/{session}/participants",
      params: { session },
      operationId: "listParticipants",
    },
    ...{ summary: "List participants", tag, operation: sessionParticipants.name, query: { limit, cursor }, response },
  },
  {
    ...{ method: "GET", path: "/sessions/{session}/messages/{message}", params: { session, message } },
    ...{ operationId: "getMessage", summary: "Read a message", tag, operation: messageGet.name, response },
    query: { version: { kind: "count", description: "This version (default: the newest)" } },
  },
  {
    ...{ method: "PUT", path: "/sessions/{session}/messages/{message}", params: { session, message } },
    ...{ operationId: "editMessage", summary: "Edit a message", tag, operation: messageEdit.name, response },
    body: {
      kind: "json",
      members: ["text", "mentions", "metadata", "if_version"],
      required: ["text"],
      refusal: "The body must be a JSON object with text, mentions, metadata and if_version",
      maxBytes: MAX_DOCUMENT_INPUT_BYTES,
    },
    errors: [409, 410, 412, 507],
  },
  {
    ...{ method: "DELETE", path: "/sessions/{session}/messages/{message}", params: { session, message } },
    ...{ operationId: "retractMessage", summary: "Retract a message", tag, operation: messageRetract.name, response },
  },
  {
    ...{ method: "GET", path: "/sessions/{session}/stream", params: { session }, operationId: "followSession" },
    ...{ summary: "Follow the messages of a session", tag, operation: messageWait.name, query: { since } },
    ...{ constants: { own: true }, response: { kind: "stream" } },
  },
  {
    ...{ method: "GET", path: "/messages", operationId: "followMessages", summary: "Follow the messages", tag },
    operation: messageWait.name,
    constants: { own: true },
    query: {
      since,
      feed: { kind: "text", choices: ["sse", "longpoll"], description: "Default: by Accept" },
      timeout: {
        ...{ kind: "count", argument: "timeout_seconds", minimum: 0, maximum: 300 },
        description: `Seconds, for longpoll (default ${DEFAULT_WAIT_SECONDS})`,
      },
      limit: { kind: "count", maximum: 100, description: "At most this many, for longpoll (default 100)" },
    },
    response: { kind: "stream", longPoll: { choose: "feed", only: ["timeout", "limit"], wait: "timeout" } },
  },
  {
    ...{ method: "GET", path: "/inbox", operationId: "getInbox", summary: "Read the inbox of the caller", tag },
    ...{ operation: inbox.name, query: { since, limit }, response },
  },
  ...sharedRoutes("/conversations", "Conversation"),
];
