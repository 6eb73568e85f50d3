// Members, beats and raft states for tests of the decisions that depend on them; `a` is the node itself and leads.

import type { Beat, FleetFacts, Member, ReceivedBeat } from "../../src/fleet/index.ts";
import type { RaftState } from "../../src/tailnet/index.ts";

export function member(name: string, role: Member["role"] = "central"): Member {
  return {
    node: `n-${name}`,
    server: role === "edge" ? "" : `s-${name}`,
    name,
    role,
    state: "active" as const,
    spaces: [],
    level: 1,
    version: "1",
    joinedMs: 0,
  };
}

export function beat(name: string, more: Partial<Beat> = {}): Beat {
  return {
    node: `n-${name}`,
    server: `s-${name}`,
    name,
    role: "central" as const,
    version: "1",
    level: 1,
    fleetLevel: 1,
    epoch: "e",
    seq: 10,
    hash: "h10",
    timeMs: 0,
    leading: false,
    leader: "s-a",
    term: 2,
    last: 20,
    applied: 20,
    configuration: 1,
    fsyncP99Ms: 1,
    fsyncSamples: 512,
    electionsIn10Min: 1,
    profile: "home" as const,
    memory: 0,
    diskFree: 0,
    conditions: [],
    startedMs: 0,
    ...more,
  };
}

export function heardOf(name: string, more: Partial<Beat> = {}, rest: Partial<ReceivedBeat> = {}): ReceivedBeat {
  return { beat: beat(name, more), atMs: 0, roundTripMs: 1, skewMs: 0, ...rest };
}

export function raft(voters: readonly string[], more: Partial<RaftState> = {}): RaftState {
  return {
    server: "s-a",
    leading: true,
    leader: "s-a",
    term: 2,
    last: 20,
    commit: 20,
    applied: 20,
    snapshot: 0,
    configuration: 1,
    members: voters.map((name) => ({ server: `s-${name}`, voter: true })),
    fsyncP99Ms: 1,
    fsyncSamples: 512,
    electionsIn10Min: 1,
    refused: [],
    ...more,
  };
}

/** What a node knows of itself and of its fleet, without the others. */
export function ofLeader() {
  return {
    self: "n-a",
    ready: true,
    removed: false,
    name: "a",
    role: "central",
    leaderNode: "n-a",
    version: "1",
    level: 1,
    fleet: { name: "home", id: "f".repeat(32), epoch: "e", profile: "home", level: 1 },
    position: { epoch: "e", seq: 10 },
    leadership: { server: "s-a", term: 2 },
    own: beat("a"),
  } satisfies Partial<FleetFacts>;
}
