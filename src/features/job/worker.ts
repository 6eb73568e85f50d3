// The worker of a full member: runs the jobs that the leader gives it, of actions that this node agrees to run. It asks
// the leader only while there is something to do, and in one call for all of its jobs.

import { mkdirSync, rmSync } from "node:fs";
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
import { ACTION, type ActionShape } from "./action.ts";
import { Attempt, type AttemptParts } from "./attempt.ts";
import { type GivenClaim, MAX_OFFERED, type WorkReport, workAnswer } from "./offer.ts";
import { firstReady } from "./queue.ts";
import { activeJobs, headOf, JOB_LEVEL } from "./rows.ts";

/** Between two looks at what runs, in ms. */
const LOOK_MS = 1000;
/** An offer is made again after so long, then after twice as long, up to the longest: each is an entry of the log. */
const OFFER_MS = { first: 1000, longest: 30_000 };
/** Longest time between two reports of what runs, in ms; a claim that is shorter has three in its time. */
const REPORT_MS = 10_000;
/** Between two checkpoints of a program, in ms. */
const CHECKPOINT_MS = 5000;
/** One call to the leader may take so long, in ms. */
const ASK_MS = 10_000;

/** Texts of one report, as bytes of JSON: what is more is told by the next one, as a control character takes six. */
const REPORT_BYTES = 8 * 1024 * 1024;
/** The same while the node stops, in ms. */
const STOP_MS = 3000;
const STOP_CALLS = 8;
/** What was told of an attempt of which nothing was. */
const NOTHING = JSON.stringify([false, null]);

/** What the worker needs of its node. */
export interface WorkerOptions {
  reader: Reader;
  log: () => Pick<Log, "changes" | "onLeadership">;
  declarations: Declarations;
  /** Whether this node agrees to run an action. */
  agrees: (name: string, action: ActionShape) => boolean;
  slots: number;
  parts: AttemptParts;
  /** Calls `job_work` at the leader. */
  ask: (report: WorkReport, signal: AbortSignal) => Promise<unknown>;
  clock: SleepClock;
  say: LogLine;
}

interface Held {
  claim: GivenClaim;
  attempt: Attempt;
  /** When the leader is to be told of it again, by the clock. */
  dueMs: number;
  /** What was told of it last. */
  told: string;
  /** Before that its checkpoints are not told, so that a program cannot fill the log. */
  checkpointMs: number;
}

/** Runs jobs. */
export class Worker implements Job {
  readonly name = "the worker of jobs";
  readonly #options: WorkerOptions;
  /** Names this process: what another one of this node had claimed is not begun again. */
  readonly boot: string = crypto.randomUUID();
  /** By fence; at most as many as there are places, and those that wait for their end to be taken. */
  readonly #held = new Map<string, Held>();
  #stopping = new AbortController();
  #done: Promise<void> | undefined;
  readonly #loop: HeadLoop;
  /** What was offered last, and when it is offered again. */
  #offer = { what: "", dueMs: 0, waitMs: OFFER_MS.first };

