// The MCP endpoint over the operations and manifests of a node: puts its parts together, once for each preset. The
// caller is proved, and Host and Origin are checked, before a request comes here.

import type { Tool } from "@modelcontextprotocol/server";
import type { Caller } from "../access/caller.ts";
import type { Rights } from "../access/rights.ts";
import type { LogLine } from "../observe/logging.ts";
import { operationsOf } from "../operation/derive.ts";
import type { Feature } from "../operation/feature.ts";
import type { Invoker } from "../operation/invoke.ts";
import { ALL, type Preset, presetsOf } from "../operation/presets.ts";
import { Registry } from "../operation/registry.ts";
import { KEEP_ALIVE_MS } from "./bounds.ts";
import { conformanceFixtures } from "./conformance/index.ts";
import { Endpoint } from "./endpoint.ts";
import { EventStreams } from "./event-streams.ts";
import type { EventParts } from "./events.ts";
import { instructionsFor } from "./instructions.ts";
import { presetProblem } from "./preset.ts";
import { PresetParts } from "./preset-parts.ts";
import { Prompts } from "./prompts.ts";
import { ResourceIndex } from "./resource-index.ts";
import { Resources } from "./resources.ts";
import type { Parts } from "./server.ts";
import { Subscriptions } from "./subscriptions.ts";
import { listedFor, type Offered, Tools, toolsIn } from "./tools.ts";

export { type Preset, presetsOf } from "../operation/presets.ts";
export { isMcpPath, MCP_ROUTE, mcpRoutes } from "./route.ts";

/** What a client gets from one preset when it connects. */
export interface PresetCost {
  preset: Preset;
  tools: readonly Tool[];
  instructions: string;
}

/** Returns what each preset of a build with these features gives a caller with these rights. */
export function presetCosts(features: readonly Feature[], caller: Caller, rights: Rights): PresetCost[] {
  const registry = new Registry(operationsOf(features));
  return presetsOf(features).map((preset) => ({
    preset,
    ...costOf(preset, toolsIn(registry, preset.has), caller, rights),
  }));
}

function costOf({ instructions: parts }: Preset, offered: readonly Offered[], caller: Caller, rights: Rights) {
  const names = new Set(offered.map(({ operation }) => operation.name));
  return {
    tools: listedFor(offered, rights),
    instructions: instructionsFor(parts, caller, rights, (operation) => names.has(operation)),
  };
}

/** Returns a function that finds what is wrong with the preset of a grant, for a build with these features. */
export function presetProblemOf(features: readonly Feature[]): (preset: string) => string | undefined {
  const known = presetsOf(features).map(({ name }) => name);
  return (preset) => presetProblem(preset, known);
}

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

/** Makes the endpoint `/mcp` with its presets; close it. */
export function createMcp(options: McpOptions): Mcp {
  const { invoker, version, keepAliveMs = KEEP_ALIVE_MS } = options;
  const streams = new EventStreams(invoker, keepAliveMs, options.log);
  const parts = presetsOf(options.features).map((preset): [string, () => Parts] => {
    const events = eventsOf(options, preset, streams);
    const make = () => {
      const fixtures =
        options.conformance === true && preset.name === ALL
          ? conformanceFixtures((event) => endpoint.listens.emitToAll(event))
          : undefined;
      return { ...partsOf(options, preset), events, fixtures };
    };
    return [preset.name, make];
  });
  const foreign = options.features.flatMap(({ foreignBody }) => (foreignBody === undefined ? [] : [foreignBody]));
  const endpoint: Endpoint = new Endpoint(new PresetParts(new Map(parts)), streams, options.log, {
    ...{ invoker, version, keepAliveMs, foreign },
    sessionsFile: options.sessionsFile,
  });
  return endpoint;
}

/** Returns the events of a preset that offers the parts of the feature which has them. */
function eventsOf({ invoker }: McpOptions, { features }: Preset, streams: EventStreams): EventParts | undefined {
  const [part, other] = features.flatMap(({ mcpEvents }) => mcpEvents ?? []);
  if (other !== undefined) throw new Error("two features have the events of MCP");
  return part === undefined ? undefined : { part, invoker, streams };
}

/** Returns what serves one preset. */
function partsOf(
  { invoker, features, version, log, ...options }: McpOptions,
  preset: Preset,
): Omit<Parts, "fixtures" | "events"> {
  const index = new ResourceIndex(preset.features, features);
  const tools = new Tools(invoker, preset.has, preset.instead);
  return {
    ...{ invoker, version, index, tools },
    instructions: preset.instructions,
    urlArguments: preset.urlArguments ?? [],
    resources: new Resources(invoker, index),
    prompts: new Prompts(invoker, tools, preset.features),
    subscriptions: new Subscriptions(invoker, index, log),
    keepAliveMs: options.keepAliveMs ?? KEEP_ALIVE_MS,
  };
}
