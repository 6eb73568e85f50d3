// The raft engine: the log, its progress in the store, and the Fault of folders that do not belong together. Other
// folders import this file only.

export { appliedState } from "./applied-state.ts";
export { keepsVote, quarantine } from "./faults.ts";
export { MAX_SOCKET_FRAME_BYTES } from "./frames.ts";
export { RaftLog } from "./raft-log.ts";
