// The manifest of leases: names that one agent at a time holds, for a limited time.

import { openSleepClock } from "../../lib/sleep-clock.ts";
import type { Operation } from "../../operation/define.ts";
import type { Feature } from "../../operation/feature.ts";
import { FENCE_LEVEL } from "../../operation/fence.ts";
import { LOG, NODE } from "../../operation/node-parts.ts";
import { Services } from "../../operation/services.ts";
import { leaseAcquire } from "./acquire.ts";
import { leaseCommands } from "./commands.ts";
import { leaseExpire, leaseForce, leaseRelease } from "./end.ts";
import { leaseList } from "./list.ts";
import { leasePage } from "./pages/lease-page.tsx";
import { leaseSection } from "./pages/lease-section.tsx";
import { leaseRenew } from "./renew.ts";
import { leaseRoutes } from "./rest.ts";
import schema from "./schema.sql" with { type: "text" };
import { LeaseTerms } from "./terms.ts";
import { LEASE_TERMS } from "./terms-key.ts";
import { leaseProblem } from "./verify.ts";
import { leaseWait } from "./wait.ts";

/** Returns every operation on leases, the internal one included. */
export function leaseOperations(node: Services): Operation[] {
  return [leaseAcquire(node), leaseRenew(node), leaseRelease, leaseForce, leaseExpire, leaseWait, leaseList];
}

/** Names of the writes, whose changes are those of leases. */
const WRITES: ReadonlySet<string> = new Set(
  leaseOperations(new Services())
    .filter(({ kind }) => kind === "write")
    .map(({ name }) => name),
);

/** Leases. A new history keeps them: their holders may still work under them. */
export const leaseFeature: Feature = {
  name: "lease",
  migrations: [{ id: 14, level: FENCE_LEVEL, sql: schema }],
  tables: [
    { name: "leases", scope: "replicated", fork: "keep", sql: "SELECT * FROM leases ORDER BY name" },
    {
      name: "lease_waiters",
      scope: "replicated",
      fork: "keep",
      sql: "SELECT * FROM lease_waiters ORDER BY name, n, seq",
    },
  ],
  open: (node) => {
    const { reader } = node.get(NODE).store;
    const terms = new LeaseTerms({ reader, log: () => node.get(LOG), operations: WRITES, clock: openSleepClock() });
    node.provide(LEASE_TERMS, terms);
  },
  operations: leaseOperations,
  instructions: {
    tools: [{ operation: "lease_acquire", verb: "write", use: "reserve what you change" }],
  },
  rest: leaseRoutes,
  commands: leaseCommands,
  events: {
    "cairn.lease.changed": {
      when: "a lease was acquired, given to the next in line, released, taken away, or ran out",
      subject: "the name that is held",
      operations: [...WRITES].filter((name) => name !== "lease_renew"),
    },
  },
  pages: [leasePage],
  sections: [leaseSection],
  duties: (node) => [(lead) => node.get(LEASE_TERMS).lead(lead)],
  verify: leaseProblem,
};
