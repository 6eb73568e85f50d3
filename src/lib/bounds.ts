// The bounds that follow from the largest document: what carries it between nodes must be larger, whatever its text is.

const MIB = 1024 * 1024;

/** Largest document in bytes of UTF-8, whatever `context.max_bytes` says. */
export const MAX_DOCUMENT_BYTES = 4 * MIB;

/**
 * Most bytes that one byte of a document has in a call or an answer between nodes. A control character is `\u0001` in
 * JSON text (6 bytes), and a line of an export is JSON text within JSON text (7 bytes).
 */
export const TRAVEL_GROWTH = 7;

/** Room for all else in the same call or answer: id, title, tags, the writes around the text. */
export const TRAVEL_ROOM_BYTES = MIB;

/** Most bytes of a message between nodes. */
export const MAX_FRAME_BYTES = TRAVEL_GROWTH * MAX_DOCUMENT_BYTES + TRAVEL_ROOM_BYTES;
