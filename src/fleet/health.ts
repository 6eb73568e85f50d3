// Judges the conditions of a fleet once a second, from beats and raft's state. Only judges; collecting the facts is
// done elsewhere.

import { counted } from "../lib/counted.ts";
import type { ConditionCode, Conditions } from "../observe/conditions.ts";
import type { RaftState } from "../tailnet/index.ts";
import type { Beat } from "./beats/beat.ts";
import { type BeatsView, beatOf } from "./beats/beats.ts";
import { medianOf } from "./lead/handover.ts";
import { keptFromBefore, pendingErasures } from "./purges.ts";
import type { Member, Profile } from "./rows.ts";

/** The facts of one judgement. */
export interface HealthFacts extends BeatsView {
  self: string;
  /** Whether this node has its fleet's store; before that other conditions matter. */
  ready: boolean;
  leading: boolean;
  leaderKnown: boolean;
  members: readonly Member[];
  /** Why the build of this node cannot install a copy that its leader sent. */
  newerCopy?: string | undefined;
  /** Undefined on an edge. */
  raft: RaftState | undefined;
  leaderNode: string | undefined;
  profile: Profile;
}

const LEADERLESS_MS = 5_000;
const BEHIND_MS = 10_000;
const UNREACHABLE_MS = 15_000;
const MAX_ELECTIONS = 3;
const SKEW_MS = 5_000;
/** A slower disk slows every write down; by profile, in ms. */
const SLOW_FSYNC_MS: Readonly<Record<Profile, number>> = { lan: 50, home: 150, wan: 500 };

/** The codes that this file raises and clears. */
const JUDGED = [
  "no_quorum",
  "lagging_follower",
  "flapping_leader",
  "slow_fsync",
  "clock_skew",
  "version_skew",
  "level_skew",
  "build_too_old",
  "member_unreachable",
  "purge_pending",
  "purge_in_backups",
] as const satisfies readonly ConditionCode[];
type Judged = (typeof JUDGED)[number];

/** Judges the conditions of one node, and remembers since when they last. */
export class Health {
  #leaderlessMs: number | undefined;
  /** Since when a member is behind without a break, on the monotonic clock. */
  readonly #behindMs = new Map<string, number>();

