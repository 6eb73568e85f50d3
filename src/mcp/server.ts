// One SDK server for one caller: the handlers of all revisions over tools, resources, prompts and subscriptions. Made
// for each request of the modern revision and for each session of the older ones.

import {
  type HandlerResultTypeMap,
  type Prompt,
  type Resource,
  type ResourceTemplateType,
  Server,
  type ServerCapabilities,
  type ServerContext,
  type ServerOptions,
  type Tool,
} from "@modelcontextprotocol/server";
import type { Caller } from "../access/caller.ts";
import { Fault } from "../lib/fault.ts";
import { AGENT_META } from "../lib/mcp-names.ts";
import { tracedByMeta } from "../operation/call-span.ts";
import type { Invoker } from "../operation/invoke.ts";
import type { FeatureInstructions } from "../operation/mcp-parts.ts";
import type { Asking } from "./ask.ts";
import { asProtocolError } from "./errors.ts";
import { EVENT_CAPABILITIES, EVENT_METHODS, type EventParts, handleEvents } from "./events.ts";
import { instructionsFor } from "./instructions.ts";
import { onlyPage, pageOf } from "./page.ts";
import { notifyProgress } from "./progress.ts";
import type { Prompts } from "./prompts.ts";
import type { ResourceIndex } from "./resource-index.ts";
import type { Resources } from "./resources.ts";
import type { Subscriber, Subscriptions } from "./subscriptions.ts";
import type { Tools } from "./tools.ts";

/** What `--conformance` adds: the tools, resources and prompts that the official suite calls. */
export interface Fixtures {
  capabilities: ServerCapabilities;
  options: Pick<ServerOptions, "requestState">;
  tools: readonly Tool[];
  resources: readonly Resource[];
  templates: readonly ResourceTemplateType[];
  prompts: readonly Prompt[];
  call(
    name: string,
    input: Record<string, unknown>,
    context: ServerContext,
    caller: Caller,
  ): Promise<HandlerResultTypeMap["tools/call"]> | undefined;
  read(uri: string): HandlerResultTypeMap["resources/read"] | undefined;
  prompt(name: string, given: Record<string, string>, context: ServerContext): HandlerResultTypeMap["prompts/get"];
}

/** What the servers of one preset are made over. */
export interface Parts {
  invoker: Invoker;
  instructions: readonly FeatureInstructions[];
  /** Arguments of its tools that its URL may give. */
  urlArguments: readonly string[];
  version: string;
  tools: Tools;
  index: ResourceIndex;
  resources: Resources;
  prompts: Prompts;
  subscriptions: Subscriptions;
  /** Undefined: the preset has no events. */
  events?: EventParts | undefined;
  fixtures: Fixtures | undefined;
  /** Time between keep-alives of quiet streams and of waits, in ms. */
  keepAliveMs: number;
}

/** Returns the parts of the preset of a caller's connection. */
export type PartsOf = (caller: Caller) => Parts;

/** How long clients may cache what changes only with rights or with the build. Resources may change at any time. */
const CACHE = {
  "server/discover": { ttlMs: 60_000, cacheScope: "private" },
  "tools/list": { ttlMs: 60_000, cacheScope: "private" },
  "prompts/list": { ttlMs: 60_000, cacheScope: "private" },
  "resources/templates/list": { ttlMs: 3_600_000, cacheScope: "private" },
} as const;

const CAPABILITIES: ServerCapabilities = {
  tools: {},
  prompts: {},
  resources: { subscribe: true, listChanged: true },
  completions: {},
};

export interface ServerFor {
  /** The caller as it is known at the moment of a call. */
  caller: () => Caller;
  /** What its client said of itself, as `claimOfInfo` returns it; left out where no operation is called. */
  client?: string;
  /** The handle of the agent in the one request that it is made for; requests of a session have it themselves. */
  handle?: unknown;
  /** The agent of a session. */
  agent?: SessionAgent;
  /** The one method of a server that is made for one request; absent for sessions, which take all methods. */
  method?: string;
  /** The subscriber of an older session; modern requests listen on a stream of their own. */
  subscriber?: Subscriber;
  /** Called when that subscribed to a resource, or ended it. */
  onSubscribed?: (uri: string, isSubscribed: boolean) => void;
}

