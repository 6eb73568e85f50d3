// The parts of a node that tests of deliveries play: the way out, the tailnet that shows callers, and the gate.

import { Access } from "../../src/access/access.ts";
import type { Caller } from "../../src/access/caller.ts";
import { EVENT_LOG } from "../../src/features/event/event-log.ts";
import { EVENT_FEED, EventFeed } from "../../src/features/event/feed.ts";
import { ReplicatedEventLog } from "../../src/features/event/replicated-log.ts";
import { subscriptionConditions } from "../../src/features/event/subscription/conditions.ts";
import { Conditions } from "../../src/observe/conditions.ts";
import { CONNECTIONS } from "../../src/operation/connections.ts";
import {
  ACCESS,
  CALL_AS,
  FIND_CALLERS,
  HOST,
  type HostParts,
  LOG,
  NODE,
  type NodeParts,
  type Outbound,
} from "../../src/operation/node-parts.ts";
import type { Services } from "../../src/operation/services.ts";
import { CAPABILITY, type Core } from "./core.ts";

/** Provides them over a core. Returns the callers that the tailnet shows, by name, and the conditions of the node. */
export function providePlayed(
  node: Services,
  core: Core,
  {
    outbound,
    env,
    nowMs,
    ...parts
  }: Pick<NodeParts, "limits" | "nowMs"> &
    Partial<Pick<NodeParts, "settings">> & { outbound: Outbound; env: Record<string, string> },
): { tailnet: Map<string, Caller>; conditions: Conditions } {
  const tailnet = new Map<string, Caller>();
  const conditions = new Conditions(() => {}, nowMs, subscriptionConditions);
  node
    .provide(NODE, { ...parts, store: core.store, conditions, nowMs } as unknown as NodeParts)
    .provide(HOST, { outbound, tailnet: outbound, env } as unknown as HostParts)
    .provide(CONNECTIONS, { open: () => Promise.reject(new Error("no connection")), roots: () => [] })
    .provide(ACCESS, new Access({ capability: CAPABILITY, defaultRole: "none", admins: [] }, undefined))
    .provide(LOG, core.log)
    .provide(FIND_CALLERS, async (name) => {
      const caller = tailnet.get(name);
      return caller === undefined ? [] : [{ caller, note: "" }];
    })
    .provide(EVENT_LOG, new ReplicatedEventLog(core.store.reader, () => core.log))
    .provide(CALL_AS, (call) => core.invoker.invoke(call));
  node.provide(EVENT_FEED, new EventFeed(node.get(EVENT_LOG)));
  return { tailnet, conditions };
}
