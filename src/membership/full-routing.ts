// The rest of the fleet for a full node: who leads comes from the log, which member that is from the table of members, and what goes there over the peer link.

import type { Log } from "../log/log.ts";
import { Forwarder, type ForwarderOptions } from "../operation/forwarder.ts";
import { notReady, type Routing } from "../operation/routing.ts";

/** Of the list of members, what forwarding needs. */
export interface MemberLookup {
  get(node: string): { name: string } | undefined;
  byServer(server: string): { node: string; name: string } | undefined;
  list(): readonly { role: string }[];
}

export interface FullRoutingOptions {
  log: Log;
  members: MemberLookup;
  /** Member id of this node; "" while it is not known. */
  self: () => string;
  /** Asks the path `forward` of a member. */
  ask: ForwarderOptions["ask"];
  /** How old the state of this node may be at most, in ms; infinite while that is not known. */
  ageMs: () => number;
  /** For tests: when a forward gives up, in ms. */
  withinMs?: number;
}

/** What `invoke` knows of the other nodes. */
export function fullNodeRouting({ log, members, self, ask, ageMs, withinMs }: FullRoutingOptions): Routing {
  const leader = (): { node: string; name: string } | undefined => {
    const { server } = log.leadership();
    const found = server === "" ? undefined : members.byServer(server);
    return found === undefined ? undefined : { node: found.node, name: found.name };
  };
  /** Edges never order writes: beside them a node is as alone as without. */
  const several = (): boolean => members.list().filter(({ role }) => role !== "edge").length > 1;
  const forwarder = new Forwarder({
    ask,
    leader: () => leader()?.node,
    leadsHere: () => log.leadership().leading,
    onLeader: (listener) => log.onLeadership(listener),
    ...(withinMs === undefined ? {} : { withinMs }),
  });
  return {
    mode: () => {
      if (!log.ready()) return "waiting";
      // Alone there is nobody else to ask: the log itself says what it cannot do yet.
      return log.leadership().leading || !several() ? "leader" : "replica";
    },
    several,
    self,
    leader,
    forward: (call, to, signal) => (to === "leader" ? forwarder.toLeader(call, signal) : Promise.reject(notReady())),
    ageSeconds: () => {
      const ms = ageMs();
      return Number.isFinite(ms) ? ms / 1000 : undefined;
    },
  };
}