/** The agent as which the requests of a session act that show no handle. */
export interface SessionAgent {
  now(): Pick<Asking, "agentKey" | "onAgent">;
}

/** Methods whose result contains the instructions. */
const GREETINGS = new Set(["initialize", "server/discover"]);

/** Returns what clients see as the name and version of this server. */
export function serverInfoOf(version: string) {
  return { name: "cairn", title: "Cairn", version };
}

function greeting({ instructions, invoker, tools }: Parts, caller: Caller): string {
  return instructionsFor(instructions, caller, invoker.rights(caller), (operation) => tools.has(operation));
}

/** Returns a server to connect to one transport. */
export function buildServer(parts: Parts, served: ServerFor): Server {
  const { caller, method, subscriber, onSubscribed } = served;
  const { fixtures, events } = parts;
  const own = events === undefined ? CAPABILITIES : { ...CAPABILITIES, ...EVENT_CAPABILITIES };
  const greets = method === undefined || GREETINGS.has(method);
  const server = new Server(serverInfoOf(parts.version), {
    capabilities: fixtures === undefined ? own : { ...own, ...fixtures.capabilities },
    cacheHints: CACHE,
    ...(greets ? { instructions: greeting(parts, caller()) } : {}),
    ...fixtures?.options,
  });
  // A server for one request gets only the handler it needs: registering all costs more than the call itself.
  for (const [name, register] of HANDLERS) if (method === undefined || method === name) register(server, parts, served);
  const asked = EVENT_METHODS.filter((name) => method === undefined || method === name);
  if (events !== undefined) handleEvents(server, events, asked, (context) => askingOf(parts.invoker, served, context));
  if (subscriber !== undefined) handleSubscribe(server, parts, subscriber, onSubscribed);
  return server;
}

type Register = (server: Server, parts: Parts, served: ServerFor) => void;

const HANDLERS = new Map<string, Register>([
  [
    "tools/list",
    (server, { tools, fixtures }, served) =>
      server.setRequestHandler("tools/list", ({ params }) => {
        const { items, nextCursor } = page("tools/list", fixtures?.tools, tools.list(served.caller()), params?.cursor);
        return { tools: items, ...(nextCursor === undefined ? {} : { nextCursor }) };
      }),
  ],
  [
    "tools/call",
    (server, { tools, invoker, fixtures, keepAliveMs }, served) =>
      server.setRequestHandler("tools/call", ({ params }, context) => {
        const input = params.arguments ?? {};
        const fixture = fixtures?.call(params.name, input, context, served.caller());
        if (fixture !== undefined) return fixture;
        const answer = tools.call(askingOf(invoker, served, context), params.name, input);
        if (!tools.waits(params.name)) return answer;
        return answer.finally(notifyProgress(context, input, keepAliveMs));
      }),
  ],
  [
    "resources/list",
    (server, { resources, invoker, fixtures }, served) =>
      server.setRequestHandler("resources/list", async ({ params }, context) => {
        const page = await resources.list(askingOf(invoker, served, context), params?.cursor);
        if (fixtures === undefined || params?.cursor !== undefined) return page;
        return { ...page, resources: [...fixtures.resources, ...page.resources] };
      }),
  ],
  [
    "resources/templates/list",
    (server, { resources, fixtures }) =>
      server.setRequestHandler("resources/templates/list", ({ params }) => {
        refusing(() => onlyPage("resources/templates/list", params?.cursor));
        const { resourceTemplates } = resources.templates();
        return { resourceTemplates: [...(fixtures?.templates ?? []), ...resourceTemplates] };
      }),
  ],
  [
    "resources/read",
    (server, { resources, invoker, fixtures }, served) =>
      server.setRequestHandler(
        "resources/read",
        ({ params: { uri } }, context) =>
          fixtures?.read(uri) ?? resources.read(askingOf(invoker, served, context), uri),
      ),
  ],
  [
    "completion/complete",
    (server, { prompts, resources, invoker }, served) =>
      server.setRequestHandler("completion/complete", ({ params: { ref, argument, context: known } }, context) => {
        const asking = askingOf(invoker, served, context);
        if (ref.type === "ref/prompt") return prompts.complete(asking, ref.name, argument, known?.arguments ?? {});
        return resources.complete(asking, ref.uri, argument);
      }),
  ],
  [
    "prompts/list",
    (server, { prompts, fixtures }, served) =>
      server.setRequestHandler("prompts/list", ({ params }) => {
        const { items, nextCursor } = page(
          "prompts/list",
          fixtures?.prompts,
          prompts.list(served.caller()),
          params?.cursor,
        );
        return { prompts: items, ...(nextCursor === undefined ? {} : { nextCursor }) };
      }),
  ],
  [
    "prompts/get",
    (server, { prompts, invoker, fixtures }, served) =>
      server.setRequestHandler("prompts/get", ({ params: { name, arguments: given = {} } }, context) => {
        if (fixtures?.prompts.some((prompt) => prompt.name === name) === true)
          return fixtures.prompt(name, given, context);
        return prompts.get(askingOf(invoker, served, context), name, given);
      }),
  ],
]);

