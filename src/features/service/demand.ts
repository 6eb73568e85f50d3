// Services that run only while a number says that they are needed: the leader follows the number, and says which are
// wanted now. For how long it is so is in memory: a new leader starts from zero, so it may act later, never sooner.

import { boundText, isBeyond, nextRun, type Run } from "../../operation/bound.ts";
import type { Measured } from "../../operation/measured.ts";
import type { ServiceShape } from "./declared.ts";

/** What is declared of the need for a service. */
export type While = NonNullable<ServiceShape["while"]>;

/** Whether a service is needed now. `why`: in words. */
export interface Demand {
  isNeeded: boolean;
  why: string;
}

interface Followed {
  key: string;
  isNeeded: boolean;
  beyond: Run | undefined;
  within: Run | undefined;
  why: string;
}

/** Follows the numbers of services. */
export class Demands {
  /** By name; as many as there are services with a number. */
  readonly #followed = new Map<string, Followed>();

  /** Forgets what an earlier term saw. */
  clear(): void {
    this.#followed.clear();
  }

  /** Takes what is measured now. `runs`: whether a copy of it may run, which says what was so before. */
  follow(
    services: readonly { name: string; value: ServiceShape }[],
    measured: (probe: string) => Measured,
    runs: (name: string) => boolean,
  ): void {
    const wanted = new Map(services.flatMap(({ name, value }) => (value.while ? [[name, value.while] as const] : [])));
    for (const name of this.#followed.keys()) if (!wanted.has(name)) this.#followed.delete(name);
    for (const [name, rule] of wanted) {
      const key = JSON.stringify(rule);
      const kept = this.#followed.get(name);
      const before = kept?.key === key ? kept : { key, isNeeded: runs(name), beyond: undefined, within: undefined };
      this.#followed.set(name, next(before, rule, measured(rule.probe)));
    }
  }

  /** Returns whether a service is needed; one without a number always is. */
  of(name: string, value: ServiceShape): Demand {
    if (value.while === undefined) return { isNeeded: true, why: "" };
    const { isNeeded = false, why = "its number was not looked at yet" } = this.#followed.get(name) ?? {};
    return { isNeeded, why };
  }
}

/** Returns what a measurement makes of a service. An unknown number changes nothing, and all times begin again. */
function next(before: Omit<Followed, "why">, rule: While, measured: Measured): Followed {
  if ("why" in measured)
    return { ...before, beyond: undefined, within: undefined, why: `${rule.probe}: ${measured.why}` };
  const isOver = isBeyond(rule, measured.value);
  const beyond = nextRun(isOver, before.beyond, measured.atMs);
  const within = nextRun(!isOver, before.within, measured.atMs);
  const lasts = (run: Run | undefined, seconds: number) =>
    run !== undefined && run.lastMs - run.firstMs >= seconds * 1000;
  const isNeeded = before.isNeeded ? !lasts(within, rule.cool_down_seconds) : lasts(beyond, rule.for_seconds);
  const why = `${rule.probe} is ${measured.value}, ${isOver ? "" : "not "}${boundText(rule)}`;
  return { key: before.key, isNeeded, beyond, within, why };
}
