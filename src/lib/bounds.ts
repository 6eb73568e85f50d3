// The bounds that follow from the largest document: what carries it between nodes must be larger, whatever its text is.

const MIB = 1024 * 1024;

/** Largest document in bytes of UTF-8, whatever `context.max_bytes` says. */
export const MAX_DOCUMENT_BYTES = 4 * MIB;

/** Most bytes that one byte of a document has in JSON text: a control character is `\u0001`. */
export const JSON_GROWTH = 6;

/**
 * Most bytes that one byte of a document has in a call or an answer between nodes: a line of an export is JSON text
 * within JSON text, which doubles the backslash of an escape.
 */
export const TRAVEL_GROWTH = JSON_GROWTH + 1;

/** Room for all else in the same call or answer: id, title, tags, the writes around the text. */
export const TRAVEL_ROOM_BYTES = MIB;

/** Most bytes of a message between nodes. */
export const MAX_FRAME_BYTES = TRAVEL_GROWTH * MAX_DOCUMENT_BYTES + TRAVEL_ROOM_BYTES;

/** Most bytes of a blob that one call carries, either way. */
export const PART_BYTES = 4 * MIB;

/** Largest input of an operation that carries a document, with the escapes of ordinary text and what is around it. */
export const MAX_DOCUMENT_INPUT_BYTES = 2 * MAX_DOCUMENT_BYTES + 2 * TRAVEL_ROOM_BYTES;

/** Most bytes of a line of an export. */
export const MAX_EXPORT_LINE_BYTES = JSON_GROWTH * MAX_DOCUMENT_BYTES + TRAVEL_ROOM_BYTES;

/** Most bytes of a line in a call that imports it: beyond them its text is base64, four bytes for three. */
export const MAX_IMPORT_LINE_BYTES = 4 * Math.ceil(MAX_DOCUMENT_BYTES / 3) + TRAVEL_ROOM_BYTES;
