// The older protocol eras through `cairn bridge`: the HTTP session behind the one conversation of stdio. When the node forgets it (restart, changed rights), or another member is asked,
// the client's own initialize is sent again, its subscriptions are renewed, and the client never learns of it.

import { pause } from "../lib/pause.ts";
import { readEvents } from "../lib/server-sent-events.ts";
import type { LogLine } from "../observe/logging.ts";
import { answers, Lost, NotSent, post, reasonOf } from "./endpoint.ts";
import { idOf, MAX_MESSAGE, type Message, parseMessage } from "./message.ts";
import { carry, note } from "./retry.ts";
import type { Member, Route } from "./route.ts";

const MAX_SUBSCRIPTIONS = 256;
const SLOWEST_RETRY_MS = 5000;
const END_MS = 1000;
/** Ids of requests that the bridge makes itself; their answers stay here. */
const OWN_ID = "cairn-bridge";

export interface SessionOptions {
  route: Route;
  /** Writes one message to the client. */
  emit: (text: string) => Promise<void>;
  signal: AbortSignal;
  log: LogLine;
}

/** A session of one member; `id` is undefined for a node that keeps none. */
interface Session {
  member: Member;
  id: string | undefined;
  version: string | undefined;
}

export class BridgeSession {
  readonly #options: SessionOptions;
  readonly #subscribed = new Set<string>();
  #initialize: { text: string; message: Message } | undefined;
  #session: Promise<Session> | undefined;
  /** The member that `#session` is, or will be, of. */
  #member: Member | undefined;
  /** The client has its answer to initialize, and said so. */
  #following = false;
  #beginning: Promise<void> = Promise.resolve();
  #stream = new AbortController();

