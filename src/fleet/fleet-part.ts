// Builds role, fleet and members for node_status from the members table, beats, raft's configuration and the tailnet's
// paths. Pure: the caller supplies the facts.

import type { Peer, RaftState } from "../tailnet/index.ts";
import type { BeatsView } from "./beats/beats.ts";
import { shownNames } from "./device-names.ts";
import { faultToleranceText } from "./fault-tolerance.ts";
import { voterCount } from "./lead/plan.ts";
import type { FleetPart, MemberReport } from "./node-status.ts";
import type { FleetRole, Member } from "./rows.ts";

/** What a node knows of its fleet at one moment. */
export interface FleetFacts extends Omit<BeatsView, "ageMs"> {
  /** StableNodeID of this node; "" while it is not known. */
  self: string;
  /** Whether this node has its fleet's store, or an edge its terms; before that it is in no fleet. */
  ready: boolean;
  /** Whether the fleet removed this node, as far as it knows. */
  removed: boolean;
  name: string;
  role: FleetRole;
  fleet: {
    name: string;
    id: string;
    epoch: string;
    profile: string;
    level: number;
    /** Limits of the fleet that are not as built in; undefined on an edge. */
    settings?: Record<string, string>;
  };
  position: { epoch: string; seq: number };
  leadership: { server: string; term: number };
  /** The leader by the beats, for nodes without a raft member. */
  leaderNode: string | undefined;
  members: readonly Member[];
  /** Undefined where raft has not started, or on an edge. */
  raft: RaftState | undefined;
  peers: readonly Peer[];
  version: string;
  level: number;
}

/** Returns role, fleet and members as node_status shows them. */
export function fleetPart(facts: FleetFacts): FleetPart {
  const { leadership, fleet, position, role } = facts;
  const listed = namedByTailnet(facts);
  const leader = listed.find(
    (member) => member.node === facts.leaderNode || (leadership.server !== "" && member.server === leadership.server),
  );
  const leaderSeq = leader === undefined ? undefined : seqOf(facts, leader);
  const votes = votersOf(facts, listed);
  return {
    role,
    fleet_size: listed.length,
    fleet: {
      name: fleet.name,
      id: facts.ready ? fleet.id : "",
      epoch: fleet.epoch,
      profile: fleet.profile,
      level: fleet.level,
      ...(fleet.settings === undefined ? {} : { settings: fleet.settings }),
      position: `${position.epoch}-${position.seq}`,
      leader: leader?.name ?? "",
      leader_node: leader?.node ?? "",
      term: leadership.term,
      voters: votes.size,
      survives: faultToleranceOf(facts),
    },
    members: listed.map((member) => memberRow(facts, member, { leader, leaderSeq, votes })),
  };
}

/** Returns the sentence on fault tolerance from the same facts. */
export function faultToleranceOf(facts: FleetFacts): string {
  if (facts.removed) return "This node is no longer a member of its fleet, and does not know how many voters may fail.";
  if (!facts.ready) return "This node is in no fleet yet: it waits to be admitted, or for the store.";
  const listed = namedByTailnet(facts);
  const voters = [...votersOf(facts, listed)].map((server) => {
    const member = listed.find((each) => each.server === server);
    return { alive: member !== undefined && (isSelf(facts, member) || !facts.isAway(member.node)) };
  });
  return faultToleranceText(voters, listed.filter((member) => member.role !== "edge").length);
}

/**
 * Returns the members with the names that the tailnet shows (first labels of MagicDNS, each of one device). What a
 * member calls itself counts where the tailnet does not show it, and no other one is named so; else its id does.
 */
function namedByTailnet(facts: FleetFacts): readonly Member[] {
  const listed = facts.members.length === 0 ? [ownRow(facts)] : facts.members;
  const own = facts.self === "" ? undefined : { id: facts.self, name: facts.name };
  const shown = shownNames(own, facts.peers);
  const taken = new Set([...shown.values()].map((name) => name.toLowerCase()));
  return listed.map((member) => {
    const claimed = taken.has(member.name.toLowerCase()) ? member.node : member.name;
    const name = shown.get(member.node) || claimed;
    return name === member.name ? member : { ...member, name };
  });
}

