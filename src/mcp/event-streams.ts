// The streams of `events/stream`, in both families of revisions: one subscription each, as notifications until its
// client goes away. The SDK judges the request; its handler only prepares the stream, which then takes the place of the
// answer, because the SDK would queue without end for a client that does not read.

import type { JSONRPCMessage, RequestId } from "@modelcontextprotocol/server";
import { SUBSCRIPTION_ID_META_KEY } from "@modelcontextprotocol/server";
import { Fault } from "../lib/fault.ts";
import { isObject } from "../lib/json-object.ts";
import { logUnexpected, unexpectedFault } from "../lib/unexpected.ts";
import type { LogLine } from "../observe/logging.ts";
import type { Following } from "../operation/follow.ts";
import type { Invoker } from "../operation/invoke.ts";
import type { EventsRequest, FeatureMcpEvents } from "../operation/mcp-parts.ts";
import { type Asking, askBy, callOf } from "./ask.ts";
import { type ErrorObject, type ErrorProfile, eventErrorOf } from "./event-errors.ts";
import { MessageStream } from "./message-stream.ts";

/** Events written at once. */
const MAX_AT_ONCE = 64;
/** A stream ends when its client has not read for so many heartbeats; it is cut when it has not read the end either. */
const STALL_BEATS = 3;
const GRACE_MS = 10_000;
const SESSION = "mcp-session-id";

/** What a stream is to show, and to whom. */
export interface StreamOrder {
  part: FeatureMcpEvents;
  asking: Asking;
  request: Omit<EventsRequest, "limit">;
  /** Id of the request. */
  id: RequestId;
  profile: ErrorProfile;
}

/** Where a subscription begins. */
interface Begin {
  following: Following;
  cursor: string;
  truncated: boolean;
}

interface Prepared extends Begin {
  order: StreamOrder;
  ends: AbortController;
}

/** The place of a stream in the response to its request. */
interface Slot {
  prepared: Prepared | undefined;
  isOver: boolean;
}

/** The open streams of a node. */
export class EventStreams {
  readonly #invoker: Invoker;
  readonly #heartbeatMs: number;
  readonly #log: LogLine;
  readonly #slots = new WeakMap<Request, Slot>();
  readonly #open = new Set<EventStream>();

  constructor(invoker: Invoker, heartbeatMs: number, log: LogLine) {
    this.#invoker = invoker;
    this.#heartbeatMs = heartbeatMs;
    this.#log = log;
  }

  /** Number of open streams. */
  get size(): number {
    return this.#open.size;
  }

  /** Returns the stream that the request opened, or what the SDK answers in its place. */
  async answer(request: Request, handle: () => Promise<Response>): Promise<Response> {
    const slot: Slot = { prepared: undefined, isOver: false };
    this.#slots.set(request, slot);
    const response = await handle();
    slot.isOver = true;
    if (slot.prepared === undefined) return response;
    response.body?.cancel().catch(() => {});
    return this.#start(slot.prepared, response.headers.get(SESSION) ?? undefined);
  }

  /** Prepares the stream of a request, for `answer` to open. Rejects with the Fault of a subscription that is none. */
  async prepare(order: StreamOrder, request: Request | undefined): Promise<void> {
    const slot = request && this.#slots.get(request);
    if (slot === undefined)
      throw new Fault("invalid_input", "events/stream opens a stream of its own", {
        hint: "Send it alone in a POST, not in a batch.",
      });
    const ends = new AbortController();
    const begin = await this.#begin(order, ends.signal);
    slot.prepared = { order, ends, ...begin };
    if (!slot.isOver) return;
    begin.following.close();
    throw new Fault("unavailable", "The stream was ready too late", { hint: "Open it again." });
  }

