// The queue of one subscription: takes events in their order, asks the rules, sends one at a time, and tries one again
// until it is delivered or given up. The next event is sent only then, so the order is kept.

import { setImmediate as nextTurn } from "node:timers/promises";
import { pause as realPause } from "../../../lib/pause.ts";
import { reasonOf } from "../../../lib/reason-of.ts";
import { ShortTurns } from "../../../lib/short-turns.ts";
import { TokenBuckets } from "../../../lib/token-bucket.ts";
import { type EventRecord, type RuleProblem, RuleSet, type Sender, type TakeRate } from "../rules/index.ts";
import type { Delivery, GroupRule, Notice, Outcome } from "./delivery.ts";
import { sendInSpan } from "./delivery-span.ts";
import { deliveryOf, type Group, Grouping, givenUp } from "./grouping.ts";
import type { OutboxOptions } from "./outbox-options.ts";
import { Pace } from "./pace.ts";
import { waitAfter, waitUntil } from "./policy.ts";
import type { Recorder, SubscriptionRecord } from "./recorder.ts";
import type { QueuedEvent, RunningSubscription } from "./running.ts";
import { isBehind, recall, Told } from "./told.ts";

/** Events read at once. */
const STEP = 64;
/** How long the rights of an owner that is not seen are waited for, in ms. */
const UNKNOWN_MS = 30_000;
/** A refusal is judged once more after this long, in ms, before the subscription stops: nothing is sent meanwhile. */
const CONFIRM_MS = 10_000;
/** How often it is looked whether the client of a callback has asked again, in ms. */
const WAITING_MS = 2000;
/** Attempts after which a target counts as failing. */
const FAILING = 3;
/** How long events that are sent together are waited for before they are looked for again, in ms. */
const GATHER_MS = 1000;
/** How often it is looked whether something is to be told again, in ms. */
const REMIND_LOOK_MS = 10_000;
/** Attempts that are remembered. */
const REMEMBERED = 20;

/** One attempt, for people. */
export interface Attempt {
  at: number;
  offset: number;
  attempt: number;
  result: Outcome["result"];
  status: number;
  duration_ms: number;
  detail: string;
}

/** What became of the events that the queue looked at. */
export interface QueueCounts {
  delivered: number;
  failed: number;
  dropped: number;
  limited: number;
  dead: number;
  rule_problems: number;
}

/** The queue of one subscription. */
export class Queue {
  readonly #options: OutboxOptions;
  readonly #subscription: RunningSubscription;
  readonly #recorder: Recorder;
  readonly #onProblem: (problem: string) => void;
  readonly #rules: RuleSet;
  readonly #asksTags: boolean;
  readonly #buckets: TokenBuckets;
  readonly #ends = new AbortController();
  readonly #pause: typeof realPause;
  #running: Promise<void> | undefined;
  #wake: (() => void) | undefined;
  #at: number;
  readonly #pace = new Pace();
  readonly #told = new Told();
  readonly #sentAgain = new Set<number>();
  readonly #grouping = new Grouping();
  isStopped = false;
  /** The newest attempts, oldest first. */
  readonly attempts: Attempt[] = [];
  readonly counts: QueueCounts = { delivered: 0, failed: 0, dropped: 0, limited: 0, dead: 0, rule_problems: 0 };
  /** Why a rule failed last. */
  lastRuleProblem: RuleProblem | undefined;

  constructor(
    options: OutboxOptions,
    subscription: RunningSubscription,
    recorder: Recorder,
    onProblem: (problem: string) => void,
  ) {
    this.#options = options;
    this.#subscription = subscription;
    this.#recorder = recorder;
    this.#onProblem = onProblem;
    this.#rules = new RuleSet(subscription.rules);
    this.#asksTags = subscription.rules.some(({ from }) => from?.tags !== undefined);
    this.#buckets = new TokenBuckets({ maxKeys: subscription.rules.length + 1, nowMs: options.nowMs });
    this.#pause = options.pause ?? realPause;
    this.#at = subscription.cursor;
  }