  constructor(options: WorkerOptions) {
    const { log, say } = options;
    this.#options = options;
    this.#loop = new HeadLoop({
      ...{ log, lookMs: LOOK_MS },
      look: async (signal) => {
        if (this.#isDue()) await this.#sync(signal);
      },
      // A new leader knows no offers.
      onLeader: () => this.#forgetOffer(),
      onFailure: (error) => say("info", `the leader is told of jobs later: ${reasonOf(error)}`),
    });
  }

  start(): void {
    const { folder } = this.#options.parts;
    // What an earlier process left: its guards have ended its children, or are about to.
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true, mode: 0o711 });
    this.#stopping = new AbortController();
    this.#done = this.#loop.run(this.#stopping.signal);
  }

  /** Ends what runs, and says so, so that other nodes need not wait for the end of the claims. */
  async stop(): Promise<void> {
    this.#stopping.abort(new Error("the node stops"));
    await this.#done;
    for (const { attempt } of this.#held.values()) attempt.stop("its node was stopped");
    await Promise.all([...this.#held.values()].map(({ attempt }) => attempt.ended));
    // Where the leader is not reached the claims end by themselves.
    const within = AbortSignal.timeout(STOP_MS);
    // One report may not have room for all of them.
    for (let calls = 0; this.#held.size > 0 && calls < STOP_CALLS && !within.aborted; calls += 1)
      await this.#sync(within).catch(() => {});
    for (const { attempt } of this.#held.values()) attempt.remove();
    this.#held.clear();
  }

  /** Returns the end of the output of an attempt that runs here. */
  tail(fence: string): { text: string; bytes: number } | undefined {
    return this.#held.get(fence)?.attempt.tail();
  }

  /** Reports whether the leader is to be asked now. */
  #isDue(): boolean {
    const { reader, clock } = this.#options;
    if (levelOf(reader) < JOB_LEVEL) return false;
    const nowMs = clock.nowMs();
    for (const held of this.#held.values()) {
      const { claim, attempt, dueMs, told } = held;
      const row = headOf(reader, claim.id);
      const isAsked = row?.cancel === 1 && row.claim_seq === claim.seq && !claim.cancel;
      if (nowMs >= dueMs || attempt.ending !== undefined || isAsked || told !== this.#news(held, nowMs)) return true;
    }
    const isGiven = activeJobs(reader).some(
      ({ boot, id, claim_n: n, claim_seq: seq }) => boot === this.boot && !this.#held.has(keyOf({ id, n, seq })),
    );
    return isGiven || this.#isToOffer(nowMs);
  }

  /** Reports whether there is something to offer that was not offered, or not lately. */
  #isToOffer(nowMs: number): boolean {
    const { reader } = this.#options;
    const free = this.#free();
    const ready = free === 0 ? [] : this.#offered().filter(({ name, value }) => isReady(reader, value.space, name));
    const what = ready.length === 0 ? "" : JSON.stringify([free, ...ready.map(({ name }) => name)]);
    if (what !== this.#offer.what) this.#offer = { what, dueMs: 0, waitMs: OFFER_MS.first };
    return what !== "" && nowMs >= this.#offer.dueMs;
  }

  #forgetOffer(): void {
    this.#offer = { what: "", dueMs: 0, waitMs: OFFER_MS.first };
  }

  #free(): number {
    return this.#stopping.signal.aborted ? 0 : Math.max(0, this.#options.slots - this.#held.size);
  }

  #offered() {
    const { declarations, agrees } = this.#options;
    return declarations
      .list(ACTION)
      .filter(({ name, value }) => value.argv !== undefined && agrees(name, value))
      .slice(0, MAX_OFFERED);
  }

  #news({ attempt, checkpointMs, told }: Held, nowMs: number): string {
    const checkpoint = nowMs < checkpointMs ? (JSON.parse(told) as unknown[])[1] : attempt.report().checkpoint;
    return JSON.stringify([attempt.running, checkpoint]);
  }

  async #sync(signal: AbortSignal): Promise<void> {
    const { ask, clock } = this.#options;
    const sentMs = clock.nowMs();
    const reported = [...this.#held].map(([key, held]) => ({ key, held, ending: held.attempt.ending }));
    const told = new Map(reported.map(({ key, held }) => [key, this.#news(held, sentMs)]));
    let leftBytes = REPORT_BYTES;
    const report: WorkReport = {
      boot: this.boot,
      free: this.#free(),
      actions: this.#offered().map(({ name }) => name),
      attempts: reported.map((each) => {
        const { held, key, ending } = each;
        const { claim, attempt, checkpointMs } = held;
        const { id, n, seq } = claim;
        const { progress, checkpoint } = attempt.report();
        const isKept = checkpoint !== null && (sentMs >= checkpointMs || ending !== undefined);
        const news = { ...(isKept ? { checkpoint } : {}), ...(ending === undefined ? {} : { ending }) };
        const bytes = Buffer.byteLength(JSON.stringify(news));
        if (bytes <= leftBytes) {
          leftBytes -= bytes;
          return { id, n, seq, running: attempt.running, progress, ...news };
        }
        each.ending = undefined;
        told.set(key, held.told);
        return { id, n, seq, running: attempt.running, progress };
      }),
    };
    const within = AbortSignal.any([signal, AbortSignal.timeout(ASK_MS)]);
    const { claims } = workAnswer.parse(await ask(report, within));
    const { what, waitMs } = this.#offer;
    this.#offer = { what, dueMs: sentMs + waitMs, waitMs: Math.min(OFFER_MS.longest, 2 * waitMs) };
    const given = new Map(claims.map((claim) => [keyOf(claim), claim]));
    for (const { key, held, ending } of reported) {
      const claim = given.get(key);
      if (claim !== undefined) this.#keep(held, claim, { sentMs, told: told.get(key) ?? NOTHING });
      // Taken by the leader, or no longer of this node. What has not ended is asked about until it has.
      else if (ending !== undefined) this.#drop(key, held);
      else held.attempt.stop("its claim is over");
    }
    for (const [key, claim] of given)
      if (!this.#held.has(key) && !this.#stopping.signal.aborted) this.#begin(key, claim, sentMs);
  }

  #keep(held: Held, claim: GivenClaim, { sentMs, told }: { sentMs: number; told: string }): void {
    held.claim = claim;
    held.dueMs = sentMs + Math.min(REPORT_MS, claim.ttl_ms / 3);
    if (held.told !== told) held.checkpointMs = sentMs + CHECKPOINT_MS;
    held.told = told;
    if (claim.cancel) held.attempt.stop("it was cancelled");
    else held.attempt.renew(Math.max(1, this.#leftMs(claim, sentMs)));
  }

  #drop(key: string, { attempt }: Held): void {
    attempt.remove();
    this.#held.delete(key);
  }

  #begin(key: string, claim: GivenClaim, sentMs: number): void {
    const { declarations, agrees, parts, say } = this.#options;
    const declared = declarations.list(ACTION).find(({ name }) => name === claim.action)?.value;
    const { id, attempt, action, space, input = {}, checkpoint = "" } = claim;
    const leftMs = this.#leftMs(claim, sentMs);
    // It was too long on its way: the next call gives it again.
    if (leftMs <= 0) return;
    const isStill = declared?.argv !== undefined && declared.space === space && agrees(action, declared);
    const spec = {
      ...{ id, fence: key, attempt, space, action, shape: isStill ? declared : undefined, input, checkpoint },
      ...{ timeoutMs: claim.timeout_ms, keepMs: claim.keep_ms },
    };
    const begun = new Attempt(spec, parts, leftMs);
    this.#held.set(key, { claim, attempt: begun, dueMs: sentMs + claim.ttl_ms / 3, told: NOTHING, checkpointMs: 0 });
    say("info", `attempt ${attempt} of the job ${id} begins`, { action });
    void begun.ended.then(() => this.#loop.wake());
    if (claim.cancel) begun.stop("it was cancelled");
  }

  #leftMs({ ttl_ms }: GivenClaim, sentMs: number): number {
    return countedOnMs(ttl_ms, sentMs, this.#options.clock.nowMs());
  }
}

function isReady(reader: Reader, space: string, action: string): boolean {
  return firstReady(reader, { runs: "member", space, action }) !== undefined;
}

function keyOf({ id, n, seq }: { id: string; n: number; seq: number }): string {
  return `${id}@${n}-${seq}`;
}
