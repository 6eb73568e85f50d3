// What a scenario is, and how one runs: a fleet, a load, followers, a fault; then the checker over everything.
// Scenarios are in scenarios/; scripts/chaos.ts runs them.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { eventually } from "../kit/eventually.ts";
import type { Fleet, FleetNode, FleetOptions } from "../kit/fleet.ts";
import type { Callers, Device } from "./callers.ts";
import { report } from "./checker.ts";
import { EventLoad } from "./event-load.ts";
import { nodeTarget } from "./fleet-clients.ts";
import { endOfFleet } from "./fleet-end.ts";
import { asides, whyAside } from "./folders.ts";
import { Follower, Subscriber, WAYS, type Way } from "./followers.ts";
import { type Feed, Findings, type MemberEnd, type Row, type Run } from "./history.ts";
import { JobLoad } from "./job-load.ts";
import { LeaseLoad } from "./lease-load.ts";
import { Load, type LoadOptions } from "./load.ts";
import { mcpTarget } from "./mcp-target.ts";
import { judgeRaft, raftEventsOf } from "./raft-events.ts";
import { Random } from "./random.ts";

/** A fault, and what must hold during it. */
export interface Scenario {
  /** Name on the command line. */
  name: string;
  /** What happens, as a sentence without subject. */
  title: string;
  /** The fleet that it needs. Scenarios with equal needs can share one, so it leaves the fleet as it found it. */
  fleet: FleetOptions;
  /** Runs in every test run. */
  inGate?: boolean;
  /** Says what this machine lacks for it, as in "needs root"; undefined where it can run. */
  needs?: () => string | undefined;
  /** Longest time in ms for which no write is possible; without it OUTAGE_MS. */
  outageMs?: number;
  /** Time limit in seconds, without the start of its fleet. */
  seconds: number;
  run(trial: Trial): Promise<void>;
}

/**
 * Longest time for which no write is possible in a fleet of which one voter is down: an election takes a second, and a
 * busy machine needs more.
 */
const OUTAGE_MS = 15_000;
/** Contexts of a load. */
const KEYS = 8;
/** How long a member may take to respond once all faults are over. */
const RUNS_MS = 30_000;

/** What a scenario works with. */
export class Trial {
  readonly fleet: Fleet;
  readonly random: Random;
  readonly prefix: string;
  readonly #callers: Callers;
  readonly #loads: Load[] = [];
  readonly #followers: Follower[] = [];
  readonly #subscribers: Subscriber[] = [];
  #leases: LeaseLoad | undefined;
  #events: EventLoad | undefined;
  #jobs: JobLoad | undefined;
  readonly #say: (line: string) => void;
  readonly #startedMs = performance.now();
  readonly #outageMs: number;
  /** Data set aside before, by node: scenarios can share a fleet. */
  readonly #asidesBefore: ReadonlyMap<FleetNode, readonly string[]>;
  /** Rows that no load recorded. */
  readonly rows: Row[] = [];
  /** Passed to the checker with the history. */
  mayLose = false;

  constructor(options: {
    fleet: Fleet;
    seed: number;
    prefix: string;
    outageMs?: number | undefined;
    callers: Callers;
    say: (line: string) => void;
  }) {
    this.fleet = options.fleet;
    this.random = new Random(options.seed);
    this.prefix = options.prefix;
    this.#callers = options.callers;
    this.#say = options.say;
    this.#outageMs = options.outageMs ?? OUTAGE_MS;
    for (const node of this.fleet.nodes) {
      node.harmed = false;
      node.ownEnds.length = 0;
    }
    this.#asidesBefore = new Map(this.fleet.nodes.map((node) => [node, asides(node)]));
  }

  /** Prints what happens, with the seconds since the scenario began. */
  say(line: string): void {
    this.#say(`${((performance.now() - this.#startedMs) / 1000).toFixed(1).padStart(5)} s  ${line}`);
  }

  /** The device of the member, which most clients use. */
  get device(): Device {
    return this.#callers.member;
  }

