// Sessions of the older revisions: `initialize` opens one, it belongs to the caller that opened it, and it ends by
// DELETE, idle time, a bound, or changed rights. After a restart of the node its client goes on with it.

import { isInitializeRequest, type JSONRPCRequest } from "@modelcontextprotocol/server";
import type { Caller } from "../access/caller.ts";
import { claimOfInfo } from "../lib/client-claim.ts";
import { faultBody } from "../lib/failed-result.ts";
import { Fault } from "../lib/fault.ts";
import { isObject } from "../lib/json-object.ts";
import { STATELESS_REVISION } from "../lib/mcp-names.ts";
import type { LogLine } from "../observe/logging.ts";
import type { Asking } from "./ask.ts";
import { ownerOf } from "./bounds.ts";
import { httpError, refusal } from "./errors.ts";
import { type KeptSession, KeptSessions } from "./kept-sessions.ts";
import { connectionOf } from "./preset.ts";
import { toolOf } from "./request.ts";
import { buildServer, type PartsOf } from "./server.ts";
import { SessionTransport } from "./session-transport.ts";
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

/** A session that was used since the node started. */
interface Session {
  kept: KeptSession;
  /** The caller that owns it, as its last request showed it. */
  caller: Caller;
  transport: SessionTransport;
  subscriber: Subscriber;
  /** Resolves when its server takes messages. */
  ready: Promise<void>;
}

/** A session as calls past the SDK need it. */
export interface UsedSession extends Pick<Asking, "client" | "agentKey" | "onAgent"> {
  id: string;
}

export interface SessionsOptions {
  limits?: SessionLimits;
  nowMs?: () => number;
  /** Where sessions are kept for the time after a restart; they end with the node where it is left out. */
  file?: string | undefined;
}

/** The sessions of a node. */
export class Sessions {
  readonly #partsOf: PartsOf;
  readonly #log: LogLine;
  readonly #limits: SessionLimits;
  readonly #nowMs: () => number;
  readonly #kept: KeptSessions;
  readonly #open = new Map<string, Session>();
  readonly #sweep: ReturnType<typeof setInterval>;

  constructor(
    partsOf: PartsOf,
    log: LogLine,
    { limits = SESSION_LIMITS, nowMs = Date.now, file }: SessionsOptions = {},
  ) {
    this.#partsOf = partsOf;
    this.#log = log;
    this.#limits = limits;
    this.#nowMs = nowMs;
    this.#kept = new KeptSessions(file, log, nowMs);
    this.#sweep = setInterval(() => this.closeIdle(), SWEEP_MS);
    this.#sweep.unref();
  }

  /** Number of sessions. */
  get size(): number {
    return this.#kept.size;
  }

