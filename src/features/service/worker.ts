// The services of a full member: starts what the leader gives it, of services that this node agrees to run, and ends it
// when it is asked to, or does not hear the leader in time. Idle nodes ask the leader nothing.

import { pause } from "../../lib/pause.ts";
import { reasonOf } from "../../lib/reason-of.ts";
import type { SleepClock } from "../../lib/sleep-clock.ts";
import { levelOf } from "../../log/level.ts";
import type { Log } from "../../log/log.ts";
import type { LogLine } from "../../observe/logging.ts";
import type { Declarations } from "../../operation/declared-kind.ts";
import type { Job } from "../../operation/feature.ts";
import { HeadLoop } from "../../operation/head-loop.ts";
import { countedOnMs } from "../../operation/held-terms.ts";
import type { Reader } from "../../store/store.ts";
import type { Artifacts } from "./artifacts.ts";
import { Copy, type CopyParts } from "./copy.ts";
import { hashOfProgram, SERVICE, type ServiceShape } from "./declared.ts";
import { Preparing } from "./preparing.ts";
import { isHeld, nodeRows, SERVICE_LEVEL, serviceRow, serviceRows, startText } from "./rows.ts";
import { type GivenStart, type ServiceReport, serviceAnswer } from "./work.ts";

/** Between two looks at what runs, in ms. */
const LOOK_MS = 500;
/** Renewals within one lease: with the grace before its deadline there is time for a second try. */
const RENEWALS = 4;
/** One call to the leader may take so long, in ms. */
const ASK_MS = 10_000;
/** The same while the node stops, in ms. */
const STOP_MS = 3000;
/** Ended starts whose output is kept. */
const MAX_ENDED = 64;

/** What the worker needs of its node. */
export interface ServiceWorkerOptions {
  reader: Reader;
  log: () => Pick<Log, "changes" | "onLeadership">;
  declarations: Declarations;
  /** Member id of this node. */
  self: () => string;
  /** Whether this node agrees to run a service. */
  agrees: (name: string, service: ServiceShape) => boolean;
  parts: CopyParts;
  artifacts: Pick<Artifacts, "prepare" | "keepOnly">;
  /** Calls `service_work` at the leader. */
  ask: (report: ServiceReport, signal: AbortSignal) => Promise<unknown>;
  clock: SleepClock;
  say: LogLine;
}

interface Held {
  given: GivenStart;
  copy: Copy;
  /** When its lease is to be renewed, by the clock. */
  dueMs: number;
  /** What the leader was told of it last. */
  told: string;
}

/** Runs services. */
export class ServiceWorker implements Job {
  readonly name = "the services of the node";
  readonly #options: ServiceWorkerOptions;
  /** Names this process: what another one of this node had is not started again. */
  readonly boot: string = crypto.randomUUID();
  /** By start. */
  readonly #held = new Map<string, Held>();
  /** The last ended start of each copy, for its output. */
  readonly #ended = new Map<string, Copy>();
  readonly #loop: HeadLoop;
  readonly #preparing: Preparing;
  #stopping = new AbortController();
  #done: Promise<void> | undefined;
  /** Whether this process has said to the present leader what it runs. */
  #isTold = false;

