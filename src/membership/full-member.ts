// A full node as a member of its fleet while it runs: its row, beats, the steward while it leads, what peers ask of it, and what status tells. Getting in is join.ts; what a start does is plan.ts.

import { statfsSync } from "node:fs";
import { join } from "node:path";
import type { Access } from "../access/access.ts";
import { buildInfo } from "../config/build-info.ts";
import type { Settings } from "../config/settings.ts";
import {
  type About,
  Admission,
  type Beat,
  Beats,
  ClockOff,
  type FleetPart,
  type FleetRole,
  faultToleranceOf,
  fleetMemberRemove,
  fleetPart,
  fleetValue,
  Health,
  type Member,
  type Members,
  type Pending,
  type Profile,
  Steward,
} from "../fleet/index.ts";
import { fleetOf } from "../log/history.ts";
import { KNOWN_LEVEL, levelOf } from "../log/level.ts";
import type { Command, Log } from "../log/log.ts";
import type { Conditions } from "../observe/conditions.ts";
import type { LogLine } from "../observe/logging.ts";
import type { WriteOperation } from "../operation/define.ts";
import type { PeerServer } from "../peer/server.ts";
import type { Store } from "../store/store.ts";
import type { Peer, RaftHost, Status } from "../tailnet/index.ts";
import { leaveFleet, transferLead } from "./actions.ts";
import type { FleetView } from "./fleet-view.ts";
import { HistoryWatch, hex } from "./history-watch.ts";
import type { Peers } from "./peers.ts";
import { profileOf, RaftMembership } from "./raft-membership.ts";
import { FounderRegistration } from "./register-founder.ts";
import { RemovalWatch } from "./removal-watch.ts";
import { servePeers } from "./serve-peers.ts";
import { StateAgeTracker } from "./state-age.ts";

export interface FullMemberOptions {
  settings: Settings & { readonly data: string };
  store: Store;
  log: Log;
  access: Access;
  members: Members;
  host: RaftHost;
  link: Peers;
  peers: () => Promise<readonly Peer[]>;
  /** Id of its raft server; "" until it runs. */
  server: () => string;
  /** Who has this fleet's id and is no member, in words. */
  copies: () => string;
  /** What the tailnet says of this node. */
  status: () => Status | undefined;
  conditions: Conditions;
  line: LogLine;
  nowMs: () => number;
  startedMs: number;
  /** Members as this node was told when it was let in, until its store has them. */
  knownMembers: readonly Member[];
  /** Keeps the list of members beside the store, for starts without one. */
  keep: (members: readonly Member[]) => void;
  /** This node has left: its data are to be set aside at the next start, and it ends. */
  onLeft: (fleet: string) => void;
  /** Another device has this server id: the folder is a copy. */
  onCopied: (member: Member) => void;
}

const PATHS_EVERY_MS = 5_000;

export class FullMember implements FleetView {
  readonly #options: FullMemberOptions;
  readonly #beats: Beats;
  readonly #steward: Steward;
  readonly #admission: Admission;
  readonly #health = new Health();
  readonly #history: HistoryWatch;
  readonly #raft: RaftMembership;
  readonly #founder: FounderRegistration;
  readonly #age: StateAgeTracker;
  readonly #clockOff = new ClockOff();
  #upMs = Number.POSITIVE_INFINITY;
  readonly #ends: (() => void)[] = [];
  readonly #removal: RemovalWatch;
  #peers: readonly Peer[] = [];
  #peersMs = Number.NEGATIVE_INFINITY;

