// lease_renew: begins a new term of a lease. It leaves nothing in the log: only the leader remembers it (terms.ts).

import { z } from "zod";
import { spaceOf } from "../../access/space.ts";
import { type Operation, read } from "../../operation/define.ts";
import { FENCE_LEVEL, fenceText } from "../../operation/fence.ts";
import type { Services } from "../../operation/services.ts";
import { refuseBelowLevel } from "../../operation/versions.ts";
import { claimOf, leaseName, nameAliases, ownFence } from "./arguments.ts";
import { holderAsking, safeSeconds, waitersOf } from "./rows.ts";
import { LEASE_TERMS } from "./terms-key.ts";

/** Returns `lease_renew`. */
export function leaseRenew(node: Services): Operation {
  return read({
    name: "lease_renew",
    title: "Renew a lease",
    search: "keep a lock, heartbeat, extend",
    description:
      "Begins a new term of a lease that you hold. Renew when a third of ttl_seconds is over, and at once after lease_wait says granted. If it is refused with lease_lost, or safe_seconds are over without an answer, stop what you do under the lease.",
    input: z.object({ name: leaseName, fence: ownFence }),
    example: { name: "team-a/repo/src/main.ts", fence: "team-a/repo/src/main.ts@1-57" },
    output: z.object({
      name: z.string(),
      fence: z.string(),
      ttl_seconds: z.number(),
      safe_seconds: z.number().int().describe("Count on it for this long from the moment you sent this call."),
      waiting: z.number().int().describe("How many wait for it."),
    }),
    access: { verb: "write", spaces: ({ name }) => [spaceOf(name)] },
    atLeader: true,
    hints: { idempotent: true },
    aliases: nameAliases,
    async run(reader, { name, fence }, context) {
      refuseBelowLevel(reader, FENCE_LEVEL, "lease_renew");
      const lease = await node.get(LEASE_TERMS).renew(claimOf(name, fence), holderAsking(context), context.signal);
      return {
        name,
        fence: fenceText(lease),
        ttl_seconds: lease.ttl_ms / 1000,
        safe_seconds: safeSeconds(lease.ttl_ms),
        waiting: waitersOf(reader, name),
      };
    },
  });
}
