// A core whose log of events may be in a real nats-server, with the mover of its leader.

import type { Duplex } from "node:stream";
import type { Caller } from "../../src/access/caller.ts";
import { agentFeature } from "../../src/features/agent/index.ts";
import { contextFeature, ROW_CHECKS } from "../../src/features/context/index.ts";
import { EVENT_LOG } from "../../src/features/event/event-log.ts";
import { EVENT_FEED, EventFeed } from "../../src/features/event/feed.ts";
import { eventFeature } from "../../src/features/event/index.ts";
import { placedLimits } from "../../src/features/event/moves/limits.ts";
import { MOVABLE_LOG, MOVER, openLog } from "../../src/features/event/moves/open.ts";
import { subscriptionFeature } from "../../src/features/event/subscription/feature.ts";
import { writeMeta } from "../../src/log/meta.ts";
import { CONNECTIONS, type Connections } from "../../src/operation/connections.ts";
import { eventTypesOf, operationsOf } from "../../src/operation/derive.ts";
import { HOST, type HostParts, LOG, NODE, type NodeParts, REFUSALS } from "../../src/operation/node-parts.ts";
import { OWN_TYPES } from "../../src/operation/own-events.ts";
import { Services } from "../../src/operation/services.ts";
import { type Core, callerWith, startCore } from "./core.ts";
import { sender } from "./events.ts";
import { eventually } from "./eventually.ts";
import { DEFAULT_FLEET_SETTINGS, DEFAULT_WRITE_LIMITS } from "./limits.ts";
import { loopbackConnections, type NatsServer } from "./nats.ts";

const ADMIN: Caller = callerWith({
  id: "nadmin",
  login: "admin@x",
  grants: [{ role: "admin", spaces: ["*", "fleet"] }],
});

/** What it has. */
export const movingFeatures = [agentFeature, contextFeature, eventFeature, subscriptionFeature];

/** Starts one; it does not lead before `lead`. */
export function startMovingEvents(server: Pick<NatsServer, "url">, reach: Pick<Connections, "isNone"> = {}) {
  const features = movingFeatures;
  const node = new Services();
  const events = {
    ...DEFAULT_WRITE_LIMITS.events,
    nats: { url: server.url, credentials: undefined, replicas: 1, isFirst: false },
  };
  const limits = { ...DEFAULT_WRITE_LIMITS, events };
  const problems: (string | undefined)[] = [];
  /** What was said of conditions, in order; without text: that there is none. */
  const told: { code: string; text?: string }[] = [];
  const raised = new Map<string, string>();
  const sockets: Duplex[] = [];
  const connections: Connections = {
    ...loopbackConnections,
    ...reach,
    open: async (to, signal) => {
      const socket = await loopbackConnections.open(to, signal);
      sockets.push(socket);
      return socket;
    },
  };
  const core: Core = startCore({
    features,
    operations: operationsOf(features, node),
    limits: {
      get events() {
        return node.find(LOG) === undefined ? events : placedLimits(node)().events;
      },
    },
  });
  const conditions = {
    of: () => ({
      raise: (code: string, text: string) => {
        problems.push(text);
        raised.set(code, text);
        told.push({ code, text });
      },
      clear: (code: string) => {
        problems.push(undefined);
        told.push({ code });
        raised.delete(code);
      },
    }),
  };
  node
    .provide(NODE, { limits: () => limits, store: core.store, nowMs: Date.now, conditions } as unknown as NodeParts)
    .provide(HOST, { env: {} } as unknown as HostParts)
    .provide(CONNECTIONS, connections)
    .provide(OWN_TYPES, eventTypesOf(features))
    .provide(REFUSALS, core.refusals)
    .provide(ROW_CHECKS, eventFeature.verify === undefined ? [] : [eventFeature.verify])
    .provide(LOG, core.log);
  openLog(node, { lookMs: 20, againMs: 100 });
  node.provide(EVENT_FEED, new EventFeed(node.get(EVENT_LOG)));
  let leads: AbortController | undefined;
  const call = (name: string, input: Record<string, unknown>, who: Caller = ADMIN) => core.call(name, input, who);
  const made = {
    ...{ core, node, events, problems, told, raised, sockets, call },
    log: node.get(EVENT_LOG),
    /** This node leads from now on, after a change of leader. */
    lead: () => {
      leads?.abort();
      leads = new AbortController();
      node.get(MOVER).lead({ signal: leads.signal });
    },
    /** It leads no more, until `lead`. */
    rest: () => leads?.abort(),
    /** Types of own events that are published. */
    chooseOwn: (...types: string[]) => {
      const text = JSON.stringify({ ...DEFAULT_FLEET_SETTINGS, "events.own": types });
      core.store.transaction((tx) => writeMeta(tx, { fleet_settings: text }));
    },
    publish: async (who: string, event: Record<string, unknown>) =>
      (await call("event_publish", { space: "team-a", ...event }, sender(who))) as {
        id: string;
        cursor: string;
        duplicate: boolean;
        durability: string;
      },
    /** Begins a move, and waits for its end. */
    move: async (to: "fleet" | "jetstream") => {
      await call("event_log_move", { to, dry: false });
      await made.isIn(to);
    },
    isIn: (kind: "fleet" | "jetstream") =>
      eventually(
        `the log is in ${kind}`,
        async () => {
          const { log, move } = await call("event_log_get", {});
          return log === kind && move === undefined;
        },
        { seen: () => problems.slice(-3) },
      ),
    /** Returns the ids and offsets of all kept events, the oldest first. */
    all: async () => {
      const found: { id: string; offset: number }[] = [];
      for (let since = "oldest"; ; ) {
        const page = await call("event_list", { since, limit: 1000 }, sender("reader"));
        for (const event of page["events"] as { id: string; cairnposition: string }[])
          found.push({ id: event.id, offset: Number(event.cairnposition.split("-e")[1]) });
        if (page["more"] !== true) return found;
        since = page["cursor"] as string;
      }
    },
    async [Symbol.asyncDispose]() {
      leads?.abort();
      core.log.changes.end();
      await node.get(MOVABLE_LOG).close();
      await core[Symbol.asyncDispose]();
    },
  };
  return made;
}