  constructor(options: ServiceWorkerOptions) {
    const { log, say, artifacts, clock } = options;
    this.#options = options;
    this.#preparing = new Preparing({
      prepare: artifacts.prepare.bind(artifacts),
      keepOnly: artifacts.keepOnly.bind(artifacts),
      onNews: () => this.#loop.wake(),
      nowMs: () => clock.nowMs(),
    });
    this.#loop = new HeadLoop({
      ...{ log, lookMs: LOOK_MS },
      look: async (signal) => {
        this.#prepare(signal);
        if (this.#isDue()) await this.#sync(signal);
      },
      onLeader: () => {
        this.#isTold = false;
      },
      onFailure: (error) => say("info", `the leader is told of services later: ${reasonOf(error)}`),
    });
  }

  start(): void {
    this.#stopping = new AbortController();
    this.#done = this.#loop.run(this.#stopping.signal);
  }

  /** Ends what runs, and says so, so that other members start it without waiting for the end of the leases. */
  async stop(): Promise<void> {
    this.#stopping.abort(new Error("the node stops"));
    await this.#done;
    await this.#preparing.idle();
    for (const { copy } of this.#held.values()) copy.stop("its node was stopped");
    await this.#renewUntil(Promise.all([...this.#held.values()].map(({ copy }) => copy.ended)));
    const isKnown = this.#ownRow() !== undefined;
    if (this.#held.size > 0 || isKnown) await this.#sync(AbortSignal.timeout(STOP_MS)).catch(() => {});
    this.#held.clear();
  }

  /** Renews what has not ended yet, so that a program with a long grace has all of it; never after its end. */
  async #renewUntil(ended: Promise<unknown>): Promise<void> {
    const { clock, say } = this.#options;
    const over = new AbortController();
    const isOver = ended.finally(() => over.abort());
    while (!over.signal.aborted) {
      await pause(LOOK_MS, over.signal).catch(() => {});
      const runs = [...this.#held.values()].filter(({ copy }) => copy.state === "starting" || copy.state === "ready");
      if (over.signal.aborted || !runs.some(({ dueMs }) => clock.nowMs() >= dueMs)) continue;
      await this.#sync(over.signal).catch((error: unknown) => {
        if (!over.signal.aborted) say("info", `services that end are not renewed: ${reasonOf(error)}`);
      });
    }
    await isOver;
  }

  /** Returns the output of a start that this node has, or had last. */
  tail(start: string): { text: string; bytes: number } | undefined {
    const found = this.#held.get(start)?.copy ?? [...this.#ended.values()].find(({ spec }) => spec.start === start);
    return found?.tail();
  }

  /** Returns the port of a service that is ready on this node, and the fence of its start. */
  target(name: string): { port: number; start: string } | undefined {
    for (const [start, { copy }] of this.#held) {
      const { shape } = copy.spec;
      if (copy.spec.name === name && copy.state === "ready" && shape?.port !== undefined)
        return { port: shape.port, start };
    }
    return undefined;
  }

  #ownRow() {
    const self = this.#options.self();
    return nodeRows(this.#options.reader).find(({ node }) => node === self);
  }

  /** The services that this node agrees to run now; none while it stops. */
  #offers(): string[] {
    if (this.#stopping.signal.aborted) return [];
    const { declarations, agrees } = this.#options;
    return declarations
      .list(SERVICE)
      .filter(({ name, value }) => agrees(name, value))
      .map(({ name }) => name)
      .sort();
  }

  /** Fetches the artifacts of what this node agrees to run. */
  #prepare(signal: AbortSignal): void {
    const { declarations, agrees, reader } = this.#options;
    if (levelOf(reader) < SERVICE_LEVEL) return;
    const all = declarations.list(SERVICE);
    const held = new Map([...this.#held.values()].map(({ copy: { spec } }) => [spec.name, spec.shape]));
    const wanted = all
      .filter(({ name, value }) => value.enabled && agrees(name, value))
      .map(({ name, value: { artifact } }) => {
        return { name, artifact, isHeld: held.has(name), running: held.get(name)?.artifact };
      });
    this.#preparing.look(wanted, [...new Set([...all.map(({ name }) => name), ...held.keys()])], signal);
  }

  /** Ends what is to end by this node's own store, and reports whether the leader is to be asked now. */
  #isDue(): boolean {
    const { reader, clock, self } = this.#options;
    if (levelOf(reader) < SERVICE_LEVEL) return false;
    for (const [start, { copy, given }] of this.#held) {
      const row = serviceRow(reader, given.name, given.copy);
      if (row === undefined || startText(row) !== start) continue;
      if (row.state === "stopping") copy.stop(row.reason);
    }
    const nowMs = clock.nowMs();
    if ([...this.#held.values()].some((held) => nowMs >= held.dueMs || held.told !== this.#newsOf(held))) return true;
    const own = this.#ownRow();
    const offers = this.#offers();
    if (own === undefined ? offers.length > 0 : own.boot !== this.boot || own.offers !== JSON.stringify(offers))
      return true;
    if (!this.#isTold && this.#held.size > 0) return true;
    return serviceRows(reader).some(
      (row) => isHeld(row) && row.boot === this.boot && row.node === self() && !this.#held.has(startText(row)),
    );
  }

  async #sync(signal: AbortSignal): Promise<void> {
    const { ask, clock } = this.#options;
    const sentMs = clock.nowMs();
    const reported = [...this.#held].map(([start, held]) => ({ start, held, news: this.#newsOf(held) }));
    const copies = reported.map(({ held: { given, copy } }) => {
      const { name, copy: of, n, seq } = given;
      const waits = copy.waits === "" ? {} : { waits: copy.waits };
      const remark = { ...this.#preparing.of(name), ...waits };
      return { name, copy: of, n, seq, what: copy.state, reason: copy.reason, ...remark };
    });
    const within = AbortSignal.any([signal, AbortSignal.timeout(ASK_MS)]);
    const answer = await ask({ boot: this.boot, offers: this.#offers(), copies }, within);
    this.#isTold = true;
    const given = new Map(serviceAnswer.parse(answer).starts.map((each) => [startOf(each), each]));
    for (const { start, held, news } of reported) {
      const now = given.get(start);
      if (now !== undefined) this.#keep(held, now, { sentMs, news });
      else if (held.copy.state === "ended" || held.copy.state === "failed") this.#drop(start, held);
      // What has not ended is asked about until it has.
      else held.copy.stop("its lease is over");
    }
    for (const [start, each] of given)
      if (!this.#held.has(start) && !this.#stopping.signal.aborted) this.#begin(start, each, sentMs);
  }

  #keep(held: Held, given: GivenStart, { sentMs, news }: { sentMs: number; news: string }): void {
    held.given = given;
    held.dueMs = sentMs + given.lease_ms / RENEWALS;
    held.told = news;
    held.copy.renew(Math.max(1, this.#leftMs(given, sentMs)));
    if (given.state === "stopping") held.copy.stop(given.reason);
  }

  #drop(start: string, { given, copy }: Held): void {
    this.#held.delete(start);
    const key = `${given.name} ${given.copy}`;
    this.#ended.delete(key);
    this.#ended.set(key, copy);
    for (const oldest of this.#ended.keys()) {
      if (this.#ended.size <= MAX_ENDED) break;
      this.#ended.delete(oldest);
    }
  }

  #begin(start: string, given: GivenStart, sentMs: number): void {
    const { declarations, agrees, parts, say, reader } = this.#options;
    const { name, n, seq, program } = given;
    // This store is behind the answer, and may lack the declaration too. The next call gives it again.
    const row = serviceRow(reader, name, given.copy);
    if (row?.n !== n || row.fence_seq !== seq) return;
    const leftMs = this.#leftMs(given, sentMs);
    // It was too long on its way: the next call gives it again.
    if (leftMs <= 0) return;
    const declared = declarations.list(SERVICE).find((each) => each.name === name)?.value;
    const isSame = declared !== undefined && hashOfProgram(declared) === program && agrees(name, declared);
    // What is to end already, or was ready in this process and is not there, is not started: it is said to have ended.
    const isStill = isSame && given.state === "starting";
    const spec = { name, start, fence: `${n}-${seq}`, shape: isStill ? declared : undefined };
    const copy = new Copy(spec, parts, leftMs, () => this.#loop.wake());
    const held: Held = { given, copy, dueMs: sentMs + given.lease_ms / RENEWALS, told: "" };
    held.told = this.#newsOf(held);
    this.#held.set(start, held);
    say("info", `the service ${name} starts`, { start });
  }

  /** What the leader is told at once. */
  #newsOf({ copy }: Held): string {
    return `${copy.state} ${copy.reason} ${JSON.stringify(this.#preparing.of(copy.spec.name))}`;
  }

  #leftMs({ lease_ms }: GivenStart, sentMs: number): number {
    return countedOnMs(lease_ms, sentMs, this.#options.clock.nowMs());
  }
}

function startOf({ space, name, copy, n, seq }: GivenStart): string {
  return startText({ space, name, copy, n, fence_seq: seq });
}
