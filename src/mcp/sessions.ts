// Sessions of the older revisions: `initialize` opens one, it belongs to the caller that opened it, and it ends by
// DELETE, idle time, a bound, or changed rights.

import {
  isInitializeRequest,
  type Server,
  WebStandardStreamableHTTPServerTransport,
} from "@modelcontextprotocol/server";
import type { Caller } from "../access/caller.ts";
import { faultBody } from "../lib/failed-result.ts";
import { Fault } from "../lib/fault.ts";
import { isObject } from "../lib/json-object.ts";
import { STATELESS_REVISION } from "../lib/mcp-names.ts";
import type { LogLine } from "../observe/logging.ts";
import { MAX_BODY_BYTES, ownerOf, PerOwner } from "./bounds.ts";
import { httpError } from "./errors.ts";
import { RecentEvents } from "./event-store.ts";
import { type Flow, meterFlow, OPENED } from "./flow.ts";
import { buildServer, type Parts } from "./server.ts";
import type { Subscriber } from "./subscriptions.ts";

/** What `initialize` must have, with an example of each. */
const INITIALIZE = {
  protocolVersion: "2025-11-25",
  capabilities: {},
  clientInfo: { name: "my-client", version: "1.0" },
};

export interface SessionLimits {
  perCaller: number;
  overall: number;
  /** A session is closed after this time without a request or an open stream, in ms. */
  idleMs: number;
}

const SESSION_LIMITS: SessionLimits = { perCaller: 64, overall: 4096, idleMs: 12 * 3_600_000 };
const SWEEP_MS = 10 * 60_000;
/** How long clients wait before they open a broken stream again, in ms. */
const RETRY_MS = 1000;

interface Session {
  id: string;
  owner: string;
  /** The caller that owns it, as its last request showed it. */
  caller: Caller;
  transport: WebStandardStreamableHTTPServerTransport;
  subscriber: Subscriber;
  /** The open GET stream. */
  flow: Flow | undefined;
  usedMs: number;
}

/** The open sessions of a node. */
export class Sessions {
  readonly #parts: Parts;
  readonly #log: LogLine;
  readonly #limits: SessionLimits;
  readonly #nowMs: () => number;
  readonly #open = new Map<string, Session>();
  readonly #owners = new PerOwner();
  readonly #sweep: ReturnType<typeof setInterval>;

  constructor(parts: Parts, log: LogLine, limits = SESSION_LIMITS, nowMs: () => number = Date.now) {
    this.#parts = parts;
    this.#log = log;
    this.#limits = limits;
    this.#nowMs = nowMs;
    this.#sweep = setInterval(() => this.closeIdle(), SWEEP_MS);
    this.#sweep.unref();
  }

  /** Number of open sessions. */
  get size(): number {
    return this.#open.size;
  }

  /** Responds to a request of an older revision; `body` is undefined for GET and DELETE. */
  async handle(request: Request, body: unknown, caller: Caller): Promise<Response> {
    const id = request.headers.get("mcp-session-id");
    const session = id === null ? undefined : this.#take(id, caller);
    // One that is not open any more is left out: `initialize` can only mean that a new one is wanted.
    if (session === undefined && isObject(body) && body["method"] === "initialize") {
      const refusal = refuseInitialize(body);
      return refusal ?? this.#begin(request, body, caller);
    }
    if (id === null) {
      return httpError(
        400,
        -32000,
        `Mcp-Session-Id is missing: send initialize first, or use the ${STATELESS_REVISION} revision, ` +
          "which needs no session",
      );
    }
    if (session === undefined) {
      return httpError(404, -32001, "Session not found: send initialize without Mcp-Session-Id to open a new one");
    }
    if (request.method === "GET") return this.#openStream(session, request);
    return session.transport.handleRequest(request, body === undefined ? {} : { parsedBody: body });
  }

  /** Marks the caller's session of a request as used and returns its id; undefined where there is none. */
  use(request: Request, caller: Caller): string | undefined {
    const id = request.headers.get("mcp-session-id");
    return id === null ? undefined : this.#take(id, caller)?.id;
  }

