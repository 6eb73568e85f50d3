// The wire of one session of the older revisions: messages in POSTs to the SDK's server, and its messages to the stream
// that each belongs to. Which streams are open, how a call ends with its connection, and what a client that comes back
// gets. Messages are checked and answered by the SDK.

import {
  DEFAULT_NEGOTIATED_PROTOCOL_VERSION,
  isInitializeRequest,
  isJSONRPCErrorResponse,
  isJSONRPCNotification,
  isJSONRPCRequest,
  isJSONRPCResultResponse,
  type JSONRPCMessage,
  type JSONRPCRequest,
  type MessageExtraInfo,
  parseJSONRPCMessage,
  type RequestId,
  SUPPORTED_PROTOCOL_VERSIONS,
  type Transport,
  type TransportSendOptions,
} from "@modelcontextprotocol/server";
import { isObject } from "../lib/json-object.ts";
import { httpError } from "./errors.ts";
import { NOTICES, nameOf, type Place, RecentEvents, requestsOf } from "./event-store.ts";
import { Exchange, RETRY_MS } from "./exchange.ts";
import { MessageStream } from "./message-stream.ts";

/** Most messages of one batch. */
const MAX_BATCH = 100;
/** Open streams of notifications of one session: the newest is used, and the one before while it may still be alive. */
const MAX_STREAMS = 2;
/** From this revision on clients know events without a message. */
const PRIMES_SINCE = "2025-11-25";
/** How long clients wait before they come back to a node that stops, in ms: they try twice. */
const RESTART_MS = 5000;
const EVENTS = "text/event-stream";

export interface SessionTransportOptions {
  sessionId: string;
  keepAliveMs: number;
  /** Reports whether a request waits for something to happen; such a call ends with its connection. */
  waits: (request: JSONRPCRequest) => boolean;
  /** Called each time the client has taken all notifications. */
  onIdle: () => void;
}

/** What a GET asks for. */
export interface Resumption {
  /** After which it goes on. */
  place: Place | undefined;
  /** It is the rest of a response; otherwise notifications. */
  isOfCall: boolean;
}

/** The transport of one session. */
export class SessionTransport implements Transport {
  readonly sessionId: string;
  onclose?: (() => void) | undefined;
  onerror?: ((error: Error) => void) | undefined;
  onmessage?: (<T extends JSONRPCMessage>(message: T, extra?: MessageExtraInfo) => void) | undefined;
  readonly #options: SessionTransportOptions;
  readonly #events = new RecentEvents();
  /** The exchange of each request that has no response yet. */
  readonly #exchanges = new Map<RequestId, Exchange>();
  /** Open streams of notifications, the newest last. */
  readonly #notices: MessageStream[] = [];
  #version = DEFAULT_NEGOTIATED_PROTOCOL_VERSION;
  #initialized = false;
  /** A notification was written since a client last said where it is. */
  #hasWritten = false;
  #closed = false;

  constructor(options: SessionTransportOptions) {
    this.#options = options;
    this.sessionId = options.sessionId;
  }

  async start(): Promise<void> {}

  setProtocolVersion(version: string): void {
    this.#version = version;
  }

  /** Number of open streams of notifications. */
  get streams(): number {
    return this.#notices.length;
  }

  /** Reports whether the newest stream of notifications has taken everything. */
  get idle(): boolean {
    return this.#notices.at(-1)?.idle === true;
  }