  /** Returns the conditions that hold by these facts, with their text. */
  judge(facts: HealthFacts): ReadonlyMap<Judged, string> {
    const found: [Judged, string | undefined][] = [
      ["no_quorum", this.#noQuorum(facts)],
      ["lagging_follower", this.#lagging(facts)],
      ["flapping_leader", flapping(facts)],
      ["slow_fsync", slowFsync(facts)],
      ["clock_skew", clockSkew(facts)],
      ["version_skew", versionSkew(facts)],
      ["level_skew", levelSkew(facts)],
      ["build_too_old", buildTooOld(facts)],
      ["member_unreachable", unreachable(facts)],
      ["purge_pending", pendingErasures(facts)],
      ["purge_in_backups", keptFromBefore(facts)],
    ];
    return new Map(found.flatMap(([code, text]) => (text === undefined ? [] : [[code, text] as const])));
  }

  /** Raises and clears conditions accordingly. */
  update(facts: HealthFacts, conditions: Conditions): void {
    const found = this.judge(facts);
    for (const code of JUDGED) {
      const text = found.get(code);
      if (text === undefined) conditions.clear(code);
      else conditions.raise(code, text);
    }
  }

  #noQuorum({ leaderKnown, ready, raft, monotonicMs, members, isAway, self }: HealthFacts): string | undefined {
    const full = members.filter(({ role, node }) => role !== "edge" && node !== self);
    // An edge that reaches no member has another condition for that.
    if (leaderKnown || !ready || (raft === undefined && full.every(({ node }) => isAway(node)))) {
      this.#leaderlessMs = undefined;
      return undefined;
    }
    this.#leaderlessMs ??= monotonicMs;
    if (monotonicMs - this.#leaderlessMs < LEADERLESS_MS) return undefined;
    if (raft === undefined) return "No member that responds leads, so nothing can be written";
    const voters = raft.members.filter(({ voter }) => voter);
    const away = voters
      .map(({ server }) => members.find((member) => member.server === server))
      .filter((member) => member !== undefined && member.node !== self && isAway(member.node));
    const names = away.length === 0 ? "" : `; not responding: ${namesOf(away)}`;
    return (
      `No member leads, so nothing can be written; ${voters.length - away.length} of ${voters.length} voters ` +
      `respond${names}`
    );
  }

  /** The leader judges all other full members, a follower only itself. */
  #lagging(facts: HealthFacts): string | undefined {
    const { members, self, monotonicMs } = facts;
    const late = members.flatMap((member) => {
      const behind = changesBehind(facts, member);
      if (monotonicMs - this.#behindSince(member.node, behind, monotonicMs) < BEHIND_MS) return [];
      return `${member.node === self ? "this node" : member.name} is ${counted(behind, "change")} behind the leader`;
    });
    for (const node of this.#behindMs.keys())
      if (!members.some((member) => member.node === node)) this.#behindMs.delete(node);
    return late.length === 0 ? undefined : late.join("; ");
  }

  /** Returns since when a member is behind without a break, on the monotonic clock; now if it is not behind. */
  #behindSince(node: string, behind: number, nowMs: number): number {
    const sinceMs = behind > BEHIND_CHANGES ? (this.#behindMs.get(node) ?? nowMs) : undefined;
    if (sinceMs === undefined) this.#behindMs.delete(node);
    else this.#behindMs.set(node, sinceMs);
    return sinceMs ?? nowMs;
  }
}

/** A member that is further behind lags; a smaller difference can come from the age of a beat under load. */
export const BEHIND_CHANGES = 1_000;

/** Returns the newest beat of the leader; undefined where none is known. */
function leaderBeat({ leading, own, received, leaderNode }: HealthFacts): Beat | undefined {
  if (leading) return own;
  return leaderNode === undefined ? undefined : received(leaderNode)?.beat;
}

/** Returns how many changes a member is behind the leader; 0 where this node does not judge it or does not know. */
function changesBehind(facts: HealthFacts, member: Member): number {
  const { leading, self, own, received, isAway } = facts;
  const isSelf = member.node === self;
  if (member.role === "edge" || leading === isSelf) return 0;
  const newest = (node: string): number | undefined => (isAway(node) ? undefined : received(node)?.beat.seq);
  const leaderSeq = leaderBeat(facts)?.seq;
  const seq = isSelf ? own?.seq : newest(member.node);
  return leaderSeq === undefined || seq === undefined ? 0 : leaderSeq - seq;
}

function flapping({ raft }: HealthFacts): string | undefined {
  const count = raft?.electionsIn10Min ?? 0;
  return count > MAX_ELECTIONS ? `${count} elections in the last ten minutes` : undefined;
}

function slowFsync({ own, profile }: HealthFacts): string | undefined {
  const ms = own?.fsyncP99Ms ?? 0;
  if (ms <= SLOW_FSYNC_MS[profile]) return undefined;
  return (
    `Syncing the log to this disk takes ${Math.round(ms)} ms (99 of 100), and ${SLOW_FSYNC_MS[profile]} are fine ` +
    `for the profile ${profile}`
  );
}

/** With three clocks the wrong one is known, and its own node reports it. Two clocks only show that they differ. */
function clockSkew({ members, self, received, isAway }: HealthFacts): string | undefined {
  const others = members.flatMap((member) => {
    const skewMs = member.node === self || isAway(member.node) ? undefined : received(member.node)?.skewMs;
    return skewMs === undefined ? [] : [{ name: member.name, skewMs }];
  });
  const [only] = others;
  if (only !== undefined && others.length === 1) {
    if (Math.abs(only.skewMs) <= SKEW_MS) return undefined;
    return `The clocks of this node and ${only.name} differ by ${seconds(only.skewMs)} s`;
  }
  const median = medianOf([0, ...others.map(({ skewMs }) => skewMs)]);
  if (Math.abs(median) <= SKEW_MS) return undefined;
  const side = median > 0 ? "behind" : "ahead of";
  return `The clock of this node is ${seconds(median)} s ${side} that of the other members`;
}

function versionSkew(facts: HealthFacts): string | undefined {
  const said = facts.members.map(({ node, name, version }) => ({
    name,
    version: beatOf(facts, node)?.version ?? version,
  }));
  if (new Set(said.map(({ version }) => version)).size < 2) return undefined;
  return said.map(({ name, version }) => `${name} runs ${version}`).join(", ");
}

/** Returns the highest level that the build of each full member knows. */
function knownLevels(facts: HealthFacts): { node: string; name: string; level: number }[] {
  return facts.members
    .filter(({ role }) => role !== "edge")
    .map(({ node, name, level }) => ({ node, name, level: beatOf(facts, node)?.level ?? level }));
}

function levelSkew(facts: HealthFacts): string | undefined {
  const said = knownLevels(facts);
  if (new Set(said.map(({ level }) => level)).size < 2 || buildTooOld(facts) !== undefined) return undefined;
  return `${said.map(({ name, level }) => `${name} knows level ${level}`).join(", ")}; the fleet stays at the lowest`;
}

/** A member that went back to a build from before the level was raised, such as one that was away meanwhile. */
function buildTooOld(facts: HealthFacts): string | undefined {
  const { self, newerCopy } = facts;
  // Without a store it knows no members, and they get no beat of it.
  if (newerCopy !== undefined) return newerCopy;
  const leader = leaderBeat(facts);
  if (leader === undefined) return undefined;
  const old = knownLevels(facts).filter(({ level }) => level < leader.fleetLevel);
  if (old.length === 0) return undefined;
  const names = old.map(({ node, name, level }) => `${node === self ? "this node" : name} knows levels up to ${level}`);
  return `The fleet is at level ${leader.fleetLevel}, and ${names.join(", ")}`;
}

/** Edges may come and go; full members should not. */
function unreachable({ members, self, ageMs }: HealthFacts): string | undefined {
  const away = members.filter(
    (member) => member.node !== self && member.role !== "edge" && ageMs(member.node) > UNREACHABLE_MS,
  );
  if (away.length === 0) return undefined;
  return away.map((member) => `${member.name} has not responded for ${seconds(ageMs(member.node))} s`).join("; ");
}

function namesOf(members: readonly (Member | undefined)[]): string {
  return members.map((member) => member?.name ?? "").join(", ");
}

function seconds(ms: number): number {
  return Math.round(Math.abs(ms) / 1000);
}
