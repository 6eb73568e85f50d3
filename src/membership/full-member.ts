// A full member as a member of its fleet while it runs. Puts its parts together: beats with the other members, the
// founder's row, the steward while it leads, admission of joiners, health. Joining is join.ts; what a start decides is
// plan.ts.

import { join } from "node:path";
import type { Access } from "../access/access.ts";
import { buildInfo } from "../config/build-info.ts";
import type { Settings } from "../config/settings.ts";
import {
  type About,
  Admission,
  allStates,
  type Beat,
  Beats,
  ClockOff,
  type Clocks,
  type FleetPart,
  type FleetRole,
  faultToleranceOf,
  fleetMemberRemove,
  fleetPart,
  Health,
  type Member,
  type Members,
  type MemberView,
  memberViews,
  Observer,
  type Pending,
  Steward,
  stateEvents,
} from "../fleet/index.ts";
import type { RaftLog } from "../log/engine/raft/index.ts";
import { KNOWN_LEVEL } from "../log/level.ts";
import { digestText } from "../log/running-digest.ts";
import type { LogLine } from "../observe/logging.ts";
import { changedFleetSettings, ownFleetSettings } from "../operation/fleet-settings.ts";
import { ownWanted } from "../operation/own-events.ts";
import type { PeerServer } from "../peer/server.ts";
import type { Store } from "../store/store.ts";
import type { Peer, RaftHost } from "../tailnet/index.ts";
import { leaveFleet, transferLead } from "./actions.ts";
import { EraseDelay } from "./erase-delay.ts";
import { FleetScanner } from "./fleet-scanner.ts";
import { FleetState } from "./fleet-state.ts";
import type { FleetView } from "./fleet-view.ts";
import { HistoryWatch, hex } from "./history-watch.ts";
import { type BeatSource, ownBeat } from "./own-beat.ts";
import { deviceNames, type OwnNode } from "./own-node.ts";
import { OwnPurges } from "./own-purges.ts";
import type { PeerConnection } from "./peer-connection.ts";
import { RaftMembership } from "./raft-membership.ts";
import { FounderRegistration } from "./register-founder.ts";
import { RemovalWatch } from "./removal-watch.ts";
import { servePeers } from "./serve-peers.ts";
import { StateAgeTracker } from "./state-age.ts";

export interface FullMemberOptions extends Omit<BeatSource, "dataDir"> {
  settings: Settings & { readonly data: string };
  node: OwnNode;
  store: Store;
  log: RaftLog;
  access: Access;
  members: Members;
  host: RaftHost;
  link: PeerConnection;
  peerServer: PeerServer;
  /** Returns the names of backups in this node's folder that were made before the change `seq`, newest first. */
  backupsBefore: (seq: number) => readonly string[];
  /** Returns the name of the newest backup of this node; "": none. */
  lastBackup: () => string;
  peers: () => Promise<readonly Peer[]>;
  /** Shows a line to the operator. */
  say: (line: string) => void;
  line: LogLine;
  /** The role in which this node starts (`plannedRole`). */
  role: FleetRole;
  /** The members as they were at admission, used until the store has them. */
  knownMembers: readonly Member[];
  /** Called once this node has left the fleet of this name. */
  onLeft: (fleet: string) => void;
  /** Called with the other device that has this node's server id: the data folder is a copy. */
  onCopied: (member: Member) => void;
}

const PATHS_EVERY_MS = 5_000;

/** A full member. `start` begins what needs no tailnet, `up` what needs it, `scan` looks for other fleets. */
export class FullMember implements FleetView {
  readonly #options: FullMemberOptions;
  readonly #state: FleetState;
  readonly #raft: RaftMembership;
  readonly #scanner: FleetScanner;
  readonly #history: HistoryWatch;
  readonly #founder: FounderRegistration;
  readonly #removal: RemovalWatch;
  readonly #age: StateAgeTracker;
  readonly #beats: Beats;
  readonly #steward: Steward;
  readonly #observer: Observer;
  readonly #admission: Admission;
  readonly #health = new Health();
  readonly #clockOff = new ClockOff();
  readonly #purges: OwnPurges;
  readonly #eraseDelay: EraseDelay;
  readonly #unsubscribe: (() => void)[] = [];
  /** When this node was on the tailnet first, on the monotonic clock. */
  #upMs = Number.POSITIVE_INFINITY;
  #peers: readonly Peer[] = [];
  #peersMs = Number.NEGATIVE_INFINITY;

