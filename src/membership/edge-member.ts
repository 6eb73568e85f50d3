// An edge as a member of its fleet while it runs: it gets in, beats with the full members, tells status what it sees, and leaves. What it keeps and follows is cache/.

import { statfsSync } from "node:fs";
import { join } from "node:path";
import { buildInfo } from "../config/build-info.ts";
import {
  type About,
  Beats,
  type FleetFile,
  type FleetPart,
  fleetPart,
  Health,
  type KnownMembers,
  type Member,
  type Pending,
  writeFleetFile,
} from "../fleet/index.ts";
import { Fault } from "../lib/fault.ts";
import { KNOWN_LEVEL } from "../log/level.ts";
import type { Peer } from "../tailnet/index.ts";
import { leaveFleet } from "./actions.ts";
import { EDGE_FOLDER, type EdgeParts } from "./edge-parts.ts";
import { joinFault, stopAfterLeaving } from "./exit-faults.ts";
import type { FleetView, MemberStart, RunningMember } from "./fleet-view.ts";
import { getIn } from "./join.ts";
import type { Peers } from "./peers.ts";
import { RemovalWatch } from "./removal-watch.ts";

export interface EdgeMemberOptions extends MemberStart {
  parts: EdgeParts;
  link: Peers;
}

class EdgeMember implements FleetView {
  readonly #options: EdgeMemberOptions;
  readonly #members: KnownMembers;
  readonly #beats: Beats;
  readonly #removal: RemovalWatch;
  readonly #health = new Health();
  #file: FleetFile | undefined;
  #peers: readonly Peer[] = [];

