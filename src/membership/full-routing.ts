// Routing of a full member to the rest of its fleet: the log says which server leads, the members table which device
// that is, and calls go there over the peer connection.

import { mayLead } from "../fleet/index.ts";
import type { Log } from "../log/log.ts";
import { Forwarder, type ForwarderOptions, type ForwardTraces } from "../operation/forwarder.ts";
import type { Routing } from "../operation/routing.ts";
import { notReady } from "../operation/routing-faults.ts";

/** The part of the members table that forwarding needs. */
export interface MemberLookup {
  get(node: string): { role: "central" | "regional" | "edge" } | undefined;
  byServer(server: string): { node: string; name: string } | undefined;
  list(): readonly { role: string }[];
}

export interface FullRoutingOptions {
  log: Log;
  members: MemberLookup;
  /** Member id of this node; "" while it is not known. */
  self: () => string;
  /** Calls the path `forward` of a member. */
  ask: ForwarderOptions["ask"];
  /**
   * Returns a function for how old the present state of this node may be, in ms, at a later moment; undefined while
   * nothing was proved since its process began.
   */
  stateAge: () => (() => number) | undefined;
  /** Records spans of forwards. */
  traces?: ForwardTraces | undefined;
  /** When a forward gives up, in ms; set by tests. */
  withinMs?: number;
}

/** Returns the routing. */
export function fullNodeRouting(options: FullRoutingOptions): Routing {
  const { log, members, self, ask, stateAge, traces, withinMs } = options;
  const leader = (): { node: string; name: string } | undefined => {
    const { server } = log.leadership();
    const found = server === "" ? undefined : members.byServer(server);
    return found === undefined ? undefined : { node: found.node, name: found.name };
  };
  /** Edges never order writes, so beside them a full member is as alone as without them. */
  const hasOtherNodes = (): boolean => members.list().filter(({ role }) => role !== "edge").length > 1;
  const forwarder = new Forwarder({
    ask,
    leader: () => leader()?.node,
    mayLead: (node) => mayLead(members.get(node)),
    leadsHere: () => log.leadership().leading,
    onLeader: (listener) => log.onLeadership(listener),
    traces,
    ...(withinMs === undefined ? {} : { withinMs }),
  });
  let isCurrent = false;
  // A leader has applied an entry of its own term, so everything acknowledged before.
  log.onLeading(() => {
    isCurrent = true;
  });
  return {
    isCurrent: () => {
      isCurrent ||= stateAge() !== undefined;
      return isCurrent;
    },
    mode: () => {
      if (!log.ready()) return "waiting";
      // A node that is alone has no other node to ask: its log says what it cannot do yet.
      return log.leadership().leading || !hasOtherNodes() ? "leader" : "replica";
    },
    hasOtherNodes,
    self,
    leader,
    forward: (call, to, signal) => (to === "leader" ? forwarder.toLeader(call, signal) : Promise.reject(notReady())),
    stateAge,
  };
}