  get revision(): number {
    return this.#subscription.revision;
  }

  /** Offset of the newest event that is done with. */
  get at(): number {
    return this.#at;
  }

  /** Begins to deliver, until `signal` aborts or `stop` is called. */
  start(signal: AbortSignal): void {
    const ends = AbortSignal.any([signal, this.#ends.signal]);
    this.#running = this.#run(ends)
      .catch((error: unknown) => {
        if (!ends.aborted) this.#onProblem(`delivery failed and begins again: ${reasonOf(error)}`);
      })
      .finally(() => {
        this.isStopped = true;
      });
  }

  /** Ends it; resolves when nothing is on its way. */
  async stop(): Promise<void> {
    this.#ends.abort();
    await this.#running;
  }

  /** There may be news. */
  wake(): void {
    this.#wake?.();
  }

  async #run(signal: AbortSignal): Promise<void> {
    const rule = this.#groupRule();
    if (rule !== undefined && this.#subscription.until === 0) await this.#recall(rule, signal);
    while (!signal.aborted) {
      if (!(await this.#sendAgain(signal))) return;
      await this.#passRemoved(signal);
      if (!(await this.#sendDue(signal)) || !(await this.#remind(signal))) return;
      if (this.#isDone()) return void this.#halt("done");
      const events = this.#hasAll() ? [] : await this.#options.eventsAfter(this.#seen, STEP);
      if (events.length === 0) await this.#idle(signal);
      const turns = new ShortTurns();
      for (const event of events) {
        if (this.#hasAll()) break;
        if (signal.aborted || !(await this.#handle(event, signal))) return;
        if (turns.isOver) await turns.give();
      }
      await nextTurn();
    }
  }

  /** Sends dead letters again, once each, as the rules are now. Reports whether the queue goes on. */
  async #sendAgain(signal: AbortSignal): Promise<boolean> {
    for (const event of this.#options.again(this.#subscription.id)) {
      if (this.#sentAgain.has(event.offset)) continue;
      // It was within its rate when it was sent first.
      const verdict = this.#rules.decide(event.record, await this.#senderOf(event, signal), () => true);
      let outcome: Outcome = { result: "skipped", detail: "" };
      const problem = verdict.problems.at(-1);
      if (verdict.outcome === "none" && problem !== undefined)
        outcome = { result: "failed", detail: `the rule ${problem.rule} failed: ${problem.reason}` };
      else if (verdict.outcome === "forward") {
        if (!(await this.#isAllowed(signal))) return false;
        outcome = await this.#attempt(this.#deliveryOf(event.offset, verdict.record), 1, signal);
        if (signal.aborted && outcome.result !== "delivered") return false;
      }
      const { result, status = 0, detail } = outcome;
      // It is marked until that is recorded.
      this.#sentAgain.add(event.offset);
      const delivered = result === "delivered" || result === "skipped";
      const again = [{ offset: event.offset, attempts: 1, status, detail, delivered }];
      this.#record({ cursor: this.#at, again, stop: result === "ended" ? "ended" : undefined }, true);
      if (result === "ended") return false;
    }
    if (this.#sentAgain.size > 0) this.#forgetSentAgain();
    return true;
  }

  /** A letter that was recorded and is marked once more is sent once more. */
  #forgetSentAgain(): void {
    if (!this.#recorder.isPending(this.#subscription.id)) this.#sentAgain.clear();
  }

  /** Goes on behind events that retention removed, and records how many those were. */
  async #passRemoved(signal: AbortSignal): Promise<void> {
    const { until } = this.#subscription;
    const floor = until === 0 ? this.#options.floor() : Math.min(until, this.#options.floor());
    const missed = floor - this.#seen;
    if (missed <= 0) return;
    const { waiting } = this.#grouping;
    if (waiting !== undefined) {
      waiting.missed += missed;
      waiting.seen = floor;
      return;
    }
    this.#at = floor;
    this.#record({ cursor: floor, missed });
    await this.#notice({ type: "gap", cursor: this.#options.cursorOf(floor) }, signal);
  }

  /** Offset of the newest event that was looked at. */
  get #seen(): number {
    return this.#grouping.waiting?.seen ?? this.#at;
  }

  /** Waits for events, or until what waits to be sent together, or to be told again, may be due. */
  async #idle(signal: AbortSignal): Promise<void> {
    if (this.#grouping.waiting !== undefined) return this.#pause(GATHER_MS, signal);
    const remind = this.#groupRule()?.remind;
    if (remind === undefined || !this.#told.hasReminders(remind)) return this.#news(signal);
    const ends = new AbortController();
    const either = AbortSignal.any([signal, ends.signal]);
    await Promise.race([this.#news(either), this.#pause(REMIND_LOOK_MS, either).catch(() => {})]);
    ends.abort();
  }

  /** Learns from the events before its place what was told, and in how many messages of this hour. */
  #recall(rule: GroupRule, signal: AbortSignal): Promise<void> {
    const { nowMs } = this.#options;
    const deliveryFor = async (event: QueuedEvent): Promise<Delivery | undefined> => {
      if (event.space !== this.#subscription.space || !isBehind(event, this.#subscription)) return undefined;
      const verdict = this.#rules.decide(event.record, await this.#senderOf(event, signal), () => true);
      return verdict.outcome === "forward" ? this.#deliveryOf(event.offset, verdict.record) : undefined;
    };
    const onTold = (orderedMs: number) => this.#grouping.recall(rule, orderedMs, nowMs());
    return recall(this.#told, { ...this.#options, at: this.#at, remind: rule.remind, deliveryFor, onTold, signal });
  }

  /** Tells once more what lasts, if it is time; tries that again while it lasts. Reports whether the queue goes on. */
  async #remind(signal: AbortSignal): Promise<boolean> {
    const rule = this.#groupRule();
    const nowMs = this.#options.nowMs();
    if (rule?.remind === undefined || this.#grouping.waiting !== undefined) return true;
    if (!this.#grouping.isDue(rule, nowMs)) return true;
    const delivery = this.#told.reminder(rule.remind, nowMs);
    if (delivery === undefined) return true;
    if (!(await this.#isAllowed(signal))) return false;
    const attempt = this.#told.retries + 1;
    const outcome = await this.#attempt(delivery, attempt, signal);
    const { result, detail } = outcome;
    if (result === "ended") return this.#halt("ended");
    const isDone = result === "delivered" || result === "skipped";
    const wait = isDone ? undefined : waitAfter(this.#subscription.policy, attempt, outcome, this.#options.random);
    if (wait === undefined) this.#told.reminded();
    else this.#told.retryIn(wait, this.#options.nowMs());
    if (isDone) this.#grouping.sent(this.#options.nowMs());
    this.counts[isDone ? "delivered" : "failed"] += 1;
    this.#onProblem(isDone ? "" : `what is still down could not be told: ${detail}`);
    return true;
  }

  #groupRule(): GroupRule | undefined {
    const target = this.#options.targetOf(this.#subscription);
    return typeof target === "string" ? undefined : target.group;
  }

  /** Sends what waits to be sent together, if it is time. Reports whether the queue goes on. */
  async #sendDue(signal: AbortSignal): Promise<boolean> {
    const { waiting } = this.#grouping;
    if (waiting === undefined || !this.#grouping.isDue(this.#groupRule(), this.#options.nowMs())) return true;
    if (!(await this.#deliver(deliveryOf(waiting), waiting, signal))) return false;
    this.#grouping.sent(this.#options.nowMs());
    return true;
  }

  async #news(signal: AbortSignal): Promise<void> {
    const woken = Promise.withResolvers<void>();
    this.#wake = woken.resolve;
    signal.addEventListener("abort", this.#wake, { once: true });
    // Events may have come since they were read.
    const found = await this.#options.eventsAfter(this.#seen, 1);
    if (found.length === 0 && !signal.aborted) await woken.promise;
    signal.removeEventListener("abort", this.#wake);
    this.#wake = undefined;
  }

  /** Is done with one event, or reports that the queue ends. */
  async #handle(event: QueuedEvent, signal: AbortSignal): Promise<boolean> {
    if (event.space !== this.#subscription.space) return this.#pass(event.offset);
    const verdict = this.#rules.decide(event.record, await this.#senderOf(event, signal), this.#takeRate);
    this.#count(verdict.outcome, verdict.problems);
    if (verdict.outcome !== "forward") return this.#pass(event.offset);
    await this.#pace.pass(this.#subscription.rate, this.#options.nowMs(), (ms) => this.#pause(ms, signal));
    const delivery = this.#deliveryOf(event.offset, verdict.record);
    const rule = this.#groupRule();
    // Who replays a range wants all of it.
    const isAll = rule === undefined || this.#subscription.until > 0;
    if (!isAll && !this.#told.take(event, delivery, this.#options.nowMs())) {
      this.counts.dropped += 1;
      return this.#pass(event.offset);
    }
    if (rule === undefined && this.#grouping.waiting === undefined) return this.#deliver(delivery, undefined, signal);
    this.#grouping.add(delivery, rule?.shown ?? 1);
    return true;
  }

  /** Goes on behind an event that is not sent. */
  #pass(offset: number): boolean {
    const { waiting } = this.#grouping;
    if (waiting === undefined) return this.#done(offset);
    waiting.seen = offset;
    return true;
  }

  /** The message id has no dot and no slash: signatures are over texts joined by dots. */
  #deliveryOf(offset: number, record: EventRecord): Delivery {
    const { id: subscription, began } = this.#subscription;
    const messageId = `${subscription.replaceAll(/[^A-Za-z0-9_-]/g, "_")}-${began}-${offset}`;
    return { subscription, offset, messageId, record };
  }

  /** Tags are looked up where a rule asks for them; until they are known, nothing is decided. */
  #senderOf(event: QueuedEvent, signal: AbortSignal): Sender | Promise<Sender> {
    return this.#asksTags ? this.#options.withTags(event.sender, signal) : event.sender;
  }

  readonly #takeRate: TakeRate = (rule, perSecond, burst) =>
    this.#buckets.take(rule, perSecond * 60, Math.max(1, burst)) === 0;

  #count(outcome: string, problems: readonly RuleProblem[]): void {
    if (outcome === "limited") this.counts.limited += 1;
    else if (outcome !== "forward") this.counts.dropped += 1;
    this.counts.rule_problems += problems.length;
    this.lastRuleProblem = problems.at(-1) ?? this.lastRuleProblem;
  }

  /** Sends one event, or those of a group as one, until they are done with. Reports whether the queue goes on. */
  async #deliver(delivery: Delivery, group: Group | undefined, signal: AbortSignal): Promise<boolean> {
    const { failing } = this.#subscription;
    const isKnown = failing?.offset === delivery.offset;
    if (isKnown)
      await this.#pause(waitUntil(this.#subscription.policy, failing.nextAtMs, this.#options.nowMs()), signal);
    for (let attempt = isKnown ? failing.attempts + 1 : 1; ; attempt += 1) {
      if (!(await this.#isAllowed(signal))) return false;
      const outcome = await this.#attempt(delivery, attempt, signal);
      if (signal.aborted && outcome.result !== "delivered") return false;
      if (outcome.result === "delivered") return this.#succeeded(delivery.offset, group);
      if (outcome.result === "skipped") return this.#skipped(delivery.offset);
      if (outcome.result === "ended") return this.#halt("ended");
      const wait = waitAfter(this.#subscription.policy, attempt, outcome, this.#options.random);
      if (wait === undefined) return this.#giveUp(delivery.offset, group, attempt, outcome);
      this.#fail(delivery.offset, attempt, wait, outcome);
      await this.#pause(wait, signal);
    }
  }

  /** Reports whether the owner may read the space now; waits while that is not known. */
  async #isAllowed(signal: AbortSignal): Promise<boolean> {
    for (let wasRefused = false; ; ) {
      const may = await this.#options.ownerMay(this.#subscription, signal);
      signal.throwIfAborted();
      if (may === "yes") return true;
      if (may === "waiting") {
        await this.#pause(WAITING_MS, signal);
        continue;
      }
      if (may === "no" && wasRefused) {
        await this.#notice({ type: "terminated" }, signal);
        return this.#halt("revoked");
      }
      wasRefused = may === "no";
      const why = wasRefused ? "its owner may not read the space" : "none of the devices of its owner is seen";
      this.#onProblem(`nothing is sent: ${why}`);
      await this.#pause(wasRefused ? CONFIRM_MS : UNKNOWN_MS, signal);
    }
  }

  /** A replay is done at its last event; dead letters that are sent again come before. */
  #isDone(): boolean {
    const { until } = this.#subscription;
    return until > 0 && this.#at >= until;
  }

  /** A replay has looked at its last event. */
  #hasAll(): boolean {
    const { until } = this.#subscription;
    return until > 0 && this.#seen >= until;
  }

  async #notice(notice: Notice, signal: AbortSignal): Promise<void> {
    const target = this.#options.targetOf(this.#subscription);
    if (typeof target !== "string") await target.notice?.(notice, this.#subscription.id, signal);
  }

  async #attempt(delivery: Delivery, attempt: number, signal: AbortSignal): Promise<Outcome> {
    const target = this.#options.targetOf(this.#subscription);
    const at = this.#options.nowMs();
    const outcome: Outcome =
      typeof target === "string"
        ? { result: "failed", detail: target }
        : await sendInSpan(this.#options.beginSpan?.(this.#subscription, delivery, attempt), target, delivery, signal);
    const duration_ms = this.#options.nowMs() - at;
    this.#options.onAttempt?.(this.#subscription, outcome.result, duration_ms);
    this.attempts.push({
      ...{ at, offset: delivery.offset, attempt, result: outcome.result },
      ...{ status: outcome.status ?? 0, duration_ms, detail: outcome.detail },
    });
    if (this.attempts.length > REMEMBERED) this.attempts.shift();
    return outcome;
  }

  #succeeded(offset: number, group: Group | undefined): boolean {
    this.counts.delivered += 1 + (group?.others.length ?? 0);
    this.counts.limited += group?.leftOut ?? 0;
    this.#onProblem("");
    if (group === undefined || group.missed === 0) return this.#done(group?.seen ?? offset);
    this.#at = group.seen;
    this.#record({ cursor: group.seen, missed: group.missed });
    return true;
  }

  #skipped(offset: number): boolean {
    this.counts.dropped += 1;
    return this.#done(offset);
  }

  #done(offset: number): boolean {
    this.#at = offset;
    this.#record({ cursor: offset });
    return true;
  }

  #fail(offset: number, attempts: number, wait: number, { status = 0, detail }: Outcome): void {
    this.counts.failed += 1;
    if (attempts >= FAILING) this.#onProblem(`${attempts} attempts failed, the last one with: ${detail}`);
    const next_at = this.#options.nowMs() + Math.round(wait);
    const failing = { offset, attempts, next_at, status, detail };
    this.#record({ cursor: this.#at, failing });
  }

  #giveUp(offset: number, group: Group | undefined, attempts: number, { status = 0, detail }: Outcome): boolean {
    const { offsets, at } = group === undefined ? { offsets: [offset], at: offset } : givenUp(group);
    this.counts.dead += offsets.length;
    this.#at = at;
    const dead = offsets.map((each) => ({ offset: each, attempts, status, detail }));
    this.#record({ cursor: this.#at, dead, ...(group?.missed ? { missed: group.missed } : {}) }, true);
    return true;
  }

  #halt(stop: "revoked" | "ended" | "done"): false {
    this.#record({ cursor: this.#at, stop }, true);
    return false;
  }

  #record(what: Omit<SubscriptionRecord, "subscription" | "revision">, now = false): void {
    const { id: subscription, revision } = this.#subscription;
    this.#recorder.add({ subscription, revision, ...what }, now);
  }
}
