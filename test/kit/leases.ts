// Leases over one store without a network: a clock that the test moves, and leaders that come and go.

import { agentFeature } from "../../src/features/agent/index.ts";
import { contextFeature } from "../../src/features/context/index.ts";
import { leaseFeature } from "../../src/features/lease/index.ts";
import { LeaseTerms } from "../../src/features/lease/terms.ts";
import { LEASE_TERMS } from "../../src/features/lease/terms-key.ts";
import type { Log } from "../../src/log/log.ts";
import { operationsOf } from "../../src/operation/derive.ts";
import { Services } from "../../src/operation/services.ts";
import { whoami } from "../../src/operation/whoami.ts";
import { type Core, type CoreOptions, callerWith, startCore } from "./core.ts";

/** Callers with the right to write everywhere, by name. */
export const LESSEES = Object.fromEntries(
  ["ann", "bob", "cyd"].map((name) => [
    name,
    callerWith({ id: `n${name}`, login: `${name}@x`, grants: [{ role: "member", spaces: ["*"] }] }),
  ]),
);

/** Wall time at which the clock of a test begins, in ms. */
const BEGIN_MS = 1_700_000_000_000;

/** Returns a core with leases. `pass` moves the clock, `lead` makes the next node the leader. */
export function startLeases(options: CoreOptions = {}) {
  let elapsedMs = 0;
  const node = new Services();
  const features = [agentFeature, contextFeature, leaseFeature];
  const nowMs = () => BEGIN_MS + elapsedMs;
  const core: Core = startCore({ nowMs, features, operations: [...operationsOf(features, node), whoami], ...options });
  const writes = new Set(["lease_acquire", "lease_release", "lease_force", "lease_expire"]);
  const clock = { nowMs: () => elapsedMs, since: "test", stepMs: 0 };
  const log: Log = core.log;
  const terms = new LeaseTerms({ reader: core.store.reader, log: () => log, operations: writes, clock });
  node.provide(LEASE_TERMS, terms);
  let term = 1;
  let leading = new AbortController();
  terms.lead({ term, signal: leading.signal });
  /** Ends the leadership of this node, and begins another term, as a node that knows no renewals. */
  const lead = () => {
    leading.abort();
    leading = new AbortController();
    term += 1;
    terms.lead({ term, signal: leading.signal });
  };
  return {
    core,
    terms,
    /** The wall clock, which is the log time too. */
    wallMs: nowMs,
    lead,
    /** Ends the leadership, and no other one begins. */
    depose: () => leading.abort(),
    /** Lets time go by; the leader looks at the end. */
    pass: async (ms: number) => {
      elapsedMs += ms;
      terms.look();
      // What it proposed is applied in the turns after.
      for (let turn = 0; turn < 3; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    },
    call: (who: string, operation: string, input: Record<string, unknown>) =>
      core.call(operation, input, LESSEES[who] ?? undefined),
    [Symbol.asyncDispose]: () => core[Symbol.asyncDispose](),
  };
}

export type Leases = ReturnType<typeof startLeases>;