/** Returns a page of a list; in the conformance run with the fixtures among it. */
function page<Item extends { name: string }>(
  list: string,
  fixtures: readonly Item[] | undefined,
  own: Item[],
  cursor: string | undefined,
): { items: Item[]; nextCursor?: string } {
  const all = fixtures === undefined ? own : [...fixtures, ...own].sort((a, b) => (a.name < b.name ? -1 : 1));
  return refusing(() => pageOf(list, all, cursor));
}

function refusing<T>(body: () => T): T {
  try {
    return body();
  } catch (error) {
    throw asProtocolError(error);
  }
}

/** `resources/subscribe` and `unsubscribe` of the older revisions. */
function handleSubscribe(
  server: Server,
  { index, subscriptions, fixtures }: Parts,
  subscriber: Subscriber,
  onSubscribed: ServerFor["onSubscribed"],
): void {
  server.setRequestHandler("resources/subscribe", ({ params: { uri } }) => {
    try {
      if (subscriptions.mayRead(subscriber.caller(), uri)) {
        subscriptions.refuseFollow(uri);
        subscriber.watch(uri);
        onSubscribed?.(uri, true);
      } else if (fixtures?.resources.some((resource) => resource.uri === uri) !== true) throw notWatchable(index, uri);
      return {};
    } catch (error) {
      throw asProtocolError(error, uri);
    }
  });
  server.setRequestHandler("resources/unsubscribe", ({ params: { uri } }) => {
    subscriber.unwatch(uri);
    onSubscribed?.(uri, false);
    return {};
  });
}

function notWatchable(index: ResourceIndex, uri: string): Fault {
  const forms = index.kinds.map(
    ({ template: { scheme, variable }, resources: { name } }) => `${scheme}:/// and the ${variable} of a ${name}`,
  );
  return new Fault("forbidden", `${JSON.stringify(uri.slice(0, 300))} is no ${index.names()} that you may read`, {
    hint: `Subscribe to ${forms.join(", or ")} in one of your spaces; whoami lists them.`,
  });
}

function askingOf({ isTraced }: Invoker, served: ServerFor, { mcpReq, http }: ServerContext): Asking {
  const { caller, client = "", handle, agent } = served;
  const { signal, _meta: meta } = mcpReq;
  const shown = handle ?? meta?.[AGENT_META];
  const traced = tracedByMeta(isTraced, meta, http?.req?.headers);
  return { caller: caller(), client, signal, handle: shown, ...agent?.now(), ...traced };
}