  constructor(options: FullMemberOptions) {
    const { settings, node, members, log, host, conditions, line, knownMembers } = options;
    const state = new FleetState(options);
    this.#options = options;
    this.#state = state;
    this.#purges = new OwnPurges({ ...options, reader: options.store.reader, dataDir: settings.data, monotonicMs });
    this.#raft = new RaftMembership({ host, members, knownMembers, line, profile: () => state.profile() });
    this.#scanner = new FleetScanner({
      ...options,
      alone: () => members.list().length === 1,
      onMembers: (listener) => members.onChange(listener),
      fleetId: () => state.fleetId(),
    });
    this.#history = new HistoryWatch({
      ...options,
      dataDir: settings.data,
      self: () => node.id(),
      leaderNode: () => state.leader()?.node,
      copies: () => this.#scanner.copies(),
    });
    this.#founder = new FounderRegistration({ ...options, state, server: () => log.server() });
    this.#removal = new RemovalWatch({ folder: join(settings.data, "raft"), conditions, monotonicMs });
    this.#age = new StateAgeTracker({
      log,
      self: () => node.id(),
      leader: () => state.leader(),
      byServer: (server) => members.byServer(server),
      answered: (member) => this.#beats.answered(member),
    });
    this.#beats = this.#openBeats();
    this.#eraseDelay = new EraseDelay({ members, self: () => node.id(), beats: this.#beats, monotonicMs });
    this.#steward = new Steward({
      host,
      members,
      beats: this.#beats,
      propose: (command) => log.propose(command),
      level: () => state.level(),
      settings: () => ownFleetSettings(settings),
      membersSent: () => this.#raft.membersSent(),
      monotonicMs,
      log: line,
    });
    this.#observer = this.#openObserver();
    this.#admission = this.#openAdmission();
  }

  /** Begins with what needs no tailnet; `up` follows once this node knows its own id. */
  start(): void {
    const { log, members } = this.#options;
    this.#raft.sendMembers();
    this.#history.start();
    // The list may have changed since fleet.json was written: in the copy that a join waited for.
    this.#state.keepFile(log.server());
    this.#unsubscribe.push(
      members.onChange(() => {
        this.#raft.sendMembers();
        this.#state.keepFile(log.server());
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

  /** Looks for other fleets on the tailnet while this node is alone in its own. */
  scan(): void {
    this.#scanner.start();
  }

  async stop(): Promise<void> {
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
    await Promise.all([this.#beats.stop(), this.#scanner.stop()]);
    this.#history.stop();
  }

  /** Registers the peer paths of a member. */
  serve(): void {
    const { access, log, peerServer, node } = this.#options;
    const served = { admission: this.#admission, beats: this.#beats, state: this.#state };
    servePeers(peerServer, { access, node, ready: () => log.ready(), ...served });
  }

  async part(): Promise<FleetPart> {
    await this.#raft.refresh();
    await this.#refreshPeers();
    return fleetPart(this.#facts());
  }

  partNow(): FleetPart {
    return fleetPart(this.#facts());
  }

  async views(): Promise<readonly MemberView[]> {
    await this.#refreshPeers();
    return memberViews(this.#facts(), this.#options.machine.facts());
  }

  pending(): readonly Pending[] {
    return this.#state.leading() ? this.#admission.pending() : [];
  }

  deviceNames(): Promise<ReadonlyMap<string, string>> {
    return deviceNames(this.#options.node, this.#options.peers);
  }

  about(): About {
    return this.#state.about();
  }

  leader(): Member | undefined {
    return this.#state.leader();
  }

  stateAgeMs(): number {
    return this.#age.ageMs();
  }

  stateAgeFromNow(): (() => number) | undefined {
    return this.#age.fromNow();
  }

  successor(): string {
    return this.#options.conditions.has("disk_full") ? this.#steward.successor() : "";
  }

  mayErase(index: number): boolean {
    return this.#eraseDelay.isOver(index);
  }

  fleetLevel(): number {
    return this.#state.level();
  }

  roundTripMs(node: string): number | undefined {
    return this.#beats.received(node)?.roundTripMs;
  }

  clockOffMs(): number | undefined {
    return this.#clockOff.of(this.clocks());
  }

  clocks(): Clocks {
    const { members, node: own } = this.#options;
    const centrals = members.list().filter(({ role, server }) => role === "central" && server !== "");
    const skewsMs = centrals.flatMap(({ node }) => {
      const received = node === own.id() || this.#beats.isAway(node) ? undefined : this.#beats.received(node);
      return received === undefined ? [] : [received.skewMs];
    });
    return { count: centrals.length, skewsMs, askingMs: performance.now() - this.#upMs };
  }

  transfer(node: string | undefined, signal: AbortSignal): Promise<{ node: string; name: string }> {
    return transferLead({ ...this.#options, leader: () => this.leader() }, node, signal);
  }

  async leave(signal: AbortSignal): Promise<{ fleet: string }> {
    const { members, link, node, onLeft } = this.#options;
    await leaveFleet(
      {
        members,
        link,
        self: () => node.id(),
        leading: () => this.#state.leading(),
        leader: () => this.leader()?.node,
        remove: () => this.#state.propose(fleetMemberRemove, { node: node.id() }, "local"),
        removed: () => this.#removal.removed,
      },
      signal,
    );
    const { fleet } = this.#state.fleet();
    onLeft(fleet);
    return { fleet };
  }

  #openBeats(): Beats {
    const { link, members, node, nowMs } = this.#options;
    return new Beats({
      link,
      members,
      nowMs,
      self: () => node.id(),
      beat: () => this.#beat(),
      monotonicMs,
      elapsedMs: () => this.#age.elapsedMs(),
      onBeat: (member, received) => {
        this.#removal.acceptedBy(member);
        this.#history.take(member, received);
      },
      fleetId: () => this.#state.fleetId(),
      // While we lead, our own members table is the authority.
      onNotAMember: (by) => (this.#state.leading() ? undefined : this.#removal.refusedBy(by)),
      onRound: () => this.#afterRound(),
    });
  }

  #openObserver(): Observer {
    const { members, node, log, store, line } = this.#options;
    const isPublished = ownWanted();
    return new Observer({
      members,
      beats: this.#beats,
      self: () => node.id(),
      leading: () => this.#state.leading(),
      level: () => this.#state.level(),
      isWanted: () =>
        log.position().seq > 0 && Object.keys(stateEvents).some((type) => isPublished(store.reader, type)),
      states: () => allStates(store.reader),
      propose: (command) => log.propose(command),
      monotonicMs,
      log: line,
    });
  }

  #openAdmission(): Admission {
    const { store, members, log, access, node, nowMs } = this.#options;
    return new Admission({
      reader: store.reader,
      members,
      nowMs,
      propose: (command) => log.propose(command),
      barrier: () => log.barrier(),
      leading: () => this.#state.leading(),
      leader: () => this.leader(),
      self: () => node.id(),
      fleet: () => this.#state.fleet(),
      joinRoles: (caller) => access.joinRoles(caller),
      survives: () => faultToleranceOf(this.#facts()),
    });
  }

  async #beat(): Promise<Beat> {
    const { log, node, settings } = this.#options;
    // The proof of the replies so far is taken before newer replies replace them.
    this.#age.ageMs();
    const askedMs = this.#age.elapsedMs();
    const raft = await this.#raft.refresh();
    if (raft !== undefined) this.#age.record(raft, askedMs);
    // Read only now, so that all of it is true at a moment after the question.
    const { epoch } = log.position();
    const { seq, hash } = log.head();
    const digest = log.digest();
    const { leading, server, term } = log.leadership();
    return ownBeat(
      { ...this.#options, dataDir: settings.data },
      {
        node: node.id(),
        server: this.#raft.state()?.server ?? "",
        name: node.name(),
        role: this.#state.role(),
        fleetLevel: this.#state.level(),
        epoch,
        seq,
        hash: hex(hash) ?? "",
        digest: digest === undefined ? undefined : digestText(digest),
        agreed: this.#history.agreed(),
        leading,
        leader: server,
        term,
        begun: this.#age.leadingTerm(),
        raftTerm: raft?.term,
        profile: this.#state.profile(),
        ...this.#purges.fields(),
        backup: this.#options.lastBackup(),
      },
      this.#raft.state(),
    );
  }

  /** Once a second, after the replies to this node's beats. */
  #afterRound(): void {
    const { conditions, log } = this.#options;
    this.#health.update(
      {
        ...this.#facts(),
        leading: this.#state.leading(),
        leaderKnown: log.leadership().server !== "",
        newerCopy: log.newerCopy(),
        profile: this.#state.profile(),
      },
      conditions,
    );
    this.#raft.refuse(this.#history.update());
    this.#raft.sendProfile();
    void this.#founder.register();
    void this.#steward.tick();
    void this.#observer.tick();
  }

  async #refreshPeers(): Promise<void> {
    if (performance.now() - this.#peersMs < PATHS_EVERY_MS) return;
    this.#peersMs = performance.now();
    this.#peers = await this.#options.peers().catch(() => this.#peers);
  }

  #facts() {
    const { members, log, node } = this.#options;
    const { fleet, fleetId, epoch, profile } = this.#state.fleet();
    return {
      ...this.#beats.view(),
      ready: log.ready(),
      removed: this.#removal.removed,
      self: node.id(),
      name: node.name(),
      role: this.#state.role(),
      members: members.list(),
      raft: this.#raft.state(),
      fleet: {
        name: fleet,
        id: fleetId,
        epoch,
        profile,
        level: this.#state.level(),
        settings: changedFleetSettings(this.#options.store.reader),
      },
      position: log.position(),
      leadership: log.leadership(),
      leaderNode: this.leader()?.node,
      peers: this.#peers,
      version: buildInfo.version,
      level: KNOWN_LEVEL,
    };
  }
}

function monotonicMs(): number {
  return performance.now();
}
