// Scenarios of faults of disks, clocks and builds.

import type { Scenario } from "../scenario.ts";
import { diskFull, diskNearlyFull, syncFails, syncSlow } from "./bad-disks.ts";
import { levels, poisonEntry, unknownCommand } from "./builds.ts";
import { clocks } from "./clocks.ts";
import { crashReceiving, crashRecording, crashSending } from "./crash-steps.ts";
import {
  aloneFolders,
  foldersExchanged,
  logsBehind,
  regionalFolders,
  storesGone,
  voterFolders,
} from "./folders-gone.ts";
import { oldLeader } from "./old-leader.ts";
import { wipedAnew } from "./wiped-anew.ts";

export const DISK_SCENARIOS: readonly Scenario[] = [
  voterFolders,
  regionalFolders,
  foldersExchanged,
  aloneFolders,
  storesGone,
  logsBehind,
  wipedAnew,
  oldLeader,
  crashReceiving,
  crashSending,
  crashRecording,
  diskFull,
  diskNearlyFull,
  syncFails,
  syncSlow,
  clocks,
  poisonEntry,
  unknownCommand,
  levels,
];
