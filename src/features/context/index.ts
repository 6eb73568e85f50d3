// What other folders may import from the context feature: its manifest, operations, the export format and id syntax.

export { archivedLines } from "./archive.ts";
export { REPORTED_HEADS } from "./audit-verify.ts";
export { idProblem } from "./context-id.ts";
export { contextDelete } from "./delete.ts";
export { contextDiff } from "./diff-versions.ts";
export { type CallOperation, exportLines, type ImportReport, importLines, readExport } from "./export-stream.ts";
export { contextFeature, contextOperations } from "./feature.ts";
export { contextGet, contextMetadata } from "./get.ts";
export { contextList } from "./list-contexts.ts";
export { contextHistory } from "./list-versions.ts";
export { Maintenance } from "./maintenance.ts";
export { type ChangeFilter, type PublicChange, passes, publicChange, publicChangeOf } from "./public-change.ts";
export { contextPut } from "./put.ts";
export { contextRestore } from "./restore.ts";
export { metadata } from "./rows.ts";
export { contextWait } from "./wait.ts";