  /** Responds to a request of an older revision; `body` is undefined for GET and DELETE. */
  async handle(request: Request, body: unknown, caller: Caller): Promise<Response> {
    const id = request.headers.get("mcp-session-id");
    const kept = id === null ? undefined : this.#find(id, caller);
    // One that is over is left out: `initialize` can only mean that a new one is wanted.
    if (kept === undefined && isObject(body) && body["method"] === "initialize") {
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
    if (kept === undefined) {
      return httpError(404, -32001, "Session not found: send initialize without Mcp-Session-Id to open a new one");
    }
    if (request.method === "DELETE") return this.#delete(kept);
    const session = this.#open.get(kept.id) ?? this.#revive(kept, caller);
    await session.ready;
    return request.method === "GET" ? this.#openStream(session, request) : session.transport.post(request, body);
  }

  /** Marks the caller's session of a request as used and returns it; undefined where there is none. */
  use(request: Request, caller: Caller): UsedSession | undefined {
    const id = request.headers.get("mcp-session-id");
    const kept = id === null ? undefined : this.#find(id, caller);
    return kept && { id: kept.id, client: clientOf(kept), ...this.#agentOf(kept) };
  }

  /** Returns a session of this caller. Sessions of other owners do not exist for it (security.md 5). */
  #find(id: string, caller: Caller): KeptSession | undefined {
    const kept = this.#kept.find(id);
    if (kept === undefined) return undefined;
    const session = this.#open.get(id);
    if (session?.caller !== caller && (kept.owner !== ownerOf(caller) || kept.connection !== connectionOf(caller)))
      return undefined;
    if (session !== undefined) session.caller = caller;
    kept.usedMs = this.#nowMs();
    return kept;
  }

  /** Ends the sessions of these callers, or all. Their clients get 404 and initialize again, under their new rights. */
  async end(callerIds?: ReadonlySet<string>): Promise<void> {
    const ending = this.#kept.list().filter(({ callerId }) => callerIds === undefined || callerIds.has(callerId));
    await Promise.all(ending.map((kept) => this.#end(kept)));
  }

  /** Closes the streams of notifications; calls go on. */
  endStreams(): void {
    for (const session of this.#open.values()) session.transport.endStreams();
  }

  /** Closes all; those that are kept in a file are taken up again by the next run of the node. */
  async close(): Promise<void> {
    clearInterval(this.#sweep);
    await Promise.all([...this.#open.values()].map((session) => session.transport.close()));
  }

  /** Ends sessions that were not used for too long. */
  closeIdle(): void {
    const before = this.#nowMs() - this.#limits.idleMs;
    for (const kept of this.#kept.list()) {
      if (!this.#hasStream(kept) && kept.usedMs < before) this.#discard(kept, "idle");
    }
  }

  async #begin(request: Request, body: Record<string, unknown>, caller: Caller): Promise<Response> {
    const owner = ownerOf(caller);
    this.#makeRoom(owner);
    const params = isObject(body["params"]) ? body["params"] : {};
    const connection = connectionOf(caller);
    const kept = this.#kept.add({ id: crypto.randomUUID(), owner, connection, callerId: caller.id, params });
    const session = this.#make(kept, caller);
    await session.ready;
    const response = await session.transport.post(request, body);
    if (response.status !== 200) await this.#end(kept);
    return response;
  }

  /** Opens a session again that was opened before the node restarted. */
  #revive(kept: KeptSession, caller: Caller): Session {
    const session = this.#make(kept, caller);
    session.ready = session.ready.then(() => session.transport.revive(kept.params));
    for (const uri of [...kept.watched]) {
      try {
        session.subscriber.watch(uri);
      } catch (error) {
        if (!(error instanceof Fault)) throw error;
        this.#kept.unwatch(kept, uri);
      }
    }
    // What changed while the node was away was not seen.
    session.subscriber.markAll();
    return session;
  }

  #make(kept: KeptSession, caller: Caller): Session {
    const parts = this.#partsOf(caller);
    const { subscriptions, tools, keepAliveMs } = parts;
    const transport = new SessionTransport({
      sessionId: kept.id,
      keepAliveMs,
      waits: (request: JSONRPCRequest) => request.method === "tools/call" && tools.waits(toolOf(request)),
      onIdle: () => subscriber.flush(),
    });
    // The server asks for the caller while it is made.
    const session: Pick<Session, "caller"> = { caller };
    const subscriber = subscriptions.open({
      caller: () => session.caller,
      agentKey: () => kept.agentKey,
      free: () => transport.idle,
      updated: (uri) => this.#notify(server.sendResourceUpdated({ uri })),
      listChanged: () => this.#notify(server.sendResourceListChanged()),
    });
    subscriber.wantsList = true;
    const server = buildServer(parts, {
      caller: () => session.caller,
      client: clientOf(kept),
      agent: { now: () => this.#agentOf(kept) },
      subscriber,
      onSubscribed: (uri, isSubscribed) => (isSubscribed ? this.#kept.watch(kept, uri) : this.#kept.unwatch(kept, uri)),
    });
    server.onclose = () => {
      subscriber.close();
      this.#open.delete(kept.id);
    };
    server.onerror = (error) => this.#log("debug", `MCP session: ${error.message}`);
    const whole: Session = Object.assign(session, { kept, transport, subscriber, ready: server.connect(transport) });
    this.#open.set(kept.id, whole);
    return whole;
  }

  async #delete(kept: KeptSession): Promise<Response> {
    await this.#end(kept);
    return new Response(null, { status: 200 });
  }

  /**
   * Opens a GET stream, which counts as one of the caller's streams; without one, notifications wait in the subscriber.
   */
  #openStream({ kept, caller, transport, subscriber }: Session, request: Request): Response {
    const asked = transport.resumption(request);
    if (asked instanceof Response) return asked;
    const hold = (): (() => void) => {
      try {
        return this.#partsOf(caller).invoker.holdStream(caller);
      } catch (error) {
        // The place may be held by a connection of this session that is dead.
        if (asked.isOfCall || !transport.endOldest()) throw error;
        return hold();
      }
    };
    let release: () => void;
    try {
      release = hold();
    } catch (error) {
      if (error instanceof Fault) return httpError(429, 429, error.message, faultBody(error));
      throw error;
    }
    const onEnd = () => {
      release();
      kept.usedMs = this.#nowMs();
    };
    return transport.open(asked, onEnd, () => subscriber.markAll());
  }

  #agentOf(kept: KeptSession): Pick<Asking, "agentKey" | "onAgent"> {
    const onAgent = (key: string) => this.#kept.actAs(kept, key);
    return kept.agentKey === undefined ? { onAgent } : { agentKey: kept.agentKey, onAgent };
  }

  #notify(sending: Promise<void>): void {
    sending.catch((error: unknown) => this.#log("debug", `MCP notification was not sent: ${String(error)}`));
  }

  /** At the bound of an owner ends its oldest session; at the overall bound one of the owner with most sessions. */
  #makeRoom(owner: string): void {
    const { owners } = this.#kept;
    let from: string | undefined;
    if (owners.count(owner) >= this.#limits.perCaller) from = owner;
    else if (this.#kept.size >= this.#limits.overall) from = owners.greatest();
    if (from === undefined) return;
    const theirs = this.#kept.list().filter((kept) => kept.owner === from);
    theirs.sort((a, b) => Number(this.#hasStream(a)) - Number(this.#hasStream(b)) || a.usedMs - b.usedMs);
    if (theirs[0] !== undefined) this.#discard(theirs[0], "bound");
  }

  #hasStream({ id }: KeptSession): boolean {
    return (this.#open.get(id)?.transport.streams ?? 0) > 0;
  }

  #discard(kept: KeptSession, reason: string): void {
    this.#log("debug", `MCP session ended: ${reason}`);
    this.#end(kept).catch((error: unknown) => this.#log("debug", `MCP session: ${String(error)}`));
  }

  async #end(kept: KeptSession): Promise<void> {
    this.#kept.remove(kept);
    await this.#open.get(kept.id)?.transport.close();
  }
}

function clientOf({ params }: KeptSession): string {
  return claimOfInfo(params["clientInfo"]);
}

/** Returns the refusal of an `initialize` that lacks something, in words; undefined for one that is complete. */
function refuseInitialize(body: Record<string, unknown>): Response | undefined {
  if (isInitializeRequest(body)) return undefined;
  const params = isObject(body["params"]) ? body["params"] : {};
  const missing = Object.keys(INITIALIZE).filter((name) => params[name] === undefined);
  const what = missing.length === 0 ? "is not as the protocol has it" : `lacks params.${missing.join(", params.")}`;
  const example = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "initialize", params: INITIALIZE });
  return refusal(body, 400, -32602, `initialize ${what}. For example: ${example}`);
}