  constructor(options: EdgeMemberOptions) {
    const { plan, parts, link, nowMs, conditions } = options;
    this.#options = options;
    this.#file = plan.file;
    this.#members = parts.members;
    this.#removal = new RemovalWatch({
      folder: join(options.loaded.settings.data, EDGE_FOLDER),
      conditions,
      monotonicMs: () => performance.now(),
    });
    this.#beats = new Beats({
      link,
      members: parts.members,
      nowMs,
      self: () => this.self(),
      beat: () => this.#beat(),
      monotonicMs: () => performance.now(),
      onBeat: (member) => this.#removal.acceptedBy(member),
      fleetId: () => this.about().fleetId,
      onNotAMember: (by) => this.#removal.refusedBy(by),
      onRound: () => this.#judge(),
    });
    parts.members.onChange(() => this.#keep());
  }

  /** This node is a member, and the tailnet serves. */
  up(): void {
    this.#beats.start();
    this.#options.parts.edge.start();
  }

  async stop(): Promise<void> {
    await this.#beats.stop();
  }

  /** Asks to be let in until it is; resolves at once where it is a member already. */
  async getIn(signal: AbortSignal): Promise<void> {
    const { plan, loaded, link, tailnet, parts, conditions, say } = this.#options;
    if (plan.joinTarget === undefined) return;
    const { data } = loaded.settings;
    const { file } = await getIn(
      {
        target: plan.joinTarget,
        dataDir: data,
        link,
        peers: () => tailnet.peers(),
        conditions,
        say,
        signal,
        self: () => this.self(),
        name: () => this.name(),
      },
      join(data, EDGE_FOLDER),
      async () => "",
    );
    this.#file = file;
    parts.members.set(file.members);
  }

  self(): string {
    return this.#options.status()?.self?.id ?? "";
  }

  leader(): Member | undefined {
    const node = this.#beats.leaderNode();
    return node === undefined ? undefined : this.#members.get(node);
  }

  /** An edge stamps nothing. */
  clockOffMs(): number {
    return 0;
  }

  /** Milliseconds to a member and back, as beats measured it. */
  roundTripMs(node: string): number | undefined {
    return this.#beats.isAway(node) ? undefined : this.#beats.heard(node)?.roundTripMs;
  }

  /** Every answer of an edge tells its own age. */
  stateAgeMs(): number {
    return Number.POSITIVE_INFINITY;
  }

  pending(): readonly Pending[] {
    return [];
  }

  about(): Omit<About, "epoch" | "profile" | "version" | "level"> {
    const size = Math.max(1, this.#members.list().length);
    return {
      fleetId: this.#fleetId(),
      fleet: this.#fleetName(),
      role: "edge",
      leader: this.leader()?.node ?? "",
      size,
    };
  }

  async part(): Promise<FleetPart> {
    this.#peers = await this.#options.tailnet.peers().catch(() => this.#peers);
    return this.partNow();
  }

  /** For metrics: the same without asking anyone anew. */
  partNow(): FleetPart {
    const leader = this.leader();
    const { log } = this.#options.parts.edge;
    const fleetLevel = leader === undefined ? undefined : this.#beats.heard(leader.node)?.beat.fleetLevel;
    return fleetPart({
      ready: this.#file !== undefined,
      self: this.self(),
      name: this.name(),
      role: "edge",
      members: this.#members.list(),
      raft: undefined,
      fleet: {
        name: this.#fleetName(),
        id: this.#fleetId(),
        epoch: log.position().epoch,
        profile: this.#file?.profile ?? "home",
        level: fleetLevel ?? KNOWN_LEVEL,
      },
      position: log.position(),
      leaderNode: leader?.node,
      own: this.#beats.own(),
      peers: this.#peers,
      leadership: { server: "", term: leader === undefined ? 0 : (this.#beats.heard(leader.node)?.beat.term ?? 0) },
      monotonicMs: performance.now(),
      version: buildInfo.version,
      level: KNOWN_LEVEL,
      heard: (node) => this.#beats.heard(node),
      isAway: (node) => this.#beats.isAway(node),
    });
  }

  transfer(): Promise<never> {
    return Promise.reject(
      new Fault("not_leader", "An edge does not order writes, and has no lead to hand over", {
        hint: "Run it on the leader; cairn status shows which that is.",
      }),
    );
  }

  async leave(signal: AbortSignal): Promise<{ fleet: string }> {
    const { link, loaded, onFatal } = this.#options;
    await leaveFleet(
      {
        members: this.#members,
        link,
        self: () => this.self(),
        leading: () => false,
        leader: () => this.leader()?.node,
        remove: () => Promise.resolve(),
        removed: () => this.#removal.removed,
      },
      signal,
    );
    const fleet = this.#fleetName();
    stopAfterLeaving(loaded.settings.data, fleet, onFatal);
    return { fleet };
  }

  /** As the tailnet calls it; its hostname before. */
  name(): string {
    const { status, loaded } = this.#options;
    return (status()?.self?.dnsName ?? "").split(".")[0] || loaded.settings.hostname;
  }

  #fleetName(): string {
    return this.#file?.fleet ?? this.#options.loaded.settings.fleet;
  }

  #fleetId(): string {
    return this.#options.parts.edge.state.terms?.fleet ?? this.#file?.fleetId ?? "";
  }

  /** The members as they are now, for a start that reaches nobody at first. */
  #keep(): void {
    if (this.#file === undefined) return;
    const members = [...this.#members.list()];
    const own = this.#members.get(this.self());
    // Who is told of members is one.
    const { removed: _removed, ...file } = this.#file;
    this.#file = { ...file, members, ...(own === undefined ? {} : { spaces: [...own.spaces] }) };
    writeFleetFile(join(this.#options.loaded.settings.data, EDGE_FOLDER), this.#file);
  }

  /** What a full member says of itself and of others; an edge has no raft member to ask. */
  #judge(): void {
    const { conditions } = this.#options;
    const leader = this.leader();
    this.#health.update(
      {
        self: this.self(),
        ready: this.#file !== undefined && !this.#removal.removed,
        leading: false,
        leaderKnown: leader !== undefined,
        members: this.#removal.removed ? [] : this.#members.list(),
        raft: undefined,
        own: this.#beats.own(),
        leaderNode: leader?.node,
        profile: this.#file?.profile ?? "home",
        heard: (node) => this.#beats.heard(node),
        ageMs: (node) => this.#beats.ageMs(node),
        isAway: (node) => this.#beats.isAway(node),
        monotonicMs: performance.now(),
      },
      conditions,
    );
  }

  async #beat() {
    const { nowMs, loaded, conditions, startedMs, parts } = this.#options;
    const { epoch, seq } = parts.edge.log.position();
    const { leaderNode, term, fleetLevel, profile } = this.#heardOfLeader();
    const disk = statfsSync(loaded.settings.data);
    return {
      node: this.self(),
      server: "",
      name: this.name(),
      role: "edge" as const,
      version: buildInfo.version,
      level: KNOWN_LEVEL,
      fleetLevel,
      epoch,
      seq,
      hash: "",
      timeMs: nowMs(),
      leading: false,
      leader: leaderNode,
      term,
      last: 0,
      applied: 0,
      configuration: 0,
      fsyncP99Ms: 0,
      electionsIn10Min: 0,
      profile,
      memory: process.memoryUsage.rss(),
      diskFree: disk.bavail * disk.bsize,
      conditions: conditions.list().map(({ code }) => code),
      startedMs,
    };
  }

  #heardOfLeader() {
    const leader = this.leader();
    const beat = leader === undefined ? undefined : this.#beats.heard(leader.node)?.beat;
    return {
      leaderNode: leader?.server ?? "",
      term: beat?.term ?? 0,
      fleetLevel: beat?.fleetLevel ?? KNOWN_LEVEL,
      profile: beat?.profile ?? this.#file?.profile ?? "home",
    };
  }
}

/** Opens the member that an edge is; it gets in and follows once the tailnet serves. */
export function openEdgeMember(options: EdgeMemberOptions): RunningMember {
  const { conditions, onFatal } = options;
  const fleet = new EdgeMember(options);
  const stop = new AbortController();
  let going: Promise<void> | undefined;
  const begin = async (): Promise<void> => {
    try {
      await fleet.getIn(stop.signal);
      fleet.up();
    } catch (error) {
      if (!stop.signal.aborted) onFatal(joinFault(error, conditions));
    }
  };
  return {
    fleet,
    up: () => {
      going ??= begin();
    },
    stop: async () => {
      stop.abort();
      await Promise.all([fleet.stop(), going]);
    },
  };
}
