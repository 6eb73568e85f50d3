// `subscriptions/listen` of the modern revision: one long stream for each request, framed by the SDK and fed from the
// change feed through a Subscriber.

import { createMcpHandler, type ServerEvent, type ServerEventBus } from "@modelcontextprotocol/server";
import type { Caller } from "../access/caller.ts";
import { agentKeyOf } from "../lib/agent-key.ts";
import { sentenceOf } from "../lib/failed-result.ts";
import { Fault } from "../lib/fault.ts";
import type { LogLine } from "../observe/logging.ts";
import { refusal } from "./errors.ts";
import { type Flow, meterFlow } from "./flow.ts";
import { handleOf } from "./request.ts";
import { buildServer, type PartsOf } from "./server.ts";
import { MAX_WATCHED, type Subscriber } from "./subscriptions.ts";

/** The method that opens a stream. */
export const LISTEN = "subscriptions/listen";

/** Open streams of all callers; how many each may have is `limits.streams_per_caller`, over all surfaces. */
const MAX_OVERALL = 4096;

interface Listen {
  callerId: string;
  emit: (event: ServerEvent) => void;
  close: () => Promise<void>;
}

/** A `subscriptions/listen` request as far as it is read here; the SDK checks the rest. */
export interface ListenBody {
  id?: unknown;
  params?: { notifications?: { resourceSubscriptions?: unknown; resourcesListChanged?: unknown } };
}

/** The open streams of a node. */
export class Listens {
  readonly #partsOf: PartsOf;
  readonly #log: LogLine;
  readonly #open = new Set<Listen>();

  constructor(partsOf: PartsOf, log: LogLine) {
    this.#partsOf = partsOf;
    this.#log = log;
  }

  /** Number of open streams. */
  get size(): number {
    return this.#open.size;
  }

  /** Responds with the stream, or with a JSON-RPC error. */
  async open(request: Request, body: ListenBody, caller: Caller): Promise<Response> {
    if (this.#open.size >= MAX_OVERALL) {
      return refusal(body, 200, 429, `This node has ${MAX_OVERALL} streams open, which is its bound; try again later`);
    }
    const agentKey = agentKeyIn(body);
    if (agentKey instanceof Fault) return refusal(body, 200, -32602, sentenceOf(agentKey));
    const asked = readable(body.params?.notifications?.resourceSubscriptions, (uri) => this.#mayAskFor(caller, uri));
    if (asked.length > MAX_WATCHED) {
      return refusal(
        body,
        200,
        -32602,
        `${asked.length} resourceSubscriptions, and ${MAX_WATCHED} are allowed; split them over several streams`,
      );
    }
    const parts = this.#partsOf(caller);
    let release: () => void;
    try {
      release = parts.invoker.holdStream(caller);
    } catch (error) {
      if (error instanceof Fault) return refusal(body, 200, 429, sentenceOf(error));
      throw error;
    }
    let flow: Flow | undefined;
    const bus = new OneListener();
    const subscriber = parts.subscriptions.open({
      caller: () => caller,
      agentKey: () => agentKey,
      free: () => flow?.idle() === true,
      updated: (uri) => emit({ kind: "resource_updated", uri }),
      listChanged: () => emit({ kind: "resources_list_changed" }),
    });
    const emit = (event: ServerEvent) => {
      flow?.wrote();
      bus.publish(event);
    };
    const handler = createMcpHandler(() => buildServer(parts, { caller: () => caller, method: LISTEN }), {
      legacy: "reject",
      bus,
      keepAliveMs: parts.keepAliveMs,
      onerror: (error) => this.#log("debug", `MCP listen: ${error.message}`),
    });
    const listen: Listen = { callerId: caller.id, emit, close: () => handler.close() };
    const forget = () => {
      if (!this.#open.delete(listen)) return;
      release();
      subscriber.close();
    };
    bus.onEnd = forget;
    this.#open.add(listen);
    const response = await handler.fetch(request, { parsedBody: honoured(body, asked) });
    if (!bus.listening || response.body === null) {
      forget();
      return response;
    }
    watch(subscriber, body, asked);
    flow = meterFlow(response.body, () => subscriber.flush(), forget);
    return new Response(flow.body, { status: response.status, headers: response.headers });
  }

  /** For the conformance fixtures: sends an event on every stream that asked for its kind. */
  emitToAll(event: ServerEvent): void {
    for (const listen of this.#open) listen.emit(event);
  }

  /** Ends the streams of these callers, or all, with the result that makes clients listen again. */
  async end(callerIds?: ReadonlySet<string>): Promise<void> {
    const ending = [...this.#open].filter((listen) => callerIds === undefined || callerIds.has(listen.callerId));
    await Promise.all(ending.map((listen) => listen.close()));
  }

  #mayAskFor(caller: Caller, uri: string): boolean {
    const { subscriptions, fixtures } = this.#partsOf(caller);
    return subscriptions.mayWatch(caller, uri) || fixtures?.resources.some((one) => one.uri === uri) === true;
  }
}

/** Returns the key of the agent as which a client listens, or the Fault of a handle that is none. */
function agentKeyIn(body: ListenBody): string | Fault | undefined {
  const handle = handleOf(body);
  try {
    return handle === undefined || handle === null ? undefined : agentKeyOf(handle);
  } catch (error) {
    if (error instanceof Fault) return error;
    throw error;
  }
}

function watch(subscriber: Subscriber, body: ListenBody, uris: readonly string[]): void {
  for (const uri of uris) subscriber.watch(uri);
  subscriber.wantsList = body.params?.notifications?.resourcesListChanged === true;
}

/** Returns the URIs that the caller may watch; the acknowledgement names these and no others. */
function readable(asked: unknown, mayAskFor: (uri: string) => boolean): string[] {
  if (!Array.isArray(asked)) return [];
  const uris = new Set(asked.filter((uri): uri is string => typeof uri === "string"));
  return [...uris].filter(mayAskFor);
}

/** Returns the request with the URIs that are honoured in place of those asked for; the SDK refuses what is no list. */
function honoured(body: ListenBody, uris: readonly string[]): ListenBody {
  const notifications = body.params?.notifications;
  if (!Array.isArray(notifications?.resourceSubscriptions)) return body;
  return { ...body, params: { ...body.params, notifications: { ...notifications, resourceSubscriptions: uris } } };
}

/** The bus of one stream: the SDK subscribes once, and unsubscribes when the stream ends. */
class OneListener implements ServerEventBus {
  onEnd: () => void = () => {};
  #listener: ((event: ServerEvent) => void) | undefined;

  get listening(): boolean {
    return this.#listener !== undefined;
  }

  publish(event: ServerEvent): void {
    this.#listener?.(event);
  }

  subscribe(listener: (event: ServerEvent) => void): () => void {
    this.#listener = listener;
    return () => {
      this.#listener = undefined;
      this.onEnd();
    };
  }
}
