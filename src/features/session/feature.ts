// The manifest of sessions and messages: where agents and people talk to each other.

import type { Operation } from "../../operation/define.ts";
import type { Feature } from "../../operation/feature.ts";
import type { OwnEventTable } from "../../operation/own-events.ts";
import { messageAck } from "./ack.ts";
import { mayReadChange } from "./changes.ts";
import { sessionCommands } from "./commands.ts";
import { sessionCreate } from "./create.ts";
import { messageDiff } from "./diff.ts";
import { messageEdit } from "./edit.ts";
import { sessionExport } from "./export.ts";
import { messageGet, sessionGet, sessionParticipants } from "./get.ts";
import { inbox } from "./inbox.ts";
import { sessionList } from "./list.ts";
import { sessionEnd, sessionStart } from "./macros.ts";
import { sessionResources } from "./mcp-resources.ts";
import { messageList } from "./message-list.ts";
import { inboxPage } from "./pages/inbox-page.tsx";
import { sessionListPage } from "./pages/list-page.tsx";
import { messagePage } from "./pages/message-page.tsx";
import style from "./pages/session.css" with { type: "text" };
import { sessionPage } from "./pages/session-page.tsx";
import { messagePost } from "./post.ts";
import { messagePurge, messageRetract, sessionPurge } from "./remove.ts";
import { sessionRoutes } from "./rest.ts";
import { SESSION_LEVEL } from "./rows.ts";
import schema from "./schema.sql" with { type: "text" };
import { searchedMessages } from "./search-source.ts";
import { sessionClose, sessionJoin, sessionReopen } from "./state.ts";
import { sessionProblem } from "./verify.ts";
import { messageWait } from "./wait.ts";

/** Every write on sessions and messages. */
const WRITES: readonly Operation[] = [
  ...[sessionCreate, sessionJoin, sessionClose, sessionReopen, sessionPurge],
  ...[messagePost, messageEdit, messageAck, messageRetract, messagePurge],
];

/** Every operation on sessions and messages. */
export const sessionOperations: readonly Operation[] = [
  ...WRITES,
  ...[
    sessionGet,
    sessionList,
    sessionParticipants,
    messageGet,
    messageDiff,
    messageList,
    messageWait,
    inbox,
    sessionExport,
  ],
  ...[sessionStart, sessionEnd],
];

const TABLES = [
  { name: "sessions", order: "id" },
  { name: "session_members", order: "session, caller, agent" },
  { name: "messages", order: "seq" },
  { name: "message_versions", order: "message, version" },
  { name: "message_changes", order: "seq" },
  { name: "message_names", order: "name, seq, message" },
  { name: "message_acks", order: "message, caller, agent" },
] as const;

/** Of messages only those that everyone who may read the session may read. */
const sessionEvents: OwnEventTable = {
  "cairn.message.posted": { when: "a message was posted", subject: "the session", operations: [messagePost.name] },
  "cairn.message.changed": {
    when: "a message was edited, retracted or purged",
    subject: "the session",
    operations: [messageEdit.name, messageRetract.name, messagePurge.name],
  },
  "cairn.session.changed": {
    when: "a session was created, joined, closed, opened again or purged",
    subject: "the session",
    operations: [sessionCreate, sessionJoin, sessionClose, sessionReopen, sessionPurge].map(({ name }) => name),
  },
};

/** The manifest. */
export const sessionFeature: Feature = {
  name: "session",
  migrations: [{ id: 15, level: SESSION_LEVEL, sql: schema }],
  tables: TABLES.map(({ name, order }) => ({
    name,
    scope: "replicated",
    fork: "keep",
    sql: `SELECT * FROM ${name} ORDER BY ${order}`,
  })),
  operations: () => sessionOperations,
  instructions: {
    tools: [
      { operation: sessionStart.name, verb: "write", use: "work with others" },
      { operation: inbox.name, verb: "read", use: "what waits for you" },
    ],
  },
  rest: sessionRoutes,
  resources: sessionResources,
  commands: sessionCommands,
  pages: [sessionListPage, sessionPage, messagePage, inboxPage],
  style,
  searched: [searchedMessages],
  changes: {
    operations: WRITES.map(({ name }) => name),
    readBy: sessionGet.name,
    altersList: ({ operation }) => operation === sessionCreate.name,
    mayRead: mayReadChange,
  },
  events: sessionEvents,
  verify: sessionProblem,
};
