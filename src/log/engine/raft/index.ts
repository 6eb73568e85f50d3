// The raft engine as other folders see it: the log, what its store remembers, and the refusal of folders that do not belong together.

export { quarantine } from "./faults.ts";
export { RaftLog } from "./raft-log.ts";
export { placeOf } from "./store.ts";
