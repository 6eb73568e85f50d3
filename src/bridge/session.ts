// The older protocol revisions, which have sessions: keeps the HTTP session behind the one conversation on stdio.
// When the node has forgotten it (restart, changed rights), or another member is used, the session is opened again with
// the client's own `initialize` and its subscriptions are renewed; the client does not notice.

import { pause } from "../lib/pause.ts";
import { connectionReason } from "../lib/reason-of.ts";
import { Backoff } from "../lib/retry.ts";
import { readEvents } from "../lib/server-sent-events.ts";
import type { LogLine } from "../observe/logging.ts";
import { MCP_PATH } from "./endpoint.ts";
import { NotSentError, OutcomeUnknownError } from "./errors.ts";
import { type Judge, post, readResponses } from "./exchange.ts";
import { idOf, MAX_MESSAGE_CHARS, type Message, OWN_ID, oneLine, parseMessage } from "./json-rpc.ts";
import { type Attempt, recordPosition, sendWithRetry } from "./retry.ts";
import type { Member, Route } from "./route.ts";

const MAX_SUBSCRIPTIONS = 256;
/** Time before a stream that ended is opened again. */
const REOPEN = { firstMs: 100, lastMs: 5000 };
/** Time limit for ending the session on the node, in ms. */
const END_MS = 1000;

/** What sessions need. */
export interface SessionOptions {
  route: Route;
  /** Writes one message to the client. */
  emit: (text: string) => Promise<void>;
  signal: AbortSignal;
  log: LogLine;
}

/** A session at one member; `id` is undefined for a node that keeps no sessions. */
interface Session {
  member: Member;
  id: string | undefined;
  version: string | undefined;
}

/** What reading a session's stream came to. */
type StreamEnd = { action: "stop" } | { action: "reopen"; hadStream: boolean };

/** The conversation of a client of an older revision. */
export class BridgeSession {
  readonly #options: SessionOptions;
  readonly #subscribed = new Set<string>();
  #initialize: { text: string; message: Message } | undefined;
  #session: Promise<Session> | undefined;
  /** The member that `#session` is at, or will be at. */
  #member: Member | undefined;
  /** The client has received its response to initialize and has confirmed it. */
  #isInitialized = false;
  #initializing: Promise<void> = Promise.resolve();
  /** Ends the current stream. */
  #stream = new AbortController();

  constructor(options: SessionOptions) {
    this.#options = options;
    options.route.onSwitch(({ to, toolsChanged }) => {
      if (!this.#isInitialized) return;
      if (toolsChanged) void this.#notify("notifications/tools/list_changed");
      // Without this the stream would only be opened again by the next call.
      this.#sessionAt(to).catch((error: unknown) => options.log("debug", `no session yet: ${connectionReason(error)}`));
    });
  }

  /** Reports whether the client has begun a conversation of an older revision. */
  get hasBegun(): boolean {
    return this.#initialize !== undefined;
  }

  /** Sends one message of the client and passes its responses on. Rejects with JsonRpcError or the signal's reason. */
  async forward(text: string, message: Message, signal: AbortSignal): Promise<void> {
    if (message.method === "initialize") {
      this.#initialize = { text, message };
      this.#isInitialized = false;
      this.#initializing = this.#send(text, message, signal, (member) => this.#beginAt(member));
      return this.#initializing;
    }
    // A failed initialize is no failure of this message: the node says that there is no session.
    await this.#initializing.catch(() => {});
    await this.#send(text, message, signal, (member, sent, either, judge) =>
      this.#forwardTo(member, sent, { message, judge }, either),
    );
  }

  /** Ends the session on the node, within a bounded time. */
  async close(): Promise<void> {
    this.#stream.abort();
    const late = AbortSignal.timeout(END_MS);
    const session = await Promise.race([this.#session, pause(END_MS, late)]).catch(() => undefined);
    if (session?.id === undefined || session.member.gone.aborted) return;
    const response = await session.member
      .send(MCP_PATH, { method: "DELETE", headers: streamHeaders(session), signal: late })
      .catch(() => undefined);
    await response?.body?.cancel();
  }

  #send(text: string, message: Message, signal: AbortSignal, attempt: Attempt): Promise<void> {
    const { route, emit } = this.#options;
    return sendWithRetry({ route, text, message, signal, attempt, onUnavailable: emit });
  }

  async #beginAt(member: Member): Promise<void> {
    const { route, emit } = this.#options;
    this.#member = member;
    this.#session = this.#begin(member, (answer) => emit(withListChanged(answer, route.hasSeveral)));
    this.#session.catch(() => {});
    await this.#session;
  }

