// How long the name of a caller may be. Entries of the log, exports and the audit hold names up to this length, and a
// caller with a longer one is refused at the door.

/** Most characters of the name of a caller (`callerName`). */
export const MAX_CALLER_NAME = 512;
