// All scenarios, those of the gate first.

import type { Scenario } from "../scenario.ts";
import { promoted, recovered } from "./clients-stay.ts";
import { costlyPatch } from "./costly-patch.ts";
import { DISK_SCENARIOS } from "./disk.ts";
import { duplicates } from "./duplicates.ts";
import { halfOpenEdge, upstreamMidway } from "./edges.ts";
import { eventsAllKilled, eventsLeaderKilled, eventsReceiverDown } from "./events.ts";
import { failedCopy } from "./failed-copy.ts";
import { forwardsRepeated } from "./forwards-repeated.ts";
import { jobsHarmed } from "./jobs.ts";
import { forgedJoins } from "./joins.ts";
import { leaderDeaf, leaderMute } from "./leader-cut.ts";
import { leaderKilled } from "./leader-killed.ts";
import { leaderPaused } from "./leader-paused.ts";
import { leaseLeaderKilled, leaseLeaderPaused, leaseQuorumLost } from "./leases.ts";
import { memberReplaced } from "./member-replaced.ts";
import { flappingLinks, leaderIsolated, splitInTwo } from "./partitions.ts";
import { powerCutAll, powerCutCopies, powerCutJoining, powerCutOne } from "./power-cuts.ts";
import { allKilled, joinCrashed, rollingRestart } from "./restarts.ts";
import { settingsDiffer } from "./settings-differ.ts";
import { seven } from "./seven.ts";
import { slowLinks30, slowLinks150 } from "./slow-links.ts";
import { snapshotJoined } from "./snapshot-joined.ts";
import { stalledFollower, stalledLeader } from "./stalled-leader.ts";
import { upstreamVanished } from "./upstream-vanished.ts";
import { votesCollide } from "./votes-collide.ts";
import { wrongFollower, wrongLeader, wrongTwo } from "./wrong-leader.ts";

export const SCENARIOS: readonly Scenario[] = [
  leaderKilled,
  leaderPaused,
  leaderMute,
  upstreamVanished,
  memberReplaced,
  snapshotJoined,
  wrongLeader,
  failedCopy,
  costlyPatch,
  stalledLeader,
  leaseLeaderKilled,
  leaseLeaderPaused,
  eventsLeaderKilled,
  eventsReceiverDown,
  powerCutAll,
  powerCutOne,
  powerCutCopies,
  powerCutJoining,
  leaderDeaf,
  leaderIsolated,
  splitInTwo,
  flappingLinks,
  slowLinks30,
  slowLinks150,
  rollingRestart,
  allKilled,
  joinCrashed,
  duplicates,
  forwardsRepeated,
  votesCollide,
  halfOpenEdge,
  upstreamMidway,
  forgedJoins,
  seven,
  wrongFollower,
  wrongTwo,
  stalledFollower,
  settingsDiffer,
  leaseQuorumLost,
  eventsAllKilled,
  jobsHarmed,
  promoted,
  recovered,
  ...DISK_SCENARIOS,
];
