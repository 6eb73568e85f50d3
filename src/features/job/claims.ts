// The claims of jobs, measured by the leader as leases are (replication.md 29): heartbeats stay in its memory, and the
// end of a claim becomes a command. A new leader knows no heartbeats, so it gives each claim its whole time.

import { Fault } from "../../lib/fault.ts";
import { pause, rejectOnAbort } from "../../lib/pause.ts";
import { reasonOf } from "../../lib/reason-of.ts";
import type { SleepClock } from "../../lib/sleep-clock.ts";
import type { Lead } from "../../log/duties.ts";
import type { Log } from "../../log/log.ts";
import type { LogLine } from "../../observe/logging.ts";
import { decided } from "../../operation/decided.ts";
import { type Fence, fenceText } from "../../operation/fence.ts";
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

interface Term {
  untilMs: number;
  progress: string;
}

/** The claims of a node. */
export const CLAIMS: ServiceKey<Claims> = new ServiceKey("the claims of jobs");

/** The claims that the leader measures; as many as there are jobs with a worker. */
export class Claims {
  readonly #options: ClaimsOptions;
  /** By fence. */
  readonly #terms = new Map<string, Term>();
  /**
   * Ends that were proposed and have no outcome yet: until then none of these claims is renewed. They outlive a term
   * of leadership, because a command that was sent in one may be applied in the next.
   */
  readonly #ending = new Map<string, Promise<void>>();
  #leading: AbortSignal = AbortSignal.abort();

  constructor(options: ClaimsOptions) {
    this.#options = options;
  }

  /** The duty. */
  lead({ signal }: Pick<Lead, "signal">): void {
    this.#leading = signal;
    this.#terms.clear();
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
    if (this.#leading === signal) this.#terms.clear();
  }

  /**
   * Gives a claim another term, in a call that passed a barrier after it arrived. Rejects with Fault `lease_lost`, or
   * `unavailable` where this node does not lead.
   */
  async renew(claim: Fence, progress: string | undefined, signal: AbortSignal): Promise<JobRow> {
    const { reader } = this.#options;
    await Promise.race([this.#ending.get(fenceText(claim)), rejectOnAbort(signal)]);
    const job = requireClaim(reader, claim);
    if (this.#leading.aborted)
      throw new Fault("unavailable", "This node does not lead now, or does not know the jobs yet", {
        hint: "Send it again at once: the claim goes on meanwhile.",
      });
    this.#begin(job, progress);
    return job;
  }

  /** Returns what the worker of a job said last; "": nothing, or not to this leader. */
  progressOf(job: JobHead): string {
    return this.#terms.get(claimText(job) ?? "")?.progress ?? "";
  }

  /** Begins terms of claims that are new here, and proposes the end of those whose time is over. */
  look(): void {
    const { reader, clock } = this.#options;
    const active = activeJobs(reader);
    const known = new Set<string>();
    const over: JobHead[] = [];
    for (const job of active) {
      const key = claimText(job) ?? "";
      known.add(key);
      const term = this.#terms.get(key);
      if (term === undefined) this.#begin(job, undefined);
      else if (term.untilMs <= clock.nowMs() && !this.#ending.has(key)) over.push(job);
    }
    for (const key of this.#terms.keys()) if (!known.has(key)) this.#terms.delete(key);
    for (let at = 0; at < over.length; at += MAX_AT_ONCE) this.#end(over.slice(at, at + MAX_AT_ONCE));
  }

  #begin(job: JobHead, progress: string | undefined): void {
    const key = claimText(job) ?? "";
    const before = this.#terms.get(key)?.progress ?? "";
    this.#terms.set(key, { untilMs: this.#options.clock.nowMs() + job.ttl_ms, progress: progress ?? before });
  }

  #end(jobs: readonly JobHead[]): void {
    const { name, v } = jobExpire;
    const claims = jobs.map(({ id, claim_n: n, claim_seq: seq }) => ({ id, n, seq }));
    const command = { name, v, input: { claims }, caller: "node", via: "", key: "" };
    const outcome = decided(this.#options.log, command, () => this.#leading);
    for (const job of jobs) {
      this.#options.onLost(job.worker);
      const key = claimText(job) ?? "";
      this.#ending.set(
        key,
        outcome.finally(() => this.#ending.delete(key)),
      );
    }
  }
}