  /** Ends the streams of these callers (by `Caller.id`), or all. Their clients come back with their cursor. */
  end(callerIds?: ReadonlySet<string>): void {
    for (const stream of [...this.#open]) if (callerIds === undefined || callerIds.has(stream.callerId)) stream.end();
  }

  /** A client of an older revision ends its session. */
  endSession({ headers }: Request): void {
    const session = headers.get(SESSION);
    for (const stream of [...this.#open]) if (session !== null && stream.sessionId === session) stream.end();
  }

  /** A client of an older revision may cancel one of its requests. */
  cancelled({ headers }: Request, body: unknown): void {
    if (!isObject(body) || body["method"] !== "notifications/cancelled" || !isObject(body["params"])) return;
    const { requestId } = body["params"];
    const session = headers.get(SESSION);
    for (const stream of [...this.#open])
      if (session !== null && stream.sessionId === session && stream.id === requestId) stream.end();
  }

  async #begin({ part, asking, request }: StreamOrder, signal: AbortSignal): Promise<Begin> {
    const asked = { ...asking, signal };
    const { cursor, truncated } = await askBy(this.#invoker, asked, part.poll, { ...request, limit: 0 });
    const place = { ...request, cursor, maxAgeMs: undefined, limit: undefined };
    const following = await this.#invoker.follow(callOf(asked, part.poll.operation, part.poll.input(place)));
    return { following, cursor, truncated };
  }

  #start(prepared: Prepared, sessionId: string | undefined): Response {
    const { order, ends } = prepared;
    const stream: EventStream = new EventStream(prepared, sessionId, {
      heartbeatMs: this.#heartbeatMs,
      log: this.#log,
      begin: (cursor) => this.#begin({ ...order, request: { ...order.request, cursor } }, ends.signal),
      onEnd: () => this.#open.delete(stream),
    });
    this.#open.add(stream);
    return stream.response;
  }
}

interface Upkeep {
  heartbeatMs: number;
  log: LogLine;
  /** Begins again at a cursor, or behind it. */
  begin: (cursor: string) => Promise<Begin>;
  onEnd: () => void;
}

/** One stream. */
class EventStream {
  readonly callerId: string;
  readonly sessionId: string | undefined;
  readonly response: Response;
  readonly #order: StreamOrder;
  readonly #ends: AbortController;
  readonly #upkeep: Upkeep;
  readonly #stream: MessageStream;
  readonly #beat: ReturnType<typeof setInterval>;
  #following: Following;
  #stopNews: () => void;
  #isResuming = false;
  #idleMs = performance.now();

  constructor({ order, ends, ...begin }: Prepared, sessionId: string | undefined, upkeep: Upkeep) {
    this.callerId = order.asking.caller.id;
    this.sessionId = sessionId;
    this.#order = order;
    this.#ends = ends;
    this.#upkeep = upkeep;
    this.#following = begin.following;
    this.#stopNews = begin.following.onNews(() => this.#send());
    this.#stream = new MessageStream({ onIdle: () => this.#send(), onEnd: () => this.#close() });
    this.#beat = setInterval(() => this.#heartbeat(), upkeep.heartbeatMs);
    this.#beat.unref();
    this.#notify("active", { cursor: begin.cursor, truncated: begin.truncated });
    this.response = this.#stream.response(sessionId);
  }

  /** Id of its request. */
  get id(): RequestId {
    return this.#order.id;
  }

  /** Ends it with the result of its request; its client comes back. */
  end(): void {
    const result = { resultType: "complete", _meta: this.#meta };
    this.#stream.message({ jsonrpc: "2.0", id: this.id, result });
    this.#stream.close();
  }

  get #meta(): Record<string, unknown> {
    return { [SUBSCRIPTION_ID_META_KEY]: this.id };
  }

  #notify(what: string, params: Readonly<Record<string, unknown>>): void {
    const method = `notifications/events/${what}`;
    const message: JSONRPCMessage = { jsonrpc: "2.0", method, params: { ...params, _meta: this.#meta } };
    this.#stream.message(message);
  }

  /** Sends what is new, if the client has taken everything. */
  #send(): void {
    if (!this.#stream.idle || this.#isResuming || this.#ends.signal.aborted) return;
    this.#idleMs = performance.now();
    this.#orFail(() => {
      const { items, more } = this.#following.take(MAX_AT_ONCE);
      for (const { value } of items) this.#notify("event", value);
      if (items.length === 0 && more) setImmediate(() => this.#send());
    });
  }

  #heartbeat(): void {
    if (!this.#stream.idle) {
      const stalledMs = performance.now() - this.#idleMs;
      if (!this.#isResuming && stalledMs > STALL_BEATS * this.#upkeep.heartbeatMs) this.#stall(stalledMs);
      return;
    }
    this.#idleMs = performance.now();
    this.#orFail(() => {
      this.#following.judge();
      this.#notify("heartbeat", { cursor: this.#following.position });
    });
  }

  #stall(ms: number): void {
    const fault = new Fault("unavailable", `The client has not read for ${Math.round(ms / 1000)} s`);
    void this.#fail(fault);
    setTimeout(() => this.#stream.drop(), GRACE_MS).unref();
  }

  #orFail(body: () => void): void {
    try {
      body();
    } catch (error) {
      void this.#fail(error);
    }
  }

  /** Reports a gap and goes on; tells why a client may no longer read; all else ends the stream for a new one. */
  async #fail(error: unknown): Promise<void> {
    const isGap = error instanceof Fault && (error.code === "below_floor" || error.code === "history_forked");
    if (isGap && !this.#isResuming) return this.#resume();
    const fault = error instanceof Fault ? error : this.#unexpected(error);
    const told = eventErrorOf(this.#order.profile, fault, "event");
    this.#notify(told?.data["error"] === "Forbidden" ? "terminated" : "error", { error: told ?? plainError(fault) });
    this.end();
  }

  async #resume(): Promise<void> {
    this.#isResuming = true;
    try {
      const { position } = this.#following;
      this.#release();
      const { following, cursor, truncated } = await this.#upkeep.begin(position);
      this.#following = following;
      this.#stopNews = following.onNews(() => this.#send());
      if (this.#ends.signal.aborted) return this.#release();
      this.#notify("active", { cursor, truncated });
    } catch (error) {
      if (!this.#ends.signal.aborted) await this.#fail(error);
    } finally {
      this.#isResuming = false;
    }
    this.#send();
  }

  #unexpected(error: unknown): Fault {
    return unexpectedFault("The stream", logUnexpected(this.#upkeep.log, "events/stream", error), "Open it again.");
  }

  #release(): void {
    this.#stopNews();
    this.#following.close();
  }

  #close(): void {
    clearInterval(this.#beat);
    this.#ends.abort();
    this.#release();
    this.#upkeep.onEnd();
  }
}

function plainError({ message }: Fault): ErrorObject {
  return { code: -32603, message, data: {} };
}
