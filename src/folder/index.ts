// Folders of Markdown and exports of other programs, and the contexts that they are.

export { foldsCase } from "./case.ts";
export { KINDS, type Kind } from "./import/item.ts";
export { type OwnKind, openSource } from "./import/kinds.ts";
export { type ImportReport, type ImportStep, runImport } from "./import/run-import.ts";
export type { Left } from "./left.ts";
export { EXTENSION, idOfPath } from "./names.ts";
export type { NodeCalls } from "./node-calls.ts";
export { type Conflict, countOf, type Report, type Step } from "./report.ts";
export { SyncState } from "./state.ts";
export type { Prefer } from "./steps.ts";
export { FolderSync, type SyncOptions } from "./sync.ts";
export { watchFolder } from "./watch.ts";