  constructor(options: SessionOptions) {
    this.#options = options;
    options.route.onSwitch(({ to, tools }) => {
      if (!this.#following) return;
      if (tools) void this.#tell("notifications/tools/list_changed");
      // Nobody else would open the stream again before the next call.
      this.#at(to).catch((error: unknown) => options.log("debug", `no session yet: ${reasonOf(error)}`));
    });
  }

  /** Whether the client has begun a conversation of the older kind. */
  get begun(): boolean {
    return this.#initialize !== undefined;
  }

  /** Carries one message of the client and its answers, until the signal aborts. Rejects with LinkError. */
  async forward(text: string, message: Message, signal: AbortSignal): Promise<void> {
    const { route, emit } = this.#options;
    if (message.method === "initialize") {
      this.#initialize = { text, message };
      this.#following = false;
      this.#beginning = this.#carry(text, message, signal, async (member) => {
        this.#member = member;
        this.#session = this.#begin(member, (answer) => emit(withListChanged(answer, route.several)));
        this.#session.catch(() => {});
        await this.#session;
      });
      // Others wait for it too and must not fail by it: they are told by the node that there is no session.
      return this.#beginning;
    }
    await this.#beginning.catch(() => {});
    await this.#carry(text, message, signal, async (member, sent, either) => {
      let session = await this.#at(member);
      let response = await post(member, sent, headersOf(session), either);
      if (response.status === 404 && session.id !== undefined) {
        await response.body?.cancel();
        session = await this.#renewed(session);
        response = await post(member, sent, headersOf(session), either);
      }
      await answers(
        response,
        idOf(message),
        async (answer, parsed) => {
          this.#note(message, parsed);
          if (!either.aborted) await emit(answer);
        },
        route.several,
      );
      if (message.method === "notifications/initialized") {
        this.#following = true;
        this.#follow(session);
      }
    });
  }

  /** Ends the session on the node, without waiting long for it. */
  async close(): Promise<void> {
    this.#stream.abort();
    const late = AbortSignal.timeout(END_MS);
    const session = await Promise.race([this.#session, pause(END_MS, late)]).catch(() => undefined);
    if (session?.id === undefined || session.member.gone.aborted) return;
    const gone = await session.member
      .send("/mcp", { method: "DELETE", headers: streamHeaders(session), signal: late })
      .catch(() => undefined);
    await gone?.body?.cancel();
  }

  #carry(
    text: string,
    message: Message,
    signal: AbortSignal,
    attempt: (member: Member, text: string, signal: AbortSignal) => Promise<void>,
  ): Promise<void> {
    const { route, emit } = this.#options;
    return carry({ route, text, message, signal, attempt, unserved: emit });
  }

  /** The session at a member, opened where it has none. Several who need it share one attempt. */
  #at(member: Member): Promise<Session> {
    if (this.#session !== undefined && this.#member === member) return this.#session;
    if (this.#initialize === undefined) return Promise.resolve({ member, id: undefined, version: undefined });
    return this.#again(member);
  }

  /** A new session in place of one that the node no longer knows. */
  async #renewed(used: Session): Promise<Session> {
    if (this.#member !== used.member) throw new NotSent("another member is asked now");
    const now = await this.#session?.catch(() => undefined);
    if (now !== undefined && now !== used) return now;
    this.#options.log("info", "the node no longer knows the session; opening it again");
    return this.#again(used.member);
  }

  /** Opens the conversation again as the client opened it. */
  #again(member: Member): Promise<Session> {
    this.#member = member;
    const opening = this.#reopen(member);
    this.#session = opening;
    // What failed is tried again by whoever needs it next.
    opening.catch(() => {
      if (this.#session === opening) this.#session = undefined;
    });
    return opening;
  }

  async #reopen(member: Member): Promise<Session> {
    const session = await this.#begin(member, async () => {});
    await this.#own(session, { jsonrpc: "2.0", method: "notifications/initialized" });
    for (const uri of this.#subscribed) {
      await this.#own(session, { jsonrpc: "2.0", id: OWN_ID, method: "resources/subscribe", params: { uri } });
      // What changed while nobody listened is unknown, so the client is to look.
      void this.#tell("notifications/resources/updated", { uri });
    }
    if (this.#following) {
      if (this.#options.route.several) void this.#tell("notifications/resources/list_changed");
      this.#follow(session);
    }
    return session;
  }

  async #begin(member: Member, take: (text: string) => Promise<void>): Promise<Session> {
    const { text, message } = this.#initialize ?? { text: "", message: {} };
    const response = await post(member, text, {}, AbortSignal.any([this.#options.signal, member.gone]));
    const session: Session = { member, id: response.headers.get("mcp-session-id") ?? undefined, version: undefined };
    await answers(response, idOf(message), async (answer, parsed) => {
      const version = parsed.result?.["protocolVersion"];
      if (typeof version === "string") session.version = version;
      await take(answer);
    });
    return session;
  }

  async #own(session: Session, message: Record<string, unknown>): Promise<void> {
    const signal = AbortSignal.any([this.#options.signal, session.member.gone]);
    const response = await post(session.member, JSON.stringify(message), headersOf(session), signal);
    await response.body?.cancel();
  }

  #tell(method: string, params?: Record<string, unknown>): Promise<void> {
    return this.#options.emit(JSON.stringify({ jsonrpc: "2.0", method, ...(params === undefined ? {} : { params }) }));
  }

  #note(asked: Message, answer: Message): void {
    if (answer.result === undefined || answer.id !== asked.id) return;
    note(this.#options.route, answer);
    const uri = asked.params?.["uri"];
    if (typeof uri !== "string") return;
    if (asked.method === "resources/subscribe" && this.#subscribed.size < MAX_SUBSCRIPTIONS) this.#subscribed.add(uri);
    if (asked.method === "resources/unsubscribe") this.#subscribed.delete(uri);
  }

  /** Follows the stream of this session, in place of an earlier one. */
  #follow(session: Session): void {
    this.#stream.abort();
    this.#stream = new AbortController();
    const signal = AbortSignal.any([this.#stream.signal, this.#options.signal]);
    this.#followUntil(session, signal).catch((error: unknown) => {
      if (!signal.aborted) this.#options.log("warning", `the node's stream ended: ${reasonOf(error)}`);
    });
  }

  async #followUntil(session: Session, signal: AbortSignal): Promise<void> {
    const { route } = this.#options;
    const { member } = session;
    let lastEvent: string | undefined;
    let waitMs = 100;
    while (!signal.aborted && session.id !== undefined) {
      const headers = { ...streamHeaders(session), ...(lastEvent === undefined ? {} : { "last-event-id": lastEvent }) };
      const release = route.hold(member);
      const either = AbortSignal.any([signal, member.gone]);
      try {
        const response = await member.send("/mcp", { method: "GET", headers, signal: either });
        if (response.status === 404) {
          await response.body?.cancel();
          // Renewing follows the new stream; when it fails, the client's next call tries again and says why.
          await this.#renewed(session);
          return;
        }
        if (response.status === 405) return;
        if (response.status === 503) throw new NotSent("it is stopping or not ready");
        if (response.ok && response.body !== null) {
          waitMs = 100;
          lastEvent = await this.#pass(response.body, lastEvent);
        } else await response.body?.cancel();
      } catch (error) {
        if (signal.aborted) return;
        if (!member.gone.aborted && (error instanceof NotSent || error instanceof Lost))
          route.failed(member, "gone", error.message);
      } finally {
        release();
      }
      if (!signal.aborted) await pause(waitMs, signal);
      waitMs = Math.min(waitMs * 2, SLOWEST_RETRY_MS);
      // The next member's session has a stream of its own: asking for the member is what finds it.
      if (route.several && (await route.member(signal).catch(() => member)) !== member) return;
    }
  }

  /** Passes events on until the stream ends or breaks; answers the id of the last one. */
  async #pass(body: ReadableStream<Uint8Array>, lastEvent: string | undefined): Promise<string | undefined> {
    let last = lastEvent;
    try {
      for await (const event of readEvents(body, MAX_MESSAGE)) {
        last = event.id ?? last;
        if (event.data !== "") await this.#options.emit(event.data.replace(/[\r\n]+/g, " "));
      }
    } catch (error) {
      this.#options.log("debug", `the node's stream broke: ${reasonOf(error)}`);
    }
    return last;
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

/** An answer to initialize that says what the bridge adds: it tells when another member has other tools. */
export function withListChanged(answer: string, several: boolean): string {
  const message = several ? parseMessage(answer) : undefined;
  const capabilities = message?.result?.["capabilities"];
  if (message?.result === undefined || typeof capabilities !== "object" || capabilities === null) return answer;
  const tools = { ...Reflect.get(capabilities, "tools"), listChanged: true };
  return JSON.stringify({ ...message, result: { ...message.result, capabilities: { ...capabilities, tools } } });
}
