// What other rooms may use of the data folder.

export { backupNode, checkBackup, restoreNode } from "./backup.ts";
export { inspectNodeStore } from "./inspect.ts";
export { writeJoinRequest } from "./next-start.ts";
export { recoverNode } from "./recover.ts";
export { prepareSockets } from "./sockets.ts";