  /**
   * Starts a load on the full members that are up, over REST and MCP, with writes through edges too: members and
   * admins, and one client more that may only read. With `targets` of its own all clients are those.
   */
  load(options: Partial<LoadOptions> = {}): Load {
    const defaults = { random: this.random.fork(), prefix: this.prefix, keys: KEYS };
    const { targets, clients = 6, ...others } = options;
    const load =
      targets === undefined
        ? new Load({ ...defaults, ...others, clients: clients + 1, ...this.#everyCaller(clients) })
        : new Load({ ...defaults, ...others, clients, targets });
    this.#loads.push(load);
    return load;
  }

  /** The clients up to `last` alternate between member and admin; `last` is the reader. */
  #everyCaller(last: number): Required<Pick<LoadOptions, "targets" | "isReader">> {
    const { member, admin, reader } = this.#callers;
    const isReader = (client: number) => client === last;
    const deviceOf = (client: number) => (isReader(client) ? reader : client % 2 === 0 ? member : admin);
    const reached = (device: Device, node: FleetNode) => [nodeTarget(device, node), mcpTarget(device, node)];
    const targets = (client: number) => [
      ...this.fleet.up().flatMap((node) => reached(deviceOf(client), node)),
      ...this.fleet.up(["edge"]).map((node) => ({ ...nodeTarget(deviceOf(client), node), writesOnly: true })),
    ];
    return { targets, isReader };
  }

  /**
   * Starts followers of the feed on each full member that is up, one by long poll and one in another way, and a
   * subscriber. Each continues at other members when its own is gone.
   */
  async follow(): Promise<void> {
    const others = WAYS.filter((way) => way !== "longpoll");
    const order = (first: FleetNode) => () =>
      [first, ...this.fleet.up().filter((node) => node !== first)].filter(({ isUp }) => isUp);
    const follower = (way: Way, first: FleetNode) => {
      const options = { way, device: this.device, nodes: order(first), prefix: this.prefix };
      const started = new Follower({ ...options, name: `of ${first.name} (${way})`, random: this.random.fork() });
      this.#followers.push(started);
      return started.started();
    };
    const nodes = this.fleet.up();
    const started = nodes.flatMap((first, at) => [
      follower("longpoll", first),
      follower(others[at % others.length] ?? "sse", first),
    ]);
    const [first] = nodes;
    if (first !== undefined) {
      const keys = Array.from({ length: KEYS }, (_, at) => `${this.prefix}k${at}`);
      const subscriber = new Subscriber(this.device, order(first), keys);
      this.#subscribers.push(subscriber);
      started.push(subscriber.started());
    }
    await Promise.all(started);
  }

  /** Starts clients that lease names, through any node that is up. */
  leases(): LeaseLoad {
    // Names of their own: the changes of leases are none of contexts.
    const prefix = `leases-${this.prefix}`;
    const nodes = () => this.fleet.up(["central", "regional", "edge"]);
    this.#leases = new LeaseLoad({ device: this.device, nodes, random: this.random.fork(), prefix });
    return this.#leases;
  }

  /** Starts publishers of events, through any node that is up, and a subscription of them. */
  async events(): Promise<EventLoad> {
    const space = `events-${this.prefix.replace("/", "")}`;
    const nodes = () => this.fleet.up(["central", "regional"]);
    const leader = () => this.fleet.leader();
    this.#events = new EventLoad({ device: this.device, nodes, leader, random: this.random.fork(), space });
    await this.#events.start();
    return this.#events;
  }

  /** Starts clients that start jobs and cancel some, agents that do some, and schedules. */
  async jobs(): Promise<JobLoad> {
    const space = `jobs-${this.prefix.replace("/", "")}`;
    const nodes = () => this.fleet.up(["central", "regional"]);
    const leader = () => this.fleet.leader();
    this.#jobs = new JobLoad({ device: this.device, nodes, leader, random: this.random.fork(), space });
    await this.#jobs.start();
    return this.#jobs;
  }

  /** Stops loads and followers, compares the nodes, and throws the checker's findings. */
  async judge(): Promise<string> {
    const rows = (await Promise.all(this.#loads.map((load) => load.stop()))).flat();
    await this.#leases?.stop();
    await this.#events?.stop();
    await this.#jobs?.stop();
    const members = await Promise.all(this.fleet.nodes.map((node) => this.#memberEnd(node)));
    let { ends, epochs } = await endOfFleet(this.fleet);
    this.say("all full nodes stand still");
    const changes = ends.toSorted((one, other) => other.seq - one.seq)[0]?.changes ?? [];
    const feeds: Feed[] = await Promise.all(this.#followers.map((follower) => follower.stop(changes)));
    // A write whose client has gone may be decided later still, and then the followers see it.
    const newest = changes.at(-1)?.seq ?? 0;
    if (feeds.some((feed) => feed.changes.some(({ seq }) => seq > newest)))
      ({ ends, epochs } = await endOfFleet(this.fleet));
    const wakes = (await Promise.all(this.#subscribers.map((subscriber) => subscriber.stop(rows)))).flatMap(
      (woken) => woken ?? [],
    );
    for (const { ended } of this.#followers) if (ended !== undefined) throw new Error(`a follower was told ${ended}`);
    const raft = raftEventsOf(this.fleet.raftLines());
    if (raft.length === 0) throw new Error("no node logged a vote or a leadership");
    const rest = { feeds, wakes, ends, epochs, members, raft, outageMs: this.#outageMs, mayLose: this.mayLose };
    const leased = this.#leases === undefined ? {} : { holds: this.#leases.holds, fenced: this.#leases.fenced };
    const events = await this.#events?.end(this.fleet.up(["central", "regional"]));
    const jobs = this.#jobs?.end(this.fleet.up(["central", "regional"]));
    const loads = { ...leased, ...(events && { events }), ...(jobs && { jobs }) };
    const run: Run = { rows: [...rows, ...this.rows], ...rest, ...loads };
    const { isRight, text } = report(run);
    if (!isRight) throw new Error(`the checker found:\n${text}\n${keep(this.prefix, run)}`);
    return text;
  }

  async #memberEnd(node: FleetNode): Promise<MemberEnd> {
    const answers = async () => node.process.ended || (await node.status()) !== undefined;
    const runs = eventually(`${node.name} to run`, answers, { withinMs: RUNS_MS, stepMs: 200 });
    const isUp = await runs.then(
      () => node.isUp,
      () => false,
    );
    const ends = [...node.ownEnds];
    if (node.process.ended && !node.process.wasEnded) {
      const { code, signal } = await node.process.exited();
      ends.push(String(signal ?? code));
    }
    const before = this.#asidesBefore.get(node) ?? [];
    const reasons = asides(node)
      .filter((name) => !before.includes(name))
      .map((name) => `${name}: ${whyAside(node, name)}`);
    return { node: node.name, runs: isUp, ends, asides: reasons, harmed: node.harmed };
  }

  /** Stops what still runs after a failure. */
  async end(): Promise<void> {
    await Promise.all(this.#loads.map((load) => load.stop()));
    await this.#leases?.stop();
    await this.#events?.stop(0).catch(() => {});
    await this.#jobs?.stop(0).catch(() => {});
    await Promise.all(this.#followers.map((follower) => follower.stop([], 0).catch(() => {})));
    await Promise.all(this.#subscribers.map((subscriber) => subscriber.stop([], 0)));
  }
}

/** Runs one scenario on a fleet. Returns how much was checked, or throws with the newest log lines of every node. */
export async function runScenario(
  scenario: Scenario,
  options: {
    fleet: Fleet;
    seed: number;
    callers: Callers;
    say: (line: string) => void;
  },
): Promise<string> {
  const trial = new Trial({ ...options, prefix: `${scenario.name}/`, outageMs: scenario.outageMs });
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not done after ${scenario.seconds} s`)), scenario.seconds * 1000);
  });
  const whole = async () => {
    await scenario.run(trial);
    return trial.judge();
  };
  try {
    return await Promise.race([whole(), late]);
  } catch (error) {
    await trial.end();
    const message = error instanceof Error ? error.message : String(error);
    // What fails before the checker runs may be the effect of a broken promise of raft.
    const events = brokenPromises(options.fleet);
    throw new Error(`${scenario.name} with seed ${options.seed}: ${message}${events}\n${options.fleet.tails()}`, {
      cause: error,
    });
  } finally {
    clearTimeout(timer);
  }
}

/** Returns what the raft events of a fleet show, as text. */
function brokenPromises(fleet: Fleet): string {
  const findings = new Findings();
  judgeRaft(raftEventsOf(fleet.raftLines()), findings);
  return findings.list.map(({ rule, message }) => `\n${rule}: ${message}`).join("");
}

/** Writes the history to a file for a search for the cause; returns its path. */
function keep(prefix: string, run: Run): string {
  const folder = join(import.meta.dir, "..", "..", "build", "chaos");
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `${prefix.replace("/", "")}-${Date.now()}.json`);
  writeFileSync(path, JSON.stringify(run));
  return `history: ${path}`;
}
