// The context store as other folders see it: its operations, its schema, and the words they need of an id, an etag, a change.

import type { Operation } from "../../operation/define.ts";
import { contextDelete, contextPut, contextRestore } from "./commands.ts";
import { changesCompact, historyCompact } from "./compact.ts";
import { contextExport } from "./export.ts";
import { contextDiff, contextHistory } from "./history.ts";
import { contextImport } from "./import.ts";
import { contextList } from "./list.ts";
import { contextMany } from "./many.ts";
import { contextPatch } from "./patch.ts";
import { prime } from "./prime.ts";
import { contextPurge } from "./purge.ts";
import { contextGet, contextMetadata } from "./queries.ts";
import schema from "./schema.sql" with { type: "text" };
import { spaceConfigure, spaceSettings } from "./space-settings.ts";
import { contextWait } from "./wait.ts";

export { archivedLines } from "./archive.ts";
export { auditQuery } from "./audit-query.ts";
export { auditVerify } from "./audit-verify.ts";
export { type ChangeFilter, type PublicChange, passes, publicChange, publicChangeOf } from "./change.ts";
export { contextDelete, contextPut, contextRestore } from "./commands.ts";
export { CONTEXT_TABLES } from "./digest.ts";
export { isJsonType, JSON_TYPE, MAX_DOCUMENT_BYTES } from "./document.ts";
export { etagOf, matchesWeakly, parseCondition } from "./etag.ts";
export { type CallOperation, exportLines, type ImportReport, importLines, readExport } from "./export-file.ts";
export { contextDiff, contextHistory } from "./history.ts";
export { idProblem } from "./id.ts";
export { contextList } from "./list.ts";
export { Maintenance } from "./maintenance.ts";
export { contextGet, contextMetadata } from "./queries.ts";
export { metadata } from "./rows.ts";
export { EDGE_MODES, type EdgeMode, edgeModes } from "./space-settings.ts";
export { contextWait } from "./wait.ts";
/** Tables of contexts and their versions. */
export const contextSchema: string = schema;

/** Every operation on contexts, internal ones included; `audit_query` and `audit_verify` are made by `auditQuery` and `auditVerify`. */
export const contextOperations: readonly Operation[] = [
  contextPut,
  contextPatch,
  contextDelete,
  contextRestore,
  contextMany,
  contextPurge,
  contextGet,
  contextMetadata,
  contextList,
  contextHistory,
  contextDiff,
  contextWait,
  prime,
  contextExport,
  contextImport,
  spaceConfigure,
  spaceSettings,
  historyCompact,
  changesCompact,
];
