// Sums up what the attempts at one call prove (replication.md 34). Once an attempt may have done a write, the call ends
// with the outcome `unknown`, unless a later failure proves that none was done.

import { proofOfError } from "../lib/attempt-proof.ts";
import { Fault } from "../lib/fault.ts";
import { gaveUp } from "./routing-faults.ts";

/** The attempts at one call. A read has no outcome that could be unknown. */
export class Attempts {
  readonly #kind: "read" | "write";
  #mayBeDone = false;
  #lastError: unknown;

  constructor(kind: "read" | "write") {
    this.#kind = kind;
  }

  /** Whether an attempt may have been done. */
  get mayBeDone(): boolean {
    return this.#mayBeDone;
  }

  /** Records that an attempt was answered, and that the call goes on until its effect is seen. */
  accepted(): void {
    this.#mayBeDone = this.#kind === "write";
  }

  /** Records how an attempt failed. */
  failed(error: unknown): void {
    this.#lastError = error;
    if (this.#kind === "read") return;
    const proof = proofOfError(error);
    if (proof === "none_done") this.#mayBeDone = false;
    else if (proof === "unknown") this.#mayBeDone = true;
  }

  /** Returns the fault of a call that no node took in time. */
  late(): Fault {
    return gaveUp(this.#mayBeDone, this.#lastError);
  }

  /**
   * Returns what the caller gets in place of `error`, wherever that was thrown: the same while no attempt may have been
   * done, otherwise a Fault with the outcome `unknown`. `left`: the caller has gone.
   */
  end(error: unknown, left = false): unknown {
    const isUnknown = error instanceof Fault && error.facts.outcome === "unknown";
    if (!this.#mayBeDone || isUnknown) return error;
    if (left) {
      return new Fault("cancelled", "The call was cancelled by its caller; whether the write was made is unknown", {
        hint: "Read before you write again, or repeat it with the same idempotency key.",
        facts: { outcome: "unknown" },
        cause: error,
      });
    }
    return gaveUp(true, error);
  }
}