  constructor(options: FullMemberOptions) {
    this.#options = options;
    const { settings, members, link, nowMs, log, host, store, access, conditions, line, knownMembers, copies } =
      options;
    this.#raft = new RaftMembership({ host, members, knownMembers, line, profile: () => this.profile() });
    this.#history = new HistoryWatch({
      dataDir: settings.data,
      log,
      members,
      leaderNode: () => this.leader()?.node,
      copies,
      conditions,
      line,
      nowMs,
    });
    this.#founder = new FounderRegistration({
      settings,
      members,
      log,
      self: () => this.self(),
      name: () => this.name(),
      server: options.server,
      propose: (operation, input) => this.propose(operation, input),
      onCopied: options.onCopied,
      line,
    });
    this.#removal = new RemovalWatch({
      folder: join(settings.data, "raft"),
      conditions,
      monotonicMs: () => performance.now(),
    });
    this.#age = new StateAgeTracker({
      log,
      self: () => this.self(),
      leader: () => this.leader(),
      byServer: (server) => members.byServer(server),
      answered: (node) => this.#beats.answered(node),
    });
    this.#beats = new Beats({
      link,
      members,
      nowMs,
      self: () => this.self(),
      beat: () => this.#beat(),
      monotonicMs: () => performance.now(),
      elapsedMs: () => this.#age.elapsedMs(),
      onBeat: (member, heard) => {
        this.#removal.acceptedBy(member);
        this.#history.take(member, heard);
      },
      fleetId: () => this.fleet().fleetId,
      // A leader believes nobody.
      onNotAMember: (by) => (this.leading() ? undefined : this.#removal.refusedBy(by)),
      onRound: () => this.#afterRound(),
    });
    this.#steward = new Steward({
      host,
      members,
      beats: this.#beats,
      propose: (command: Command) => log.propose(command),
      level: () => levelOf(store.reader),
      membersSent: () => this.#raft.membersSent(),
      monotonicMs: () => performance.now(),
      log: line,
    });
    this.#admission = new Admission({
      reader: store.reader,
      members,
      nowMs,
      propose: (command) => log.propose(command),
      barrier: () => log.barrier(),
      leading: () => this.leading(),
      leader: () => this.leader(),
      self: () => this.self(),
      fleet: () => this.fleet(),
      joinRoles: (caller) => access.joinRoles(caller),
      survives: () => faultToleranceOf(this.#facts()),
    });
  }

  /** Begins with what needs no tailnet; `up` follows once this node knows its own id. */
  start(): void {
    const { log, members } = this.#options;
    this.#raft.sendMembers();
    this.#ends.push(
      members.onChange(() => {
        this.#raft.sendMembers();
        this.#options.keep(members.list());
        void this.#founder.register();
      }),
      log.onLeading(({ term, signal }) => {
        this.#age.startedLeading(term);
        this.#steward.lead(signal);
        void this.#founder.register();
      }),
    );
  }

  /** This node is on the tailnet. */
  up(): void {
    this.#upMs = Math.min(this.#upMs, performance.now());
    void this.#founder.register();
    this.#beats.start();
  }

  async stop(): Promise<void> {
    for (const end of this.#ends) end();
    await this.#beats.stop();
  }

  /** Answers what peers ask of a member. */
  serve(server: PeerServer): void {
    const { access, status } = this.#options;
    servePeers(server, {
      access,
      admission: this.#admission,
      beats: this.#beats,
      tags: () => status()?.self?.tags ?? [],
      about: () => this.about(),
      leading: () => this.leading(),
      leader: () => this.leader(),
      remove: (node) => this.propose(fleetMemberRemove, { node }, `node:${node}`),
    });
  }

  /** StableNodeID of this node; "" while it is not known. */
  self(): string {
    return this.#options.status()?.self?.id ?? "";
  }

  leading(): boolean {
    return this.#options.log.leadership().leading;
  }

  leader(): Member | undefined {
    const { server } = this.#options.log.leadership();
    return server === "" ? undefined : this.#options.members.byServer(server);
  }

  /** Its role by the table; by its settings while no table has it. */
  role(): FleetRole {
    return this.#options.members.get(this.self())?.role ?? this.#options.settings.role;
  }

  pending(): readonly Pending[] {
    return this.leading() ? this.#admission.pending() : [];
  }

  fleet(): { fleet: string; fleetId: string; epoch: string; profile: Profile } {
    const { store, settings } = this.#options;
    const { fleet: fleetId, epoch } = fleetOf(store.reader);
    return { fleet: fleetValue(store.reader, "fleet_name") || settings.fleet, fleetId, epoch, profile: this.profile() };
  }

  profile(): Profile {
    return profileOf(this.#options.store, this.#options.settings.fleet_profile);
  }

  about(): About {
    const { members } = this.#options;
    const size = Math.max(1, members.list().length);
    const leader = this.leading() ? this.self() : (this.leader()?.node ?? "");
    return { ...this.fleet(), role: this.role(), leader, size, version: buildInfo.version, level: KNOWN_LEVEL };
  }

  /** How old what this node has may be at most, in ms, as beats proved; infinite while nothing is proved. */
  stateAgeMs(): number {
    return this.#age.ageMs();
  }

  /** Milliseconds to a member and back, as beats measured it. */
  roundTripMs(node: string): number | undefined {
    return this.#beats.heard(node)?.roundTripMs;
  }

  clockOffMs(): number | undefined {
    const self = this.self();
    const centrals = this.#options.members.list().filter(({ role, server }) => role === "central" && server !== "");
    const skewsMs = centrals.flatMap(({ node }) => {
      const heard = node === self || this.#beats.isAway(node) ? undefined : this.#beats.heard(node);
      return heard === undefined ? [] : [heard.skewMs];
    });
    return this.#clockOff.of({ count: centrals.length, skewsMs, askingMs: performance.now() - this.#upMs });
  }

  /** For node_status. */
  async part(): Promise<FleetPart> {
    await this.#raft.refresh();
    await this.#lookAtPaths();
    return fleetPart(this.#facts());
  }

  /** For metrics: the same without asking anyone anew. */
  partNow(): FleetPart {
    return fleetPart(this.#facts());
  }

  transfer(node: string | undefined, signal: AbortSignal): Promise<{ node: string; name: string }> {
    const { members, log, host } = this.#options;
    return transferLead({ members, log, host, leader: () => this.leader() }, node, signal);
  }

  async leave(signal: AbortSignal): Promise<{ fleet: string }> {
    const { members, link, onLeft } = this.#options;
    await leaveFleet(
      {
        members,
        link,
        self: () => this.self(),
        leading: () => this.leading(),
        leader: () => this.leader()?.node,
        remove: () => this.propose(fleetMemberRemove, { node: this.self() }, "local"),
        removed: () => this.#removal.removed,
      },
      signal,
    );
    const { fleet } = this.fleet();
    onLeft(fleet);
    return { fleet };
  }

  /** Proposes a command of the fleet under a caller's name. */
  async propose(operation: WriteOperation, input: unknown, caller = "node"): Promise<Record<string, unknown>> {
    const { name, v } = operation;
    const command = { name, v, input: operation.input.parse(input), caller, via: "", key: "" };
    return (await this.#options.log.propose(command)).output;
  }

  async #beat(): Promise<Beat> {
    const { log, nowMs, settings, conditions, startedMs, store } = this.#options;
    // What answers prove is taken before newer ones come in their place.
    this.#age.ageMs();
    const askedMs = this.#age.elapsedMs();
    const looked = await this.#raft.refresh();
    if (looked !== undefined) this.#age.record(looked, askedMs);
    const raft = this.#raft.state();
    // Read only now: all of it is true at a moment after the question.
    const { epoch } = log.position();
    const { seq, hash } = log.head();
    const { leading, server, term } = log.leadership();
    const disk = statfsSync(settings.data);
    return {
      node: this.self(),
      server: raft?.server ?? "",
      name: this.name(),
      role: this.role(),
      version: buildInfo.version,
      level: KNOWN_LEVEL,
      fleetLevel: levelOf(store.reader),
      epoch,
      seq,
      hash: hex(hash) ?? "",
      timeMs: nowMs(),
      leading,
      leader: server,
      term,
      begun: this.#age.leadingTerm(),
      raftTerm: looked?.term,
      last: raft?.last ?? 0,
      applied: raft?.applied ?? 0,
      configuration: raft?.configuration ?? 0,
      fsyncP99Ms: raft?.fsyncP99Ms ?? 0,
      electionsIn10Min: raft?.electionsIn10Min ?? 0,
      profile: this.profile(),
      memory: process.memoryUsage.rss(),
      diskFree: disk.bavail * disk.bsize,
      conditions: conditions.list().map(({ code }) => code),
      startedMs,
    };
  }

  /** As the tailnet calls it; its hostname before. */
  name(): string {
    const { status, settings } = this.#options;
    return (status()?.self?.dnsName ?? "").split(".")[0] || settings.hostname;
  }

  #afterRound(): void {
    const { conditions, members, log } = this.#options;
    const facts = this.#facts();
    this.#health.update(
      {
        self: facts.self,
        ready: log.ready(),
        leading: this.leading(),
        members: members.list(),
        leaderKnown: log.leadership().server !== "",
        raft: this.#raft.state(),
        own: this.#beats.own(),
        leaderNode: this.leader()?.node,
        profile: this.profile(),
        heard: (node) => this.#beats.heard(node),
        ageMs: (node) => this.#beats.ageMs(node),
        isAway: (node) => this.#beats.isAway(node),
        monotonicMs: performance.now(),
      },
      conditions,
    );
    this.#history.updateCondition();
    this.#raft.sendProfile();
    void this.#founder.register();
    void this.#steward.tick();
  }

  async #lookAtPaths(): Promise<void> {
    if (performance.now() - this.#peersMs < PATHS_EVERY_MS) return;
    this.#peersMs = performance.now();
    this.#peers = await this.#options.peers().catch(() => this.#peers);
  }

  #facts() {
    const { members, log, store } = this.#options;
    const { fleet, fleetId, epoch, profile } = this.fleet();
    return {
      ready: log.ready(),
      self: this.self(),
      name: this.name(),
      role: this.role(),
      members: members.list(),
      raft: this.#raft.state(),
      fleet: { name: fleet, id: fleetId, epoch, profile, level: levelOf(store.reader) },
      position: log.position(),
      leadership: log.leadership(),
      leaderNode: this.leader()?.node,
      own: this.#beats.own(),
      peers: this.#peers,
      monotonicMs: performance.now(),
      heard: (node: string) => this.#beats.heard(node),
      isAway: (node: string) => this.#beats.isAway(node),
      version: buildInfo.version,
      level: KNOWN_LEVEL,
    };
  }
}
