// An edge as a member of its fleet while it runs: joins, exchanges beats with the full members, reports status, leaves.
// What it keeps and follows is cache/.

import { join } from "node:path";
import { buildInfo } from "../config/build-info.ts";
import {
  type Beat,
  Beats,
  type Clocks,
  type FleetFacts,
  type FleetFile,
  type FleetPart,
  type FleetRole,
  fleetPart,
  Health,
  type KnownMembers,
  type Member,
  type MemberView,
  memberViews,
  NO_CLOCKS,
  newestPurge,
  type Pending,
  type Profile,
  writeFleetFile,
} from "../fleet/index.ts";
import { Fault } from "../lib/fault.ts";
import { KNOWN_LEVEL } from "../log/level.ts";
import type { Peer } from "../tailnet/index.ts";
import { leaveFleet } from "./actions.ts";
import { EDGE_FOLDER, type EdgeParts } from "./edge-parts.ts";
import { joinFault, stopAfterLeaving } from "./exit-faults.ts";
import type { FleetView, MemberStart, RunningMember } from "./fleet-view.ts";
import { enterFleet } from "./join.ts";
import { ownBeat } from "./own-beat.ts";
import { deviceNames, type OwnNode } from "./own-node.ts";
import { OwnPurges } from "./own-purges.ts";
import type { PeerConnection } from "./peer-connection.ts";
import { RemovalWatch } from "./removal-watch.ts";

export interface EdgeMemberOptions extends MemberStart {
  parts: EdgeParts;
  link: PeerConnection;
}

/** Opens the membership of an edge; it joins and follows the feed once the tailnet serves. */
export function openEdgeMember(options: EdgeMemberOptions): RunningMember {
  return new EdgeMember(options);
}

class EdgeMember implements FleetView, RunningMember {
  readonly fleet = this;
  readonly #options: EdgeMemberOptions;
  readonly #node: OwnNode;
  readonly #folder: string;
  readonly #members: KnownMembers;
  readonly #beats: Beats;
  readonly #removal: RemovalWatch;
  readonly #health = new Health();
  readonly #purges: OwnPurges;
  readonly #stop = new AbortController();
  #file: FleetFile | undefined;
  #peers: readonly Peer[] = [];
  #starting: Promise<void> | undefined;

