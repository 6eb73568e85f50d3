// What other folders may import from the context feature: its manifest, operations that they call by value, the export
// format, the check of its settings, and the syntax of ids and ranges.

export { archivedLines } from "./archive.ts";
export { REPORTED_HEADS, ROW_CHECKS } from "./audit-verify.ts";
export { chatServiceOf } from "./chat-settings.ts";
export { idProblem } from "./context-id.ts";
export { contextDelete } from "./delete.ts";
export { readExport } from "./export-format.ts";
export { exportLines, importLines } from "./export-stream.ts";
export { contextFeature, contextOperations } from "./feature.ts";
export { contextGet } from "./get.ts";
export { contextList } from "./list-contexts.ts";
export { Maintenance } from "./maintenance.ts";
export { contextPut } from "./put.ts";