  async #forwardTo(
    member: Member,
    text: string,
    { message, judge }: { message: Message; judge: Judge },
    signal: AbortSignal,
  ): Promise<void> {
    const { emit } = this.#options;
    let session = await this.#sessionAt(member);
    let response = await post(member.send, text, headersOf(session), signal);
    if (response.status === 404 && session.id !== undefined) {
      await response.body?.cancel();
      session = await this.#renew(session);
      response = await post(member.send, text, headersOf(session), signal);
    }
    const take = async (answer: string, parsed: Message) => {
      this.#record(message, parsed);
      if (!signal.aborted) await emit(answer);
    };
    await readResponses(response, idOf(message), take, judge);
    if (message.method === "notifications/initialized") {
      this.#isInitialized = true;
      this.#follow(session);
    }
  }

  /** Returns the session at a member, opening one if needed. Concurrent callers share one attempt. */
  #sessionAt(member: Member): Promise<Session> {
    if (this.#session !== undefined && this.#member === member) return this.#session;
    if (this.#initialize === undefined) return Promise.resolve({ member, id: undefined, version: undefined });
    return this.#reopenAt(member);
  }

  /** Returns a session in place of one that the node no longer knows. */
  async #renew(used: Session): Promise<Session> {
    if (this.#member !== used.member) throw new NotSentError("another member is used now");
    const now = await this.#session?.catch(() => undefined);
    if (now !== undefined && now !== used) return now;
    this.#options.log("info", "the node no longer knows the session; opening it again");
    return this.#reopenAt(used.member);
  }

  #reopenAt(member: Member): Promise<Session> {
    this.#member = member;
    const opening = this.#reopen(member);
    this.#session = opening;
    // After a failure the next caller tries again.
    opening.catch(() => {
      if (this.#session === opening) this.#session = undefined;
    });
    return opening;
  }

  /** Opens a session as the client opened its first one, and renews its subscriptions. */
  async #reopen(member: Member): Promise<Session> {
    const session = await this.#begin(member, async () => {});
    await this.#sendOwn(session, { jsonrpc: "2.0", method: "notifications/initialized" });
    for (const uri of this.#subscribed) {
      await this.#sendOwn(session, { jsonrpc: "2.0", id: OWN_ID, method: "resources/subscribe", params: { uri } });
      // Changes in the meantime are unknown, so the client has to read again.
      void this.#notify("notifications/resources/updated", { uri });
    }
    if (this.#isInitialized) {
      if (this.#options.route.hasSeveral) void this.#notify("notifications/resources/list_changed");
      this.#follow(session);
    }
    return session;
  }

  async #begin(member: Member, take: (text: string) => Promise<void>): Promise<Session> {
    const { text, message } = this.#initialize ?? { text: "", message: {} };
    const response = await post(member.send, text, {}, AbortSignal.any([this.#options.signal, member.gone]));
    const session: Session = { member, id: response.headers.get("mcp-session-id") ?? undefined, version: undefined };
    await readResponses(response, idOf(message), async (answer, parsed) => {
      const version = parsed.result?.["protocolVersion"];
      if (typeof version === "string") session.version = version;
      await take(answer);
    });
    return session;
  }

  async #sendOwn(session: Session, message: Record<string, unknown>): Promise<void> {
    const signal = AbortSignal.any([this.#options.signal, session.member.gone]);
    const response = await post(session.member.send, JSON.stringify(message), headersOf(session), signal);
    await response.body?.cancel();
  }

  #notify(method: string, params?: Record<string, unknown>): Promise<void> {
    return this.#options.emit(JSON.stringify({ jsonrpc: "2.0", method, ...(params === undefined ? {} : { params }) }));
  }

  /** Records positions, and which resources the client is subscribed to. */
  #record(request: Message, answer: Message): void {
    if (answer.result === undefined || answer.id !== request.id) return;
    recordPosition(this.#options.route, answer);
    const uri = request.params?.["uri"];
    if (typeof uri !== "string") return;
    if (request.method === "resources/subscribe" && this.#subscribed.size < MAX_SUBSCRIPTIONS)
      this.#subscribed.add(uri);
    if (request.method === "resources/unsubscribe") this.#subscribed.delete(uri);
  }

  /** Reads the stream of this session in place of an earlier one. */
  #follow(session: Session): void {
    this.#stream.abort();
    this.#stream = new AbortController();
    const signal = AbortSignal.any([this.#stream.signal, this.#options.signal]);
    this.#readStream(session, signal).catch((error: unknown) => {
      if (!signal.aborted) this.#options.log("warning", `the node's stream ended: ${connectionReason(error)}`);
    });
  }

  /** Reads the session's stream, and opens it again when it ends, until the signal aborts or the session is over. */
  async #readStream(session: Session, signal: AbortSignal): Promise<void> {
    const { route } = this.#options;
    const { member } = session;
    const resume: { lastEvent?: string } = {};
    const backoff = new Backoff(REOPEN);
    while (!signal.aborted && session.id !== undefined) {
      const end = await this.#readStreamOnce(session, resume, signal);
      if (end.action === "stop") return;
      if (end.hadStream) backoff.reset();
      if (!signal.aborted) await backoff.wait(signal);
      // The session at the next member has a stream of its own; asking for a member is what finds it.
      if (route.hasSeveral && (await route.member(signal).catch(() => member)) !== member) return;
    }
  }

  async #readStreamOnce(session: Session, resume: { lastEvent?: string }, signal: AbortSignal): Promise<StreamEnd> {
    const { route } = this.#options;
    const { member } = session;
    const headers = {
      ...streamHeaders(session),
      ...(resume.lastEvent === undefined ? {} : { "last-event-id": resume.lastEvent }),
    };
    const release = route.awaitResponse(member);
    const either = AbortSignal.any([signal, member.gone]);
    try {
      const response = await member.send(MCP_PATH, { method: "GET", headers, signal: either });
      if (response.status === 405) return { action: "stop" };
      if (response.status === 503) throw new NotSentError("it is stopping or not ready");
      if (response.ok && response.body !== null) {
        await this.#passEvents(response.body, resume);
        return { action: "reopen", hadStream: true };
      }
      await response.body?.cancel();
      if (response.status !== 404) return { action: "reopen", hadStream: false };
      // The renewed session reads a stream of its own; if that fails, the client's next call tries again.
      await this.#renew(session);
      return { action: "stop" };
    } catch (error) {
      if (signal.aborted) return { action: "stop" };
      if (!member.gone.aborted && (error instanceof NotSentError || error instanceof OutcomeUnknownError))
        route.failed(member, "gone", error.message);
      return { action: "reopen", hadStream: false };
    } finally {
      release();
    }
  }

  /** Passes events on until the stream ends or breaks, and records the id of the last one. */
  async #passEvents(body: ReadableStream<Uint8Array>, resume: { lastEvent?: string }): Promise<void> {
    try {
      for await (const { id, data } of readEvents(body, MAX_MESSAGE_CHARS)) {
        if (id !== undefined) resume.lastEvent = id;
        if (data !== "") await this.#options.emit(oneLine(data));
      }
    } catch (error) {
      this.#options.log("debug", `the node's stream broke: ${connectionReason(error)}`);
    }
  }
}

function headersOf({ id, version }: Session): Record<string, string> {
  return {
    ...(id === undefined ? {} : { "mcp-session-id": id }),
    ...(version === undefined ? {} : { "mcp-protocol-version": version }),
  };
}

function streamHeaders(session: Session): Record<string, string> {
  return { ...headersOf(session), accept: "text/event-stream" };
}

/** Adds to a response of initialize what the bridge itself does: it notifies when another member has other tools. */
export function withListChanged(answer: string, hasSeveral: boolean): string {
  const message = hasSeveral ? parseMessage(answer) : undefined;
  const capabilities = message?.result?.["capabilities"];
  if (message?.result === undefined || typeof capabilities !== "object" || capabilities === null) return answer;
  const tools = { ...Reflect.get(capabilities, "tools"), listChanged: true };
  return JSON.stringify({ ...message, result: { ...message.result, capabilities: { ...capabilities, tools } } });
}