  constructor(options: EdgeMemberOptions) {
    const { plan, parts, link, nowMs, conditions, loaded, node } = options;
    const monotonicMs = (): number => performance.now();
    this.#options = options;
    this.#node = node;
    this.#folder = join(loaded.settings.data, EDGE_FOLDER);
    this.#file = plan.file;
    this.#members = parts.members;
    this.#purges = new OwnPurges({
      reader: parts.store.reader,
      dataDir: loaded.settings.data,
      backupsBefore: () => [],
      monotonicMs,
    });
    this.#removal = new RemovalWatch({ folder: this.#folder, conditions, monotonicMs });
    this.#beats = new Beats({
      link,
      members: parts.members,
      nowMs,
      self: () => this.#node.id(),
      beat: () => this.#beat(),
      monotonicMs,
      onBeat: (member) => this.#removal.acceptedBy(member),
      fleetId: () => this.#fleetId(),
      onNotAMember: (by) => this.#removal.refusedBy(by),
      onRound: () => this.#afterRound(),
    });
    parts.members.onChange(() => this.#keepMembers());
  }

  up(): void {
    this.#starting ??= this.#start();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await Promise.all([this.#beats.stop(), this.#starting]);
  }

  async part(): Promise<FleetPart> {
    this.#peers = await this.#options.tailnet.peers().catch(() => this.#peers);
    return this.partNow();
  }

  async views(): Promise<readonly MemberView[]> {
    this.#peers = await this.#options.tailnet.peers().catch(() => this.#peers);
    return memberViews(this.#partFacts(), this.#options.machine.facts());
  }

  partNow(): FleetPart {
    return fleetPart(this.#partFacts());
  }

  #partFacts(): FleetFacts {
    const { log } = this.#options.parts.edge;
    const { fleetLevel: level, term } = this.#leaderFacts();
    const profile = this.#fileProfile();
    return {
      ...this.#facts(),
      name: this.#node.name(),
      role: "edge",
      members: this.#members.list(),
      fleet: { name: this.#fleetName(), id: this.#fleetId(), epoch: log.position().epoch, profile, level },
      position: log.position(),
      peers: this.#peers,
      leadership: { server: "", term },
      version: buildInfo.version,
      level: KNOWN_LEVEL,
    };
  }

  /** An edge admits no devices. */
  pending(): readonly Pending[] {
    return [];
  }

  deviceNames(): Promise<ReadonlyMap<string, string>> {
    return deviceNames(this.#node, () => this.#options.tailnet.peers());
  }

  about(): { fleetId: string; fleet: string; role: FleetRole; leader: string; size: number } {
    return {
      fleetId: this.#fleetId(),
      fleet: this.#fleetName(),
      role: "edge",
      leader: this.leader()?.node ?? "",
      size: Math.max(1, this.#members.list().length),
    };
  }

  leader(): Member | undefined {
    const node = this.#beats.leaderNode();
    return node === undefined ? undefined : this.#members.get(node);
  }

  /** A level that one full member has applied is known to all of their builds. */
  fleetLevel(): number {
    const full = this.#members.list().filter(({ role }) => role !== "edge");
    return Math.max(0, ...full.map(({ node }) => this.#beats.received(node)?.beat.fleetLevel ?? 0));
  }

  /** Infinite: each answer of an edge carries its own age. */
  stateAgeMs(): number {
    return Number.POSITIVE_INFINITY;
  }

  stateAgeFromNow(): undefined {
    return undefined;
  }

  successor(): string {
    return "";
  }

  /** An edge has no log. */
  mayErase(): boolean {
    return true;
  }

  roundTripMs(node: string): number | undefined {
    return this.#beats.isAway(node) ? undefined : this.#beats.received(node)?.roundTripMs;
  }

  /** An edge stamps no commands. */
  clockOffMs(): number {
    return 0;
  }

  clocks(): Clocks {
    return NO_CLOCKS;
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
        self: () => this.#node.id(),
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

  async #start(): Promise<void> {
    const { parts, conditions, onFatal } = this.#options;
    try {
      await this.#join();
      this.#beats.start();
      parts.edge.start();
    } catch (error) {
      if (!this.#stop.signal.aborted) onFatal(joinFault(error, conditions));
    }
  }

  /** Asks to be admitted until it is; resolves at once where this node is a member already. */
  async #join(): Promise<void> {
    const { plan, loaded, tailnet, parts } = this.#options;
    if (plan.joinTarget === undefined) return;
    const { file } = await enterFleet(
      {
        ...this.#options,
        target: plan.joinTarget,
        dataDir: loaded.settings.data,
        peers: () => tailnet.peers(),
        signal: this.#stop.signal,
      },
      this.#folder,
      async () => "",
    );
    this.#file = file;
    parts.members.set(file.members);
  }

  #fleetName(): string {
    return this.#file?.fleet ?? this.#options.loaded.settings.fleet;
  }

  #fleetId(): string {
    return this.#options.parts.edge.state.terms?.fleet ?? this.#file?.fleetId ?? "";
  }

  /** Writes the members to fleet.json, for a start that reaches no full member at first. */
  #keepMembers(): void {
    if (this.#file === undefined) return;
    const members = [...this.#members.list()];
    const own = this.#members.get(this.#node.id());
    // Receiving the list of members proves that this node is still one, so the mark `removed` goes.
    const { removed: _removed, ...file } = this.#file;
    this.#file = { ...file, members, ...(own === undefined ? {} : { spaces: [...own.spaces] }) };
    writeFleetFile(this.#folder, this.#file);
  }

  #afterRound(): void {
    const { edge } = this.#options.parts;
    edge.state.erasure.note(newestPurge({ ...this.#facts(), members: this.#members.list() }));
    this.#judgeHealth();
  }

  #judgeHealth(): void {
    const { removed } = this.#removal;
    const facts = this.#facts();
    this.#health.update(
      {
        ...facts,
        ready: facts.ready && !removed,
        leading: false,
        leaderKnown: facts.leaderNode !== undefined,
        members: removed ? [] : this.#members.list(),
        profile: this.#fileProfile(),
      },
      this.#options.conditions,
    );
  }

  /** Facts that status and health have in common. */
  #facts() {
    return {
      ...this.#beats.view(),
      ready: this.#file !== undefined,
      removed: this.#removal.removed,
      self: this.#node.id(),
      raft: undefined,
      leaderNode: this.leader()?.node,
    };
  }

  async #beat(): Promise<Beat> {
    const { loaded, parts } = this.#options;
    const { epoch, seq } = parts.edge.log.position();
    const { server, term, fleetLevel, profile } = this.#leaderFacts();
    return ownBeat(
      { ...this.#options, dataDir: loaded.settings.data },
      {
        node: this.#node.id(),
        server: "",
        name: this.#node.name(),
        role: "edge",
        fleetLevel,
        epoch,
        seq,
        hash: "",
        leading: false,
        leader: server,
        term,
        profile,
        ...this.#purges.fields(),
      },
      undefined,
    );
  }

  /** What the leader's newest beat says of the fleet. */
  #leaderFacts(): { server: string; term: number; fleetLevel: number; profile: Profile } {
    const leader = this.leader();
    const beat = leader === undefined ? undefined : this.#beats.received(leader.node)?.beat;
    return {
      server: leader?.server ?? "",
      term: beat?.term ?? 0,
      fleetLevel: beat?.fleetLevel ?? KNOWN_LEVEL,
      profile: beat?.profile ?? this.#fileProfile(),
    };
  }

  #fileProfile(): Profile {
    return this.#file?.profile ?? "home";
  }
}
