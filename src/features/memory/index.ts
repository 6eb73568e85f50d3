// Memories: what agents remember, alone, in a session, or together.

export { memoryFeature } from "./feature.ts";
export { memoryToolFeature } from "./files/feature.ts";
export { type Part, readPart } from "./graph/change.ts";
export { graphFeature } from "./graph/feature.ts";
export { type GraphImported, type ImportOptions, importGraph } from "./graph/import.ts";
export { type BadLine, GraphFileParser, graphFile, type ParsedGraph, parseGraphFile } from "./graph/jsonl.ts";
export type { Graph } from "./graph/shapes.ts";
export { type Scrubbed, Scrubber } from "./scrub.ts";
export { SCRUB_RULES } from "./scrub-rules.ts";
