// The error that stops a node by itself: the first one counts. Parts report it here; the
// starter of the node reads `first`.

import { Fault } from "../lib/fault.ts";
import { comesBackAfter } from "../membership/index.ts";

/**
 * Where the Go half ends, the log fails too; for this long the Go half may report first, since its reason says more.
 */
const GO_HALF_FIRST_MS = 250;

/** Collects fatal errors of one start. */
export class NodeFailure {
  readonly #dataDir: string;
  readonly #first = Promise.withResolvers<Fault>();

  constructor(dataDir: string) {
    this.#dataDir = dataDir;
  }

  /** Resolves with the Fault that stops the node; never, if none does. */
  get first(): Promise<Fault> {
    return this.#first.promise;
  }

  /** The node cannot go on. */
  report(fault: Fault): void {
    this.#first.resolve(fault);
  }

  /**
   * The store or the log cannot go on. Where the next start brings the member back, the fault is one after which a
   * service manager starts it again.
   */
  reportLog(fault: Fault): void {
    if (comesBackAfter(this.#dataDir, fault)) {
      const hint = "Its next start brings this member back to its fleet; a service manager starts it by itself.";
      this.report(new Fault("log_failed", fault.message, { hint, facts: fault.facts, cause: fault }));
    } else if (fault.code === "log_failed") setTimeout(() => this.report(fault), GO_HALF_FIRST_MS);
    else this.report(fault);
  }

  /** Resolves as `work` does; rejects with the Fault that stops the node, if that comes first. */
  async orFail<T>(work: Promise<T>): Promise<T> {
    return Promise.race([work, this.first.then((fault) => Promise.reject(fault))]);
  }
}
