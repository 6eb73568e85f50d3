// All scenarios, those of the gate first.

import type { Scenario } from "../scenario.ts";
import { DISK_SCENARIOS } from "./disk.ts";
import { leaderDeaf, leaderMute } from "./leader-cut.ts";
import { leaderKilled } from "./leader-killed.ts";
import { leaderPaused } from "./leader-paused.ts";
import { memberReplaced } from "./member-replaced.ts";
import { snapshotJoined } from "./snapshot-joined.ts";
import { upstreamVanished } from "./upstream-vanished.ts";

export const SCENARIOS: readonly Scenario[] = [
  leaderKilled,
  leaderPaused,
  leaderMute,
  upstreamVanished,
  memberReplaced,
  snapshotJoined,
  leaderDeaf,
  ...DISK_SCENARIOS,
];