  /** Sends a message of the server: a response or what belongs to a request to its exchange, all else to the stream. */
  async send(message: JSONRPCMessage, { relatedRequestId }: TransportSendOptions = {}): Promise<void> {
    const responds = isJSONRPCResultResponse(message) || isJSONRPCErrorResponse(message);
    const id = responds ? message.id : relatedRequestId;
    if (id === undefined) {
      if (!responds) this.#notify(message);
      return;
    }
    // One that was cancelled meanwhile has none.
    const exchange = this.#exchanges.get(id);
    if (!responds) return exchange?.send(message);
    this.#exchanges.delete(id);
    exchange?.answer(id, message);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const exchange of new Set(this.#exchanges.values())) exchange.abandon();
    this.#exchanges.clear();
    for (const stream of [...this.#notices]) stream.close();
    this.onclose?.();
  }

  /** Responds to a POST. */
  async post(request: Request, body: unknown): Promise<Response> {
    const accept = request.headers.get("accept") ?? "";
    if (!accept.includes("application/json") || !accept.includes(EVENTS)) {
      return httpError(406, -32000, `Accept is ${quoted(accept)}; a POST to /mcp needs application/json, ${EVENTS}`);
    }
    const messages = messagesOf(body);
    if (messages instanceof Response) return messages;
    const begins = messages.some((message) => isInitializeRequest(message));
    if (begins && (this.#initialized || messages.length > 1)) {
      const why = this.#initialized ? "Server already initialized" : "Only one initialization request is allowed";
      return httpError(400, -32600, `Invalid Request: ${why}`);
    }
    return (begins ? undefined : refuseVersion(request)) ?? this.#take(messages, Array.isArray(body), request);
  }

  /** Does what `initialize` did when the session was opened by an earlier run of the node. */
  async revive(params: Record<string, unknown>): Promise<void> {
    const initialize = { jsonrpc: "2.0", id: "cairn-revive", method: "initialize", params } as const;
    await this.#take([initialize, { jsonrpc: "2.0", method: "notifications/initialized" }], false);
  }

  /** Returns the refusal of a GET, or where its client wants to go on. */
  resumption(request: Request): Response | Resumption {
    const accept = request.headers.get("accept") ?? "";
    if (!accept.includes(EVENTS)) {
      return httpError(406, -32000, `Accept is ${quoted(accept)}; a GET of /mcp needs ${EVENTS}`);
    }
    const refused = refuseVersion(request);
    if (refused !== undefined) return refused;
    const lastEventId = request.headers.get("last-event-id") ?? "";
    if (lastEventId === "") return { place: undefined, isOfCall: false };
    const place = this.#events.place(lastEventId);
    if (place !== undefined) return { place, isOfCall: place.stream !== NOTICES };
    return httpError(
      400,
      -32000,
      `Last-Event-ID ${quoted(lastEventId)} is no event of this server: open the stream without it, then read again what you watch`,
    );
  }

  /**
   * Opens a stream: of notifications, or with the rest of a response that the place belongs to. `onEnd` is called when
   * it ends. `onMissed` is called where notifications may be lost: they were written to a connection that was dead, or
   * the place is not known any more.
   */
  open({ place, isOfCall }: Resumption, onEnd: () => void, onMissed: () => void): Response {
    if (place === undefined || !isOfCall) return this.#openNotices(place, onEnd, onMissed);
    const running = requestsOf(place.stream).flatMap((id) => this.#exchanges.get(id) ?? []);
    if (place.isOurs && !place.isLast && running[0] !== undefined) return running[0].resume(place, onEnd);
    return this.#rest(place, onEnd);
  }

  /** Ends the oldest stream of notifications; reports whether there was one. */
  endOldest(): boolean {
    const oldest = this.#notices[0];
    oldest?.drop();
    return oldest !== undefined;
  }

  /** Ends the streams of notifications of a node that stops; calls go on. */
  endStreams(): void {
    for (const stream of [...this.#notices]) {
      if (primes(this.#version)) stream.place(undefined, RESTART_MS);
      stream.close();
    }
  }

  #take(messages: readonly JSONRPCMessage[], isBatch: boolean, request?: Request): Promise<Response> | Response {
    if (this.#closed) return httpError(404, -32001, "Session not found");
    const requests = messages.filter((message) => isJSONRPCRequest(message));
    if (requests.some((message) => isInitializeRequest(message))) this.#initialized = true;
    const exchange = requests.length === 0 ? undefined : this.#exchange(requests, isBatch, request);
    for (const message of messages) this.#receive(message, exchange, request);
    return exchange?.response ?? new Response(null, { status: 202 });
  }

  #receive(message: JSONRPCMessage, exchange: Exchange | undefined, request: Request | undefined): void {
    const closeSSEStream = exchange === undefined ? {} : { closeSSEStream: () => exchange.detach() };
    this.onmessage?.(message, { ...(request === undefined ? {} : { request }), ...closeSSEStream });
    if (isJSONRPCNotification(message) && message.method === "notifications/cancelled") {
      // The SDK sends no response to what was cancelled.
      const id = message.params?.["requestId"];
      if (typeof id === "string" || typeof id === "number") this.#drop(id);
    }
  }

  #drop(id: RequestId): void {
    const exchange = this.#exchanges.get(id);
    this.#exchanges.delete(id);
    exchange?.drop(id);
  }

  #exchange(requests: readonly JSONRPCRequest[], isBatch: boolean, request: Request | undefined): Exchange {
    const ids = requests.map(({ id }) => id);
    const waiting = requests.filter((one) => this.#options.waits(one));
    const endsWithConnection = waiting.length === requests.length;
    const name = endsWithConnection ? undefined : nameOf(ids);
    const { sessionId, keepAliveMs } = this.#options;
    const exchange: Exchange = new Exchange(
      {
        sessionId,
        ids,
        keepAliveMs,
        kept: name === undefined ? undefined : { events: this.#events, name },
        primes: primes(request?.headers.get("mcp-protocol-version") ?? this.#version),
        isLong: waiting.length > 0,
        onGone: () => {
          if (endsWithConnection) this.#cancel(ids, exchange);
        },
      },
      isBatch,
    );
    for (const id of ids) {
      // An id that is used twice: the earlier request cannot be distinguished from the later one any more.
      this.#drop(id);
      this.#exchanges.set(id, exchange);
    }
    request?.signal.addEventListener("abort", () => exchange.gone(), { once: true });
    return exchange;
  }

  /** Cancels calls that wait, whose client went away. */
  #cancel(ids: readonly RequestId[], exchange: Exchange): void {
    for (const requestId of ids) {
      if (this.#exchanges.get(requestId) !== exchange) continue;
      const params = { requestId, reason: "the client disconnected" };
      this.#receive({ jsonrpc: "2.0", method: "notifications/cancelled", params }, undefined, undefined);
    }
  }

  #notify(message: JSONRPCMessage): void {
    const id = this.#events.keep(NOTICES, message);
    this.#hasWritten = true;
    this.#notices.at(-1)?.message(message, id);
  }

  #openNotices(place: Place | undefined, onEnd: () => void, onMissed: () => void): Response {
    // The owner of a connection that died opens another one before the node learns of it.
    if (this.#notices.length >= MAX_STREAMS) this.endOldest();
    const stream = new MessageStream({
      keepAliveMs: this.#options.keepAliveMs,
      onIdle: this.#options.onIdle,
      onEnd: () => {
        this.#notices.splice(this.#notices.indexOf(stream), 1);
        onEnd();
      },
    });
    this.#notices.push(stream);
    if (primes(this.#version)) stream.place(this.#events.mark(NOTICES), RETRY_MS);
    if (place === undefined ? this.#hasWritten : !place.isWhole) onMissed();
    else if (place !== undefined) for (const { id, message } of this.#events.after(place)) stream.message(message, id);
    return stream.response(this.sessionId);
  }

  /** Responds with what is kept of a response that was sent; where that is not all, with what to do. */
  #rest(place: Place, onEnd: () => void): Response {
    const stream = new MessageStream({ keepAliveMs: this.#options.keepAliveMs, onEnd });
    const kept = this.#events.after(place);
    for (const { id, message } of kept) stream.message(message, id);
    const has = kept.flatMap(({ message }) => ("id" in message && !("method" in message) ? [message.id] : []));
    for (const id of place.isLast ? [] : requestsOf(place.stream)) {
      if (has.includes(id)) continue;
      const message =
        "The response to this call is not kept any more: call it again, and a write with its idempotency_key";
      stream.message({ jsonrpc: "2.0", id, error: { code: 503, message, data: { retryable: true } } });
    }
    stream.close();
    return stream.response(this.sessionId);
  }
}

/** Returns the messages of a body, or its refusal. */
function messagesOf(body: unknown): JSONRPCMessage[] | Response {
  const given: unknown[] = Array.isArray(body) ? body : [body];
  if (given.length > MAX_BATCH) {
    return httpError(400, -32600, `The batch has ${given.length} messages, and ${MAX_BATCH} are allowed; split it`);
  }
  try {
    return given.map((message) => parseJSONRPCMessage(message));
  } catch {
    const found = given.find((message) => !isObject(message) || message["jsonrpc"] !== "2.0") ?? given[0];
    return httpError(400, -32700, `Parse error: ${quoted(JSON.stringify(found) ?? "")} is no JSON-RPC 2.0 message`);
  }
}

function refuseVersion(request: Request): Response | undefined {
  const version = request.headers.get("mcp-protocol-version");
  if (version === null || SUPPORTED_PROTOCOL_VERSIONS.includes(version)) return undefined;
  const known = SUPPORTED_PROTOCOL_VERSIONS.join(", ");
  return httpError(400, -32000, `Bad Request: Unsupported protocol version: ${version} (supported versions: ${known})`);
}

function primes(version: string): boolean {
  return SUPPORTED_PROTOCOL_VERSIONS.includes(version) && version >= PRIMES_SINCE;
}

function quoted(text: string): string {
  return JSON.stringify(text.slice(0, 80));
}
