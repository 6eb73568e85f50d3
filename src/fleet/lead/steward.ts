// The leader's loop, once a second: makes raft's configuration follow the members table, updates rows from beats,
// raises the fleet level, and hands over a leadership that should move. Decisions are plan.ts and handover.ts.

import { reasonOf } from "../../lib/reason-of.ts";
import { newFleetKey } from "../../log/fleet-key.ts";
import type { Command } from "../../log/log.ts";
import { nodeCommand } from "../../log/node-command.ts";
import type { LogLine } from "../../observe/logging.ts";
import type { WriteOperation } from "../../operation/define.ts";
import type { FleetSettings } from "../../operation/fleet-settings.ts";
import type { RaftHost, RaftState } from "../../tailnet/index.ts";
import type { Beats } from "../beats/beats.ts";
import { fleetLevelRaise, fleetMemberForget, fleetMemberUpdate } from "../commands.ts";
import type { Members } from "../members.ts";
import type { Member } from "../rows.ts";
import { type Candidate, handover } from "./handover.ts";
import { nextStep, type ServerFacts, type Step } from "./plan.ts";

export interface StewardOptions {
  host: Pick<RaftHost, "raftState" | "raftChange">;
  members: Members;
  beats: Pick<Beats, "received" | "ageMs" | "isAway" | "own">;
  propose: (command: Command) => Promise<unknown>;
  /** Returns the fleet's level, as applied. */
  level: () => number;
  /** Returns the settings of this node with which the fleet's begin. */
  settings: () => FleetSettings;
  /** Resolves when the Go half has the members of the table. */
  membersSent: () => Promise<void>;
  monotonicMs: () => number;
  log: LogLine;
}

/** A voter that has not responded for this long may be replaced. */
const LOST_MS = 10 * 60_000;
/** Maximum number of steps in one second. */
const STEPS = 8;
const HANDOVER_PAUSE_MS = { clock: 60_000, disk: 10 * 60_000 };

/** Works while its node leads. Call `tick` once a second. */
export class Steward {
  readonly #options: StewardOptions;
  readonly #keptUp = new Map<string, number>();
  readonly #handedOverMs = { clock: Number.NEGATIVE_INFINITY, disk: Number.NEGATIVE_INFINITY };
  #committed = 0;
  /**
   * What the leader's store had applied then. Entries without commands, such as configurations, are committed and never
   * applied.
   */
  #applied = 0;
  #busy = false;
  #active = false;
  #complaint = "";
  #successor = "";

  constructor(options: StewardOptions) {
    this.#options = options;
  }

  /** Begins with a leadership and ends with its signal. */
  lead(signal: AbortSignal): void {
    this.#active = true;
    this.#keptUp.clear();
    this.#committed = 0;
    this.#applied = 0;
    this.#successor = "";
    signal.addEventListener(
      "abort",
      () => {
        this.#active = false;
        this.#successor = "";
      },
      { once: true },
    );
  }

  /**
   * Returns the voter that has room for writes, while this leader has none; "" otherwise. The Go half hands over to it.
   */
  successor(): string {
    return this.#successor;
  }

