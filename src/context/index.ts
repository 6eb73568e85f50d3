// The context store as other folders see it: its operations, its schema, and the words they need of an id.

import schema from "./schema.sql" with { type: "text" };

export { contextDelete, contextPut } from "./commands.ts";
export { isJsonType, JSON_TYPE, MAX_DOCUMENT_BYTES } from "./document.ts";
export { matchesWeakly, parseCondition } from "./etag.ts";
export { idProblem, spaceOf } from "./id.ts";
export { contextGet, contextList } from "./queries.ts";
/** SQL of the tables of context/. */
export const contextSchema: string = schema;
