// Builds the beat that this node sends, for full members and edges alike.

import { statfsSync } from "node:fs";
import { buildInfo } from "../config/build-info.ts";
import type { Beat } from "../fleet/index.ts";
import { KNOWN_LEVEL } from "../log/level.ts";
import type { Conditions } from "../observe/conditions.ts";
import type { MachineWatch } from "../observe/machine/machine-watch.ts";
import type { RaftState } from "../tailnet/index.ts";

/** What every node says of itself, whatever its role. */
export interface BeatSource {
  /** The free space of its disk is part of the beat. */
  dataDir: string;
  conditions: Conditions;
  /** Wall clock in ms. */
  nowMs: () => number;
  startedMs: number;
  machine: Pick<MachineWatch, "facts">;
}

type NodeFields = "version" | "level" | "timeMs" | "memory" | "diskFree" | "conditions" | "startedMs" | "machine";
type RaftFields = "last" | "applied" | "configuration" | "fsyncP99Ms" | "fsyncSamples" | "electionsIn10Min";

/** Returns the beat. `raft` is undefined on an edge, and on a full member before raft was read. */
export function ownBeat(
  { dataDir, conditions, nowMs, startedMs, machine }: BeatSource,
  member: Omit<Beat, NodeFields | RaftFields>,
  raft: RaftState | undefined,
): Beat {
  const disk = statfsSync(dataDir);
  return {
    ...member,
    version: buildInfo.version,
    level: KNOWN_LEVEL,
    timeMs: nowMs(),
    last: raft?.last ?? 0,
    applied: raft?.applied ?? 0,
    configuration: raft?.configuration ?? 0,
    fsyncP99Ms: raft?.fsyncP99Ms ?? 0,
    fsyncSamples: raft?.fsyncSamples ?? 0,
    electionsIn10Min: raft?.electionsIn10Min ?? 0,
    memory: process.memoryUsage.rss(),
    diskFree: disk.bavail * disk.bsize,
    conditions: conditions.list().map(({ code }) => code),
    startedMs,
    machine: machine.facts(),
  };
}
