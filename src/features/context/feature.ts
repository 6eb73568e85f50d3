// The manifest of contexts: versioned documents, their history, and the audit of all changes.

import type { Change } from "../../log/changes.ts";
import { AGENT_LEVEL, CLIENT_LEVEL } from "../../log/level.ts";
import { logFor } from "../../observe/logging.ts";
import type { Operation } from "../../operation/define.ts";
import type { Feature } from "../../operation/feature.ts";
import { LOG, NODE } from "../../operation/node-parts.ts";
import { ServiceKey } from "../../operation/services.ts";
import agent from "./agent.sql" with { type: "text" };
import { VISIBILITY_LEVEL } from "./audience.ts";
import { auditQuery } from "./audit-query.ts";
import { auditVerify } from "./audit-verify.ts";
import { openChatModel } from "./chat-model.ts";
import { chatConditions, chatSettingTable } from "./chat-settings.ts";
import client from "./client.sql" with { type: "text" };
import { changesCompact, historyCompact } from "./compaction.ts";
import { namesContent } from "./context-etag.ts";
import { contextDelete } from "./delete.ts";
import details from "./details.sql" with { type: "text" };
import { DETAILS_LEVEL } from "./details.ts";
import { contextDiff } from "./diff-versions.ts";
import { contextsExpiring } from "./expire.ts";
import { contextExport } from "./export-pages.ts";
import { contextGet, contextMetadata } from "./get.ts";
import { contextGetMany } from "./get-many.ts";
import { contextGrep } from "./grep.ts";
import headAgent from "./head-agent.sql" with { type: "text" };
import { contextImport } from "./import-versions.ts";
import { contextList } from "./list-contexts.ts";
import { contextHistory } from "./list-versions.ts";
import { Maintenance } from "./maintenance.ts";
import { contextMany } from "./many.ts";
import { contextInstructions } from "./mcp-instructions.ts";
import { contextResources } from "./mcp-resources.ts";
import { auditPage } from "./pages/audit-page.tsx";
import { contextPage } from "./pages/context-page.tsx";
import { contextListPage, contextSection } from "./pages/list-section.tsx";
import { contextPatch } from "./patch.ts";
import { prime } from "./prime.ts";
import { contextProcess } from "./process.ts";
import { handoffPrompt } from "./prompts/handoff-prompt.ts";
import { primePrompt } from "./prompts/prime-prompt.ts";
import { contextPurge } from "./purge.ts";
import { contextPut } from "./put.ts";
import { mayReadChange } from "./readable.ts";
import { contextRoutes } from "./rest.ts";
import { contextRestore } from "./restore.ts";
import schema from "./schema.sql" with { type: "text" };
import { searchedContexts } from "./search-source.ts";
import { spaceConfigure, spaceSettings } from "./space-settings.ts";
import { contextTables } from "./tables.ts";
import visibility from "./visibility.sql" with { type: "text" };
import { contextWait } from "./wait.ts";

/** Writes that change contexts. */
const CONTEXT_WRITES: readonly Operation[] = [
  contextPut,
  contextPatch,
  contextDelete,
  contextRestore,
  contextMany,
  contextPurge,
  contextImport,
  contextsExpiring.write,
];

/** Every operation on contexts, internal ones included. */
export const contextOperations: readonly Operation[] = [
  ...CONTEXT_WRITES,
  contextGet,
  contextMetadata,
  contextList,
  contextHistory,
  contextDiff,
  contextWait,
  contextGrep,
  contextGetMany,
  prime,
  contextExport,
  spaceConfigure,
  spaceSettings,
  historyCompact,
  changesCompact,
];

/** Outcomes of changes that leave the list of contexts the same. */
const SAME_LIST = new Set(["updated", "patched", "superseded", "current"]);

const MAINTENANCE: ServiceKey<Maintenance> = new ServiceKey("the maintenance of contexts");

/** The manifest. */
export const contextFeature: Feature = {
  name: "context",
  migrations: [
    { id: 2, level: 1, sql: schema },
    { id: 8, level: CLIENT_LEVEL, sql: client },
    { id: 12, level: AGENT_LEVEL, sql: agent },
    { id: 16, level: DETAILS_LEVEL, sql: details },
    { id: 17, level: VISIBILITY_LEVEL, sql: visibility },
    { id: 18, level: AGENT_LEVEL, sql: headAgent },
  ],
  tables: contextTables,
  settings: chatSettingTable,
  conditions: chatConditions,
  open: (node) => {
    const { store, limits, nowMs } = node.get(NODE);
    const maintenance = new Maintenance({
      store,
      log: () => node.get(LOG),
      limits,
      nowMs,
      onError: (error) => logFor("store")("warning", `store maintenance failed: ${String(error)}`),
    });
    node.provide(MAINTENANCE, maintenance);
    openChatModel(node);
  },
  operations: (node) => [...contextOperations, contextProcess(node), auditQuery(node), auditVerify(node)],
  rest: contextRoutes,
  changes: {
    operations: CONTEXT_WRITES.map(({ name }) => name),
    readBy: contextGet.name,
    mayRead: mayReadChange,
    altersList: ({ outcome }: Change) => !SAME_LIST.has(outcome),
    waitedBy: contextWait.name,
  },
  events: {
    "cairn.context.changed": {
      when: "a context was created, changed, deleted, restored, removed by its time, or purged",
      subject: "the context",
      operations: CONTEXT_WRITES.map(({ name }) => name),
    },
    "cairn.space.configured": {
      when: "an operator changed how a space is kept",
      subject: "the space, as in the audit",
      operations: [spaceConfigure.name],
    },
  },
  resources: contextResources,
  prompts: [handoffPrompt, primePrompt],
  instructions: contextInstructions,
  pages: [contextListPage, contextPage, auditPage],
  sections: [contextSection],
  edge: [
    {
      operation: contextGet.name,
      targetOf: ({ id, version, at }) =>
        typeof id === "string" && version === undefined && at === undefined ? id : undefined,
      upstream: (id) => ({ id, format: "text" }),
      bytesOf: ({ content }) => Buffer.byteLength(String(content), "utf8"),
      // An edge knows no log time, by which it would no longer be there.
      mayKeep: ({ expires_at }) => expires_at === undefined,
      isForAll: ({ visibility: own }) => own === undefined,
      isIntact: ({ content, etag }) =>
        typeof content === "string" && typeof etag === "string" && namesContent(etag, content),
    },
  ],
  searched: [searchedContexts],
  duties: (node) => [(lead) => node.get(MAINTENANCE).lead(lead)],
  expires: [contextsExpiring],
  jobs: (node) => [node.get(MAINTENANCE)],
};
