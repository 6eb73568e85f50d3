// The leader's duty: gives ready jobs to nodes that offer to run them, the best node first.

import { counted } from "../../lib/counted.ts";
import { pause } from "../../lib/pause.ts";
import { printableLine } from "../../lib/printable.ts";
import { reasonOf } from "../../lib/reason-of.ts";
import type { Lead } from "../../log/duties.ts";
import { levelOf } from "../../log/level.ts";
import type { Log } from "../../log/log.ts";
import { nodeCommand } from "../../log/node-command.ts";
import type { ConditionsOf } from "../../observe/conditions.ts";
import type { LogLine } from "../../observe/logging.ts";
import type { Declarations } from "../../operation/declared-kind.ts";
import type { Reader } from "../../store/store.ts";
import { ACTION, type ActionShape } from "./action.ts";
import type { jobConditions } from "./conditions.ts";
import { jobDispatch, MAX_AT_ONCE } from "./internal.ts";
import type { Offer, Offers } from "./offer.ts";
import { byOrder, nextDue, readyActions, readyJobs } from "./queue.ts";
import { JOB_LEVEL, type JobHead } from "./rows.ts";

/** Between two looks, in ms. */
const LOOK_MS = 250;
/** So long after the first job became ready nodes may offer, before one is chosen, in ms. */
const GATHER_MS = 600;
/** An offer holds so long, in ms: nodes repeat it each 30 s at least while something is ready. */
const OFFER_MS = 40_000;
/** Ready jobs of one action that one look gives away. */
const MAX_LOOKED = 8;
/** Jobs that are ready for so long without an offer are a condition, in ms. */
const UNWANTED_MS = 60_000;

/** What the dispatcher needs of its node. */
export interface DispatchOptions {
  reader: Reader;
  log: () => Log;
  declarations: Declarations;
  offers: Offers;
  /** Returns the members that fit, by id, the best one first. */
  rank: (
    wanted: { labels: readonly string[]; kind: string | undefined },
    signal: AbortSignal,
  ) => Promise<readonly string[]>;
  /** Returns the name of a member, or "". */
  nameOf: (node: string) => string;
  conditions: ConditionsOf<keyof typeof jobConditions>;
  say: LogLine;
}

/** Dispatches while its node leads. */
export class Dispatcher {
  readonly #options: DispatchOptions;
  /** Since when something is ready, by the monotonic clock. */
  #readySinceMs: number | undefined;
  /** Since when an action has jobs that no one offers to run; as many as there are actions. */
  readonly #unwanted = new Map<string, number>();

  constructor(options: DispatchOptions) {
    this.#options = options;
  }

  /** The duty. */
  lead({ signal }: Pick<Lead, "signal">): void {
    void this.#dispatch(signal);
  }

  async #dispatch(signal: AbortSignal): Promise<void> {
    const { reader, say, conditions } = this.#options;
    while (!signal.aborted) {
      try {
        if (levelOf(reader) >= JOB_LEVEL) await this.look(signal);
      } catch (error) {
        if (!signal.aborted) say("warning", `jobs are dispatched later: ${reasonOf(error)}`);
      }
      await pause(LOOK_MS, signal).catch(() => {});
    }
    this.#unwanted.clear();
    conditions.clear("jobs_unwanted");
  }

  /** Looks once. */
  async look(signal: AbortSignal, gatherMs = GATHER_MS): Promise<void> {
    const { reader, log } = this.#options;
    const due = nextDue(reader);
    if (due !== undefined && due <= log().timeMs()) await this.#propose([]);
    const actions = readyActions(reader);
    if (actions.length === 0) {
      this.#readySinceMs = undefined;
      this.#tell([]);
      return;
    }
    this.#readySinceMs ??= performance.now();
    if (performance.now() - this.#readySinceMs < gatherMs) return;
    const offers = this.#options.offers.fresh(OFFER_MS);
    this.#tell(
      actions.filter(({ action }) => !offers.some((offer) => offer.actions.has(action))).map(({ action }) => action),
    );
    const free = new Map(offers.map(({ node, free: places }) => [node, places]));
    const ranks = new Map<string, Promise<readonly string[]>>();
    const chosen: { id: string; worker: string; boot: string }[] = [];
    const ready = actions.flatMap((each) => readyJobs(reader, { runs: "member", ...each }, MAX_LOOKED));
    for (const job of ready.sort(byOrder)) {
      const offer = await this.#choose(job, offers, { free, ranks, signal });
      if (offer === undefined) continue;
      free.set(offer.node, (free.get(offer.node) ?? 0) - 1);
      chosen.push({ id: job.id, worker: offer.node, boot: offer.boot });
      if (chosen.length >= MAX_AT_ONCE) break;
    }
    signal.throwIfAborted();
    if (chosen.length === 0) return;
    await this.#propose(chosen);
    // Who is given something comes to take it, and offers again. Who does not is given nothing more.
    for (const { worker } of chosen) this.#options.offers.forget(worker);
  }

  async #choose(
    { action }: JobHead,
    offers: readonly Offer[],
    round: { free: Map<string, number>; ranks: Map<string, Promise<readonly string[]>>; signal: AbortSignal },
  ): Promise<Offer | undefined> {
    const { declarations, rank, nameOf } = this.#options;
    const value = declarations.list(ACTION).find(({ name }) => name === action)?.value;
    if (value === undefined) return undefined;
    const willing = offers.filter(({ node, actions }) => actions.has(action) && (round.free.get(node) ?? 0) > 0);
    if (willing.length === 0) return undefined;
    const member = memberOf(value);
    if (member !== undefined) return willing.find(({ node }) => node === member || nameOf(node) === member);
    const wanted = { labels: labelsOf(value), kind: value.kind };
    const key = JSON.stringify(wanted);
    const ranked = round.ranks.get(key) ?? rank(wanted, round.signal);
    round.ranks.set(key, ranked);
    const best = (await ranked).find((node) => willing.some((offer) => offer.node === node));
    return willing.find(({ node }) => node === best);
  }

  async #propose(jobs: readonly { id: string; worker: string; boot: string }[]): Promise<void> {
    await this.#options.log().propose(nodeCommand(jobDispatch, { jobs }));
  }

  /** Says which actions have jobs that no one offers to run. */
  #tell(unwanted: readonly string[]): void {
    const { conditions } = this.#options;
    for (const action of this.#unwanted.keys()) if (!unwanted.includes(action)) this.#unwanted.delete(action);
    const nowMs = performance.now();
    for (const action of unwanted) if (!this.#unwanted.has(action)) this.#unwanted.set(action, nowMs);
    const long = [...this.#unwanted].filter(([, sinceMs]) => nowMs - sinceMs > UNWANTED_MS).map(([action]) => action);
    if (long.length === 0) {
      conditions.clear("jobs_unwanted");
      return;
    }
    const plain = `jobs of ${counted(long.length, "action")} wait`;
    const said = printableLine(`${plain}: ${long.slice(0, 10).join(", ")}`);
    conditions.raise("jobs_unwanted", said, { spaces: ["fleet"], plain });
  }
}

function memberOf({ where }: ActionShape): string | undefined {
  return where.startsWith("member:") ? where.slice("member:".length) : undefined;
}

function labelsOf({ where }: ActionShape): string[] {
  return where.startsWith("label:") ? [where.slice("label:".length)] : [];
}
