// The condition `upstream_away` of an edge: raised when no full member has answered for a while. Mostly another one is
// found at once.

import type { Conditions } from "../observe/conditions.ts";

/** How long no full member may answer before the condition is raised, in ms. */
const PATIENCE_MS = 5_000;

/** Follows the upstream of one edge. */
export class UpstreamCondition {
  readonly #conditions: Conditions;
  readonly #staleSpaces: () => readonly string[];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #reason = "";

  /** `staleSpaces` returns the spaces that are served while no full member answers. */
  constructor(conditions: Conditions, staleSpaces: () => readonly string[]) {
    this.#conditions = conditions;
    this.#staleSpaces = staleSpaces;
  }

  /** The upstream has changed; undefined if none answers. `reason` says why. */
  update(upstream: string | undefined, reason: string): void {
    this.#reason = reason;
    if (upstream === undefined) {
      this.#timer ??= setTimeout(() => this.#raise(), PATIENCE_MS);
      return;
    }
    this.stop();
    this.#conditions.clear("upstream_away");
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #raise(): void {
    // Full members do answer a removed edge, and its network is not to be checked.
    if (this.#conditions.has("removed_from_fleet")) return;
    const served = this.#staleSpaces().join(", ");
    const left = served === "" ? "no space may be served stale" : `served stale: ${served}`;
    this.#conditions.raise("upstream_away", `No full node answers this edge: ${this.#reason}; ${left}`);
  }
}
