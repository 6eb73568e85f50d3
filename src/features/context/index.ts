// The context store as other rooms see it: its manifest, and the words they need of an id, an etag, a change.

export { archivedLines } from "./archive.ts";
export { HEADS_OF_MEMBERS } from "./audit-verify.ts";
export { type ChangeFilter, type PublicChange, passes, publicChange, publicChangeOf } from "./change.ts";
export { contextDelete, contextPut, contextRestore } from "./commands.ts";
export { type CallOperation, exportLines, type ImportReport, importLines, readExport } from "./export-file.ts";
export { contextFeature, contextOperations } from "./feature.ts";
export { contextDiff, contextHistory } from "./history.ts";
export { idProblem } from "./id.ts";
export { contextList } from "./list.ts";
export { Maintenance } from "./maintenance.ts";
export { contextGet, contextMetadata } from "./queries.ts";
export { metadata } from "./rows.ts";
export { contextWait } from "./wait.ts";
