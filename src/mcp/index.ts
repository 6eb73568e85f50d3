// The MCP endpoint over the operations and manifests of a node: puts its parts together. The caller is proved, and Host
// and Origin are checked, before a request comes here.

import type { LogLine } from "../observe/logging.ts";
import type { Feature } from "../operation/feature.ts";
import type { Invoker } from "../operation/invoke.ts";
import { KEEP_ALIVE_MS } from "./bounds.ts";
import { conformanceFixtures } from "./conformance/index.ts";
import { Endpoint } from "./endpoint.ts";
import { Prompts } from "./prompts.ts";
import { ResourceIndex } from "./resource-index.ts";
import { Resources } from "./resources.ts";
import { Subscriptions } from "./subscriptions.ts";
import { Tools } from "./tools.ts";

export { MCP_ROUTE } from "./route.ts";

export interface McpOptions {
  invoker: Invoker;
  /** The features whose operations the invoker has. */
  features: readonly Feature[];
  /** Version of this build, as clients see it. */
  version: string;
  /** Adds what the official conformance suite calls. Loopback only. */
  conformance?: boolean;
  /** Where sessions are kept for the time after a restart; where it is left out they end with the endpoint. */
  sessionsFile?: string;
  /** Time between keep-alives of quiet streams and of waits, in ms; KEEP_ALIVE_MS unless a test says otherwise. */
  keepAliveMs?: number;
  log: LogLine;
}

/** What the listeners and the node use of the endpoint. */
export type Mcp = Pick<Endpoint, "fetch" | "callersChanged" | "close">;

/** Makes the endpoint `/mcp`; close it. */
export function createMcp({ invoker, features, version, log, ...options }: McpOptions): Mcp {
  const index = new ResourceIndex(features);
  const tools = new Tools(invoker);
  const endpoint: Endpoint = new Endpoint(
    {
      invoker,
      features,
      version,
      tools,
      index,
      resources: new Resources(invoker, index),
      prompts: new Prompts(invoker, tools, features),
      subscriptions: new Subscriptions(invoker, index, log),
      fixtures:
        options.conformance === true ? conformanceFixtures((event) => endpoint.listens.emitToAll(event)) : undefined,
      keepAliveMs: options.keepAliveMs ?? KEEP_ALIVE_MS,
    },
    log,
    options.sessionsFile,
  );
  return endpoint;
}
