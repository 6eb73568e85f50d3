// What other rooms may use of the data folder.

export { backupNode, checkBackup, refuseBrokenRestore, restoreNode } from "./backup.ts";
export { prepareDataFolder } from "./data-folder.ts";
export { type DiskWatch, watchDisk } from "./disk-watch.ts";
export { keysOfFolder, readKeyFile, writeKeyFile } from "./fleet-keys.ts";
export { inspectNodeStore, stateLevel } from "./inspect.ts";
export {
  clearJoinRequest,
  type JoinRequest,
  readJoinRequest,
  requestQuarantine,
  requestStoreDrop,
  runRequestedQuarantine,
  writeJoinRequest,
} from "./next-start.ts";
export { planEngine, refuseLostStore, startEngine } from "./open-engine.ts";
export { archiveForks, quarantineCount, quarantineData, quarantineNames } from "./quarantine.ts";
export { recoverNode, refuseBrokenRecovery } from "./recover.ts";
export { archiveRetired, retiredCount, retiredStore } from "./retire.ts";
export { giveToGroup, groupId, prepareSockets } from "./sockets.ts";
export { beginJoin, endJoin, removeUnfinishedJoin } from "./unfinished-join.ts";
