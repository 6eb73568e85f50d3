// Opens what a node serves to callers over its invoker: REST, MCP and pages.

import { join } from "node:path";
import type { Access } from "../access/access.ts";
import { createApi } from "../api/index.ts";
import { buildInfo } from "../config/build-info.ts";
import type { Settings } from "../config/settings.ts";
import { isCandidate, type Members } from "../fleet/index.ts";
import { logUnexpected } from "../lib/unexpected.ts";
import type { Log } from "../log/log.ts";
import { createMcp, MCP_ROUTE } from "../mcp/index.ts";
import type { Membership, OwnNode } from "../membership/index.ts";
import type { Conditions } from "../observe/conditions.ts";
import { logFor } from "../observe/logging.ts";
import type { Metrics } from "../observe/metrics.ts";
import type { Feature } from "../operation/feature.ts";
import type { Invoker } from "../operation/invoke.ts";
import type { Routing } from "../operation/routing.ts";
import type { Store } from "../store/store.ts";
import { createWeb } from "../web/index.ts";
import type { Surfaces } from "./listeners/listen.ts";
import type { NodeState } from "./node-state.ts";

/** Where each surface is, for /.well-known/cairn. */
const PATHS = { rest: "/openapi.json", changes: "/changes", mcp: MCP_ROUTE.path, pages: "/" };

export interface OpenSurfacesOptions {
  settings: Settings & { readonly data: string };
  features: readonly Feature[];
  invoker: Invoker;
  access: Access;
  store: Store;
  log: Log;
  members: Members;
  membership: Membership;
  node: OwnNode;
  state: NodeState;
  routing: Pick<Routing, "mode">;
  conditions: Conditions;
  metrics: Metrics;
  /** Adds the fixtures of the official MCP suite. */
  conformance: boolean;
  nowMs: () => number;
}

/** The file of the data folder that keeps MCP sessions for the time after a restart. */
const MCP_SESSIONS = "mcp-sessions.jsonl";

/** The surfaces, and what has to be done to all of them. */
export interface OpenSurfaces extends Surfaces {
  /** The rights of these callers, or of all, may have changed. */
  callersChanged(ids?: readonly string[]): void;
  /** Returns the open streams of the API by kind. */
  connections(): Readonly<Record<string, number>>;
  /** Ends open streams and the feed. Resolves when MCP clients have received the reason. */
  close(): Promise<void>;
}

/** Opens them. */
export function openSurfaces(options: OpenSurfacesOptions): OpenSurfaces {
  const { invoker, features, state, nowMs } = options;
  const { version } = buildInfo;
  const api = openApi(options);
  const mcp = createMcp({
    invoker,
    features,
    version,
    conformance: options.conformance,
    sessionsFile: join(options.settings.data, MCP_SESSIONS),
    log: logFor("mcp"),
  });
  const web = createWeb({
    invoker,
    features,
    version,
    secureUrl: () => state.urls().find((url) => url.startsWith("https://")),
    nowMs,
    onUnexpected: (error) => logUnexpected(logFor("web"), "a page", error),
  });
  return {
    api,
    mcp,
    web,
    connections: () => api.connections(),
    callersChanged: (ids) => {
      for (const surface of [api, mcp, web]) surface.callersChanged(ids);
    },
    close: async () => {
      // Streams of the API send their clients the reason why they end, so they end before the feed does.
      api.close();
      options.log.changes.end();
      web.close();
      await mcp.close();
    },
  };
}

function openApi(options: OpenSurfacesOptions): ReturnType<typeof createApi> {
  const { settings, invoker, access, store, members, membership, node, state, routing, conditions, metrics } = options;
  return createApi({
    invoker,
    features: options.features,
    version: buildInfo.version,
    health: (reads) => ({
      // A member that has not received its fleet's store yet takes no calls.
      ready: state.acceptsRequests() && routing.mode() !== "waiting",
      status: conditions.overall(),
      conditions: conditions.list(reads),
    }),
    identity: () => ({ ...membership.about({ settings, store }), surfaces: PATHS }),
    isCandidate: (caller) =>
      isCandidate(caller, node.tags(), access.joinRoles(caller)) || members.get(caller.id) !== undefined,
    metrics: () => metrics.text(),
    nowMs: options.nowMs,
    bounds: { streams: settings["limits.streams"], socketEvents: settings["limits.socket_events"] },
    onUnexpected: (error) => logUnexpected(logFor("api"), "a request", error),
  });
}
