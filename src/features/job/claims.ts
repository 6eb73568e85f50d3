// The claims of jobs, measured by the leader as leases are (replication.md 29): heartbeats stay in its memory, and the
// end of a claim becomes a command. A new leader knows no heartbeats, so it gives each claim its whole time.

import { pause } from "../../lib/pause.ts";
import { reasonOf } from "../../lib/reason-of.ts";
import type { SleepClock } from "../../lib/sleep-clock.ts";
import type { Lead } from "../../log/duties.ts";
import type { Log } from "../../log/log.ts";
import { nodeCommand } from "../../log/node-command.ts";
import type { LogLine } from "../../observe/logging.ts";
import { decided } from "../../operation/decided.ts";
import { type Fence, fenceText } from "../../operation/fence.ts";
import { HeldTerms } from "../../operation/held-terms.ts";
import { ServiceKey } from "../../operation/services.ts";
import type { Reader } from "../../store/store.ts";
import { jobExpire, MAX_AT_ONCE } from "./internal.ts";
import { requireClaim } from "./queue.ts";
import { activeJobs, claimText, type JobHead, type JobRow } from "./rows.ts";

/** Between two looks, in ms: a claim ends so much later at most. */
const LOOK_MS = 500;

/** What the claims need of their node. */
export interface ClaimsOptions {
  reader: Reader;
  log: () => Log;
  /** Is told of a worker that was not heard in time. */
  onLost: (worker: string) => void;
  /** Counts the sleep of the machine. */
  clock: SleepClock;
  say: LogLine;
}

/** The claims of a node. */
export const CLAIMS: ServiceKey<Claims> = new ServiceKey("the claims of jobs");

/** The claims that the leader measures; as many as there are jobs with a worker. */
export class Claims {
  readonly #options: ClaimsOptions;
  readonly #terms: HeldTerms;
  /** What workers said last, by fence. */
  readonly #progress = new Map<string, string>();

  constructor(options: ClaimsOptions) {
    this.#options = options;
    this.#terms = new HeldTerms(options.clock);
  }

  /** The duty. */
  lead({ signal }: Pick<Lead, "signal">): void {
    this.#terms.begin(signal);
    this.#progress.clear();
    void this.#watch(signal);
  }

  async #watch(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        this.look();
      } catch (error) {
        this.#options.say("warning", `claims of jobs are looked at later: ${reasonOf(error)}`);
      }
      await pause(LOOK_MS, signal).catch(() => {});
    }
  }

  /**
   * Gives a claim another term, in a call that passed a barrier after it arrived. Rejects with Fault `lease_lost`, or
   * `unavailable` where this node does not lead.
   */
  async renew(claim: Fence, progress: string | undefined, signal: AbortSignal): Promise<JobRow> {
    const find = () => requireClaim(this.#options.reader, claim);
    const key = fenceText(claim);
    await this.#terms.renew(key, () => ({ key, ttlMs: find().ttl_ms }), signal);
    if (progress !== undefined) this.#progress.set(key, progress);
    return find();
  }

  /** Returns what the worker of a job said last; "": nothing, or not to this leader. */
  progressOf(job: JobHead): string {
    return this.#progress.get(claimText(job) ?? "") ?? "";
  }

  /** Begins terms of claims that are new here, and proposes the end of those whose time is over. */
  look(): void {
    const active = activeJobs(this.#options.reader);
    const held = active.map((job) => ({ key: claimText(job) ?? "", ttlMs: job.ttl_ms }));
    const known = new Set(held.map(({ key }) => key));
    for (const key of this.#progress.keys()) if (!known.has(key)) this.#progress.delete(key);
    const ended = this.#terms.look(held);
    const over = active.filter((job) => ended.has(claimText(job) ?? ""));
    for (let at = 0; at < over.length; at += MAX_AT_ONCE) this.#end(over.slice(at, at + MAX_AT_ONCE));
  }

  #end(jobs: readonly JobHead[]): void {
    const claims = jobs.map(({ id, claim_n: n, claim_seq: seq }) => ({ id, n, seq }));
    const command = nodeCommand(jobExpire, { claims });
    const outcome = decided(this.#options.log, command, () => this.#terms.leading);
    for (const job of jobs) {
      this.#options.onLost(job.worker);
      this.#terms.end(claimText(job) ?? "", outcome);
    }
  }
}