  /** Returns a session of this caller. Sessions of other owners do not exist for it (security.md 5). */
  #take(id: string, caller: Caller): Session | undefined {
    const session = this.#open.get(id);
    if (session === undefined || (session.caller !== caller && session.owner !== ownerOf(caller))) return undefined;
    session.caller = caller;
    session.usedMs = this.#nowMs();
    return session;
  }

  /** Ends the sessions of these callers, or all. Their clients get 404 and initialize again, under their new rights. */
  async end(callerIds?: ReadonlySet<string>): Promise<void> {
    const ending = [...this.#open.values()].filter(
      (session) => callerIds === undefined || callerIds.has(session.caller.id),
    );
    await Promise.all(ending.map((session) => session.transport.close()));
  }

  /** Closes the streams of notifications; calls go on. */
  endStreams(): void {
    for (const session of this.#open.values()) session.transport.closeStandaloneSSEStream();
  }

  async close(): Promise<void> {
    clearInterval(this.#sweep);
    await this.end();
  }

  /** Closes sessions that were not used for too long. */
  closeIdle(): void {
    const before = this.#nowMs() - this.#limits.idleMs;
    for (const session of [...this.#open.values()]) {
      if (session.flow === undefined && session.usedMs < before) this.#discard(session, "idle");
    }
  }

  async #begin(request: Request, body: unknown, caller: Caller): Promise<Response> {
    const owner = ownerOf(caller);
    this.#makeRoom(owner);
    const transport = new WebStandardStreamableHTTPServerTransport({
      sessionIdGenerator: () => crypto.randomUUID(),
      eventStore: new RecentEvents(),
      keepAliveMs: this.#parts.keepAliveMs,
      retryInterval: RETRY_MS,
      maxRequestBodySize: MAX_BODY_BYTES,
      onsessioninitialized: (id) => {
        session.id = id;
        this.#open.set(id, session);
        this.#owners.add(owner);
      },
    });
    let server: Server | undefined;
    const subscriber = this.#parts.subscriptions.open({
      caller: () => session.caller,
      free: () => session.flow?.idle() === true,
      updated: (uri) => this.#notify(session, server?.sendResourceUpdated({ uri })),
      listChanged: () => this.#notify(session, server?.sendResourceListChanged()),
    });
    subscriber.wantsList = true;
    const session: Session = { id: "", owner, caller, transport, subscriber, flow: undefined, usedMs: this.#nowMs() };
    server = buildServer(this.#parts, { caller: () => session.caller, subscriber });
    server.onclose = () => this.#forget(session);
    server.onerror = (error) => this.#log("debug", `MCP session: ${error.message}`);
    await server.connect(transport);
    const response = await transport.handleRequest(request, { parsedBody: body });
    if (session.id === "") await transport.close();
    return response;
  }

  /**
   * Opens the GET stream of notifications, which counts as one of the caller's streams; without one, notifications wait
   * in the subscriber.
   */
  async #openStream(session: Session, request: Request): Promise<Response> {
    let release: () => void;
    try {
      release = this.#parts.invoker.holdStream(session.caller);
    } catch (error) {
      if (error instanceof Fault) return httpError(429, 429, error.message, faultBody(error));
      throw error;
    }
    const response = await session.transport.handleRequest(request, {});
    if (response.status !== 200 || response.body === null) {
      release();
      return response;
    }
    const flow = meterFlow(
      response.body,
      () => session.subscriber.flush(),
      () => {
        release();
        if (session.flow === flow) session.flow = undefined;
        session.usedMs = this.#nowMs();
      },
      OPENED,
    );
    session.flow = flow;
    return new Response(flow.body, { status: response.status, headers: response.headers });
  }

  #notify(session: Session, sending: Promise<void> | undefined): void {
    session.flow?.wrote();
    sending?.catch((error: unknown) => this.#log("debug", `MCP notification was not sent: ${String(error)}`));
  }

  /** At the bound of an owner closes its oldest session; at the overall bound one of the owner with most sessions. */
  #makeRoom(owner: string): void {
    let from: string | undefined;
    if (this.#owners.count(owner) >= this.#limits.perCaller) from = owner;
    else if (this.#open.size >= this.#limits.overall) from = this.#owners.greatest();
    if (from === undefined) return;
    const theirs = [...this.#open.values()].filter((session) => session.owner === from);
    theirs.sort((a, b) => Number(a.flow !== undefined) - Number(b.flow !== undefined) || a.usedMs - b.usedMs);
    if (theirs[0] !== undefined) this.#discard(theirs[0], "bound");
  }

  #discard(session: Session, reason: string): void {
    this.#log("debug", `MCP session ended: ${reason}`);
    session.transport.close().catch((error: unknown) => this.#log("debug", `MCP session: ${String(error)}`));
  }

  #forget(session: Session): void {
    session.subscriber.close();
    if (this.#open.delete(session.id)) this.#owners.remove(session.owner);
  }
}

/** Returns the refusal of an `initialize` that lacks something, in words; undefined for one that is complete. */
function refuseInitialize(body: Record<string, unknown>): Response | undefined {
  if (isInitializeRequest(body)) return undefined;
  const params = isObject(body["params"]) ? body["params"] : {};
  const missing = Object.keys(INITIALIZE).filter((name) => params[name] === undefined);
  const what = missing.length === 0 ? "is not as the protocol has it" : `lacks params.${missing.join(", params.")}`;
  const example = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "initialize", params: INITIALIZE });
  const message = `initialize ${what}. For example: ${example}`;
  const id = typeof body["id"] === "string" || typeof body["id"] === "number" ? body["id"] : null;
  return Response.json({ jsonrpc: "2.0", id, error: { code: -32602, message } }, { status: 400 });
}