/** Returns the servers that vote: by raft's configuration, or on an edge by the roles, the leader first. */
function votersOf({ raft, ready, leaderNode }: FleetFacts, listed: readonly Member[]): ReadonlySet<string> {
  if (!ready) return new Set();
  if (raft !== undefined) return new Set(raft.members.filter(({ voter }) => voter).map(({ server }) => server));
  const centrals = listed.filter(({ role, state }) => role === "central" && state === "active");
  const first = centrals.filter(({ node }) => node === leaderNode);
  const rest = centrals.filter(({ node }) => node !== leaderNode);
  return new Set([...first, ...rest].slice(0, voterCount(centrals.length)).map(({ server }) => server));
}

interface Around {
  leader: Member | undefined;
  leaderSeq: number | undefined;
  votes: ReadonlySet<string>;
}

function memberRow(facts: FleetFacts, member: Member, { leader, leaderSeq, votes }: Around): MemberReport {
  const self = isSelf(facts, member);
  const position = self ? facts.position : facts.received(member.node)?.beat;
  return {
    node: member.node,
    name: member.name,
    role: member.role,
    state: member.state,
    self,
    votes: member.server !== "" && votes.has(member.server),
    leader: member === leader,
    position: position === undefined ? "" : `${position.epoch}-${position.seq}`,
    lag: position === undefined ? null : Math.max(0, (leaderSeq ?? facts.position.seq) - position.seq),
    ...(self ? ownColumns(facts, member) : measuredColumns(facts, member)),
  };
}

type MeasuredColumns = Pick<
  MemberReport,
  "path" | "relay" | "round_trip_ms" | "skew_ms" | "fsync_p99_ms" | "version" | "level" | "age_seconds" | "conditions"
>;

/** Returns what this node knows of itself. */
function ownColumns({ own }: FleetFacts, { version, level }: Member): MeasuredColumns {
  return {
    path: "self",
    relay: "",
    round_trip_ms: null,
    skew_ms: null,
    fsync_p99_ms: tenthsOrNull(own?.fsyncP99Ms),
    version,
    level,
    age_seconds: 0,
    conditions: [...(own?.conditions ?? [])],
  };
}

/** Returns what the tailnet and the newest beat say of another member. */
function measuredColumns(facts: FleetFacts, member: Member): MeasuredColumns {
  const received = facts.received(member.node);
  const peer = facts.peers.find(({ id }) => id === member.node);
  return {
    path: peer?.path ?? "none",
    relay: peer?.relay ?? "",
    round_trip_ms: tenthsOrNull(received?.roundTripMs),
    skew_ms: received === undefined ? null : Math.round(received.skewMs),
    fsync_p99_ms: tenthsOrNull(received?.beat.fsyncP99Ms),
    version: received?.beat.version ?? member.version,
    level: received?.beat.level ?? member.level,
    age_seconds: tenthsOrNull(received && (facts.monotonicMs - received.atMs) / 1000),
    conditions: [...(received?.beat.conditions ?? [])],
  };
}

function isSelf({ self, raft }: FleetFacts, member: Member): boolean {
  return member.node === self || (self === "" && raft !== undefined && member.server === raft.server);
}

function seqOf(facts: FleetFacts, member: Member): number | undefined {
  return isSelf(facts, member) ? facts.position.seq : facts.received(member.node)?.beat.seq;
}

/** Returns a row for a node that is in no table yet: alone, or not admitted. */
function ownRow({ self, name, role, raft, version, level }: FleetFacts): Member {
  const server = raft?.server ?? "";
  return { node: self, server, name, role, state: "active", spaces: [], level, version, joinedMs: 0 };
}

function tenthsOrNull(value: number | undefined): number | null {
  return value === undefined ? null : Math.round(value * 10) / 10;
}
