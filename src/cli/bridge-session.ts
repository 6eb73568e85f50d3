// The older protocol eras through `cairn bridge`: the HTTP session behind the one conversation of stdio. When the node forgets it (restart, changed rights),
// the client's own initialize is sent again, its subscriptions are renewed, and the client never learns of it.

import { readEvents } from "../lib/server-sent-events.ts";
import type { LogLine } from "../observe/logging.ts";
import { type Link, MAX_MESSAGE, type Message, type MessageId, parseMessage, pause } from "./bridge-link.ts";

const MAX_SUBSCRIPTIONS = 256;
const SLOWEST_RETRY_MS = 5000;
const END_MS = 1000;
/** Ids of requests that the bridge makes itself; their answers stay here. */
const OWN_ID = "cairn-bridge";

export interface SessionOptions {
  link: Link;
  /** Writes one message to the client. */
  emit: (text: string) => Promise<void>;
  signal: AbortSignal;
  log: LogLine;
}

export class BridgeSession {
  readonly #options: SessionOptions;
  readonly #subscribed = new Set<string>();
  #initialize: string | undefined;
  #sessionId: string | undefined;
  #version: string | undefined;
  /** The node forgot the session, and opening it again has not succeeded yet. */
  #lost = false;
  #beginning: Promise<void> = Promise.resolve();
  #stream = new AbortController();

  constructor(options: SessionOptions) {
    this.#options = options;
  }

  /** Whether the client has begun a conversation of the older kind. */
  get begun(): boolean {
    return this.#initialize !== undefined;
  }

  /** Carries one message of the client and its answers, until the signal aborts. Rejects with LinkError. */
  async forward(text: string, message: Message, signal: AbortSignal): Promise<void> {
    if (message.method === "initialize") {
      this.#initialize = text;
      this.#beginning = this.#begin(text, idOf(message), this.#options.emit);
      // Others wait for it too and must not fail by it: they are told by the node that there is no session.
      return this.#beginning;
    }
    await this.#beginning.catch(() => {});
    if (this.#lost) await this.#renew(this.#sessionId);
    const used = this.#sessionId;
    let response = await this.#post(text, signal);
    if (response.status === 404 && used !== undefined) {
      await response.body?.cancel();
      await this.#renew(used);
      response = await this.#post(text, signal);
    }
    await this.#options.link.answers(response, idOf(message), async (answer, parsed) => {
      this.#note(message, parsed);
      await this.#options.emit(answer);
    });
    if (message.method === "notifications/initialized") this.#follow();
  }

  /** Ends the session on the node, without waiting long for it. */
  async close(): Promise<void> {
    this.#stream.abort();
    if (this.#sessionId === undefined) return;
    const gone = await this.#options.link
      .request("DELETE", this.#headers(), AbortSignal.timeout(END_MS))
      .catch(() => undefined);
    await gone?.body?.cancel();
  }

  async #begin(text: string, id: MessageId | undefined, take: (text: string) => Promise<void>): Promise<void> {
    const { link, signal } = this.#options;
    const response = await link.post(text, {}, signal);
    this.#sessionId = response.headers.get("mcp-session-id") ?? undefined;
    await link.answers(response, id, async (answer, parsed) => {
      const version = parsed.result?.["protocolVersion"];
      if (typeof version === "string") this.#version = version;
      await take(answer);
    });
  }

  /** Opens the conversation again as the client opened it. Several who need it share one attempt. */
  #renew(used: string | undefined): Promise<void> {
    const text = this.#initialize;
    if (this.#sessionId !== used || text === undefined) return this.#beginning;
    this.#sessionId = undefined;
    this.#lost = true;
    this.#options.log("info", "the node no longer knows the session; opening it again");
    this.#beginning = this.#again(text);
    return this.#beginning;
  }

  async #again(text: string): Promise<void> {
    await this.#begin(text, idOf(parseMessage(text) ?? {}), async () => {});
    this.#lost = false;
    await this.#own({ jsonrpc: "2.0", method: "notifications/initialized" });
    for (const uri of this.#subscribed) {
      await this.#own({ jsonrpc: "2.0", id: OWN_ID, method: "resources/subscribe", params: { uri } });
      // What changed while nobody listened is unknown, so the client is to look.
      this.#options.emit(
        JSON.stringify({ jsonrpc: "2.0", method: "notifications/resources/updated", params: { uri } }),
      );
    }
    this.#follow();
  }

  async #own(message: Record<string, unknown>): Promise<void> {
    const response = await this.#post(JSON.stringify(message), this.#options.signal);
    await response.body?.cancel();
  }

  #post(text: string, signal: AbortSignal): Promise<Response> {
    return this.#options.link.post(text, this.#headers(), signal);
  }

  #headers(): Record<string, string> {
    return {
      ...(this.#sessionId === undefined ? {} : { "mcp-session-id": this.#sessionId }),
      ...(this.#version === undefined ? {} : { "mcp-protocol-version": this.#version }),
    };
  }

  #note(asked: Message, answer: Message): void {
    const uri = asked.params?.["uri"];
    if (typeof uri !== "string" || answer.result === undefined || answer.id !== asked.id) return;
    if (asked.method === "resources/subscribe" && this.#subscribed.size < MAX_SUBSCRIPTIONS) this.#subscribed.add(uri);
    if (asked.method === "resources/unsubscribe") this.#subscribed.delete(uri);
  }

  /** Follows the stream of the current session, in place of an earlier one. */
  #follow(): void {
    this.#stream.abort();
    this.#stream = new AbortController();
    const signal = AbortSignal.any([this.#stream.signal, this.#options.signal]);
    this.#followUntil(signal).catch((error: unknown) => {
      if (!signal.aborted) this.#options.log("warning", `the node's stream ended: ${String(error)}`);
    });
  }

  async #followUntil(signal: AbortSignal): Promise<void> {
    const used = this.#sessionId;
    let lastEvent: string | undefined;
    let waitMs = 100;
    while (!signal.aborted && used !== undefined) {
      const headers = { ...this.#headers(), ...(lastEvent === undefined ? {} : { "last-event-id": lastEvent }) };
      const response = await this.#options.link.request("GET", headers, signal).catch(() => undefined);
      if (response?.status === 404) {
        await response.body?.cancel();
        // Renewing follows the new stream; when it fails, the client's next call tries again and says why.
        return this.#renew(used);
      }
      if (response?.status === 405) return;
      if (response?.ok === true && response.body !== null) {
        waitMs = 100;
        lastEvent = await this.#pass(response.body, lastEvent);
      } else await response?.body?.cancel();
      if (!signal.aborted) await pause(waitMs, signal);
      waitMs = Math.min(waitMs * 2, SLOWEST_RETRY_MS);
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
      this.#options.log("debug", `the node's stream broke: ${String(error)}`);
    }
    return last;
  }
}

/** The id of a request; a response or notification asks for no answer. */
export function idOf(message: Message): MessageId | undefined {
  if (message.method === undefined) return undefined;
  return typeof message.id === "string" || typeof message.id === "number" ? message.id : undefined;
}