  /**
   * Runs one check and the steps that follow. Does nothing while the last one runs or another node leads. Never
   * rejects.
   */
  async tick(): Promise<void> {
    if (!this.#active || this.#busy) return;
    this.#busy = true;
    try {
      await this.#options.membersSent();
      let state = await this.#options.host.raftState();
      if (!state.leading) return;
      this.#check(state);
      this.#findSuccessor(state);
      // Steps that need no new beats are done at once; each is decided on the result of the one before.
      for (let count = 0; count < STEPS && state.leading && (await this.#step(state)); count += 1)
        state = await this.#options.host.raftState();
      this.#complaint = "";
    } catch (error) {
      // The next tick decides again on the facts of then.
      const why = reasonOf(error);
      if (this.#active && why !== this.#complaint) this.#options.log("info", `the fleet's next step waits: ${why}`);
      this.#complaint = why;
    } finally {
      this.#busy = false;
    }
  }

  #check(state: RaftState): void {
    for (const { server } of state.members) {
      const received = this.#beatOf(server);
      const kept =
        received !== undefined &&
        !this.#isAway(server) &&
        this.#committed > 0 &&
        received.last >= this.#committed &&
        received.applied >= this.#applied;
      this.#keptUp.set(server, kept ? (this.#keptUp.get(server) ?? 0) + 1 : 0);
    }
    for (const server of this.#keptUp.keys())
      if (!state.members.some((member) => member.server === server)) this.#keptUp.delete(server);
    this.#committed = state.commit;
    this.#applied = state.applied;
  }

  /** Does one step. Returns true if raft or the table was changed, so that there may be more to do. */
  async #step(state: RaftState): Promise<boolean> {
    const { members, host, log } = this.#options;
    const step = nextStep({ state, members: members.list(), facts: (server) => this.#facts(server, state) });
    if (step !== undefined) {
      log("info", `fleet: ${step.do} ${this.#nameOf(step)}: ${step.why}`);
      if (step.do === "forget") await this.#propose(fleetMemberForget, { node: step.node, server: step.server });
      else if (step.do === "transfer") await host.raftChange({ do: "transfer", server: step.server });
      else await host.raftChange({ do: step.do, server: step.server, previous: state.configuration });
      members.refresh();
      return true;
    }
    // One of these a second is enough.
    if (!(await this.#handOver(state)) && !(await this.#updateRow())) await this.#raiseLevel();
    return false;
  }

  /** The Go half hands over to a successor by itself: it does so also where the steps of this tick fail. */
  #findSuccessor(state: RaftState): void {
    const found = handover(state.server, this.#candidates(state));
    const next = found?.reason === "room" ? found : undefined;
    if (next !== undefined && this.#successor === "")
      this.#options.log("warning", `fleet: handing over to ${this.#nameOf(next)}: ${next.why}`);
    this.#successor = next?.server ?? "";
  }

  async #handOver(state: RaftState): Promise<boolean> {
    const { host, log, monotonicMs } = this.#options;
    const found = handover(state.server, this.#candidates(state));
    if (found === undefined || found.reason === "room") return false;
    if (monotonicMs() - this.#handedOverMs[found.reason] < HANDOVER_PAUSE_MS[found.reason]) return false;
    this.#handedOverMs[found.reason] = monotonicMs();
    log("warning", `fleet: handing over to ${this.#nameOf(found)}: ${found.why}`);
    await host.raftChange({ do: "transfer", server: found.server });
    return true;
  }

  #candidates(state: RaftState): Candidate[] {
    const { beats, members } = this.#options;
    return state.members
      .filter(({ voter }) => voter)
      .map(({ server }): Candidate => {
        const isSelf = server === state.server;
        const node = members.byServer(server)?.node;
        const heard = node === undefined ? undefined : beats.received(node);
        const beat = isSelf ? beats.own() : heard?.beat;
        return {
          server,
          fit: isSelf || (this.#keptUp.get(server) ?? 0) > 0,
          skewMs: heard?.skewMs ?? 0,
          fsyncP99Ms: isSelf ? state.fsyncP99Ms : (beat?.fsyncP99Ms ?? 0),
          fsyncSamples: isSelf ? state.fsyncSamples : (beat?.fsyncSamples ?? 0),
          hasRoom: beat?.conditions.includes("disk_full") !== true,
        };
      });
  }

  /** Updates one row whose member reports something else of itself. */
  async #updateRow(): Promise<boolean> {
    const { beats, members } = this.#options;
    const own = beats.own();
    for (const { node, name, version, level } of members.list()) {
      const said = own?.node === node ? own : beats.isAway(node) ? undefined : beats.received(node)?.beat;
      if (said === undefined || (said.name === name && said.version === version && said.level === level)) continue;
      const row = fleetMemberUpdate.input.safeParse({
        node,
        name: said.name,
        version: said.version,
        level: said.level,
      });
      // A report that does not fit a row is skipped, so that it does not block the reports of others.
      if (!row.success) continue;
      await this.#propose(fleetMemberUpdate, row.data);
      members.refresh();
      return true;
    }
    return false;
  }

  async #raiseLevel(): Promise<void> {
    const { members, level, settings } = this.#options;
    const full = members.list().filter(({ server }) => server !== "");
    const next = level() + 1;
    if (full.length === 0 || full.some((member) => member.level < next)) return;
    await this.#propose(fleetLevelRaise, { level: next, key: newFleetKey(), settings: settings() });
  }

  async #propose(operation: WriteOperation, input: unknown): Promise<void> {
    await this.#options.propose(nodeCommand(operation, operation.input.parse(input)));
  }

  #facts(server: string, state: RaftState): ServerFacts {
    if (server === state.server)
      return { alive: true, lost: false, keptUp: Number.MAX_SAFE_INTEGER, configuration: state.configuration };
    const member = this.#options.members.byServer(server);
    return {
      alive: member !== undefined && !this.#isAway(server),
      lost: member === undefined || this.#options.beats.ageMs(member.node) > LOST_MS,
      keptUp: this.#keptUp.get(server) ?? 0,
      configuration: this.#beatOf(server)?.configuration ?? 0,
    };
  }

  #beatOf(server: string) {
    const member = this.#options.members.byServer(server);
    const received = member === undefined ? undefined : this.#options.beats.received(member.node);
    // What a device reported before it came back with another server does not count for the new one.
    return received?.beat.server === server ? received.beat : undefined;
  }

  #isAway(server: string): boolean {
    const member = this.#options.members.byServer(server);
    return member === undefined || this.#options.beats.isAway(member.node);
  }

  #nameOf(step: Step | { server: string }): string {
    const member: Member | undefined = this.#options.members.byServer(step.server);
    return member === undefined ? `the server ${step.server}` : `${member.name} (${member.node})`;
  }
}
