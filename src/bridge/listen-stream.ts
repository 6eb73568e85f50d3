// `subscriptions/listen` of the stateless revision through a fleet: one stream to the client, which the bridge opens
// again at the next member when a member ends it. The client sees one acknowledgement and one end, and is notified of
// everything that may have changed in between.

import { isObject } from "../lib/json-object.ts";
import { Backoff } from "../lib/retry.ts";
import { OutcomeUnknownError } from "./errors.ts";
import { post, readResponses } from "./exchange.ts";
import { idOf, type Message, statelessHeaders } from "./json-rpc.ts";
import { sendWithRetry } from "./retry.ts";
import type { Member, Route, Switch } from "./route.ts";

/** The method of the stream. */
export const LISTEN = "subscriptions/listen";
const ACKNOWLEDGED = "notifications/subscriptions/acknowledged";
const SUBSCRIPTION_KEY = "io.modelcontextprotocol/subscriptionId";
/** Time before a stream that ended is opened again. */
const REOPEN = { firstMs: 100, lastMs: 5000 };
/** A stream that lasted this long, in ms, resets the pause. */
const STABLE_MS = 10_000;

/** A stream that a client has asked for. */
export interface ListenRequest {
  route: Route;
  text: string;
  message: Message;
  /** The client's protocol revision. */
  revision: string;
  signal: AbortSignal;
  emit: (text: string) => Promise<void>;
}

/** The open streams of this bridge. */
export class ListenStreams {
  readonly #open = new Set<ListenStream>();

  constructor(route: Route) {
    route.onSwitch((change) => {
      for (const stream of this.#open) stream.onSwitch(change);
    });
  }

  /**
   * Runs a stream until the client cancels it or a member refuses it. Rejects with JsonRpcError or the signal's reason.
   */
  async run(request: ListenRequest): Promise<void> {
    const stream = new ListenStream(request);
    this.#open.add(stream);
    try {
      await stream.run();
    } finally {
      this.#open.delete(stream);
    }
  }
}

class ListenStream {
  readonly #request: ListenRequest;
  /** The acknowledgement that the client has got. */
  #acknowledged: string | undefined;
  #hasEnded = false;
  readonly #backoff = new Backoff(REOPEN);

  constructor(request: ListenRequest) {
    this.#request = request;
  }

  async run(): Promise<void> {
    const { route, text, message, signal, emit } = this.#request;
    for (;;) {
      await sendWithRetry({
        route,
        text,
        message,
        signal,
        onUnavailable: emit,
        attempt: (member, sent, either) => this.#openAt(member, sent, either),
      });
      if (this.#hasEnded) return;
      await this.#backoff.wait(signal);
    }
  }

  onSwitch({ toolsChanged }: Switch): void {
    const { message, emit } = this.#request;
    if (toolsChanged && wantsTools(message)) void emit(notification("notifications/tools/list_changed", idOf(message)));
  }

  /** Opens the stream at a member and passes its messages on until it ends. */
  async #openAt(member: Member, text: string, signal: AbortSignal): Promise<void> {
    const { message, revision } = this.#request;
    const startedMs = performance.now();
    const response = await post(member.send, text, statelessHeaders(message, revision), signal);
    try {
      await readResponses(response, idOf(message), (answer, parsed) => this.#take(member, answer, parsed));
    } catch (error) {
      if (performance.now() - startedMs > STABLE_MS) this.#backoff.reset();
      const isGone = error instanceof OutcomeUnknownError && member.gone.aborted;
      throw isGone ? new OutcomeUnknownError(String(member.gone.reason)) : error;
    }
  }

  async #take(member: Member, answer: string, parsed: Message): Promise<void> {
    const { route, signal, emit } = this.#request;
    if (signal.aborted) return;
    if (parsed.method === ACKNOWLEDGED) return this.#acknowledge(answer, parsed);
    if (parsed.method !== undefined) return emit(answer);
    if (parsed.error !== undefined || this.#acknowledged === undefined) {
      this.#hasEnded = true;
      return emit(answer);
    }
    // The member ends an accepted stream because it stops or rights have changed: the next one says what holds now.
    route.failed(member, "busy", "it ended the stream");
  }

  /**
   * The client gets an acknowledgement when it differs from the one before, and after the first reads everything again.
   */
  async #acknowledge(answer: string, parsed: Message): Promise<void> {
    const { message, emit } = this.#request;
    const isFirst = this.#acknowledged === undefined;
    const shown = withTools(answer, parsed, message);
    if (shown !== this.#acknowledged) await emit(shown);
    this.#acknowledged = shown;
    if (!isFirst) await notifyOfEverything(parsed, emit);
  }
}

function wantsTools({ params }: Message): boolean {
  const wanted = params?.["notifications"];
  return isObject(wanted) && wanted["toolsListChanged"] === true;
}

/** Adds to an acknowledgement what the bridge itself notifies of. */
function withTools(answer: string, parsed: Message, request: Message): string {
  const honoured = parsed.params?.["notifications"];
  if (!wantsTools(request) || !isObject(honoured)) return answer;
  const notifications = { ...honoured, toolsListChanged: true };
  return JSON.stringify({ ...parsed, params: { ...parsed.params, notifications } });
}

/** Changes between two streams are unknown, so the client has to read again everything it subscribed to. */
async function notifyOfEverything({ params }: Message, emit: (text: string) => Promise<void>): Promise<void> {
  const honoured = params?.["notifications"];
  const meta = params?.["_meta"];
  if (!isObject(honoured)) return;
  const id = isObject(meta) ? meta[SUBSCRIPTION_KEY] : undefined;
  const uris = honoured["resourceSubscriptions"];
  for (const uri of Array.isArray(uris) ? uris : [])
    await emit(notification("notifications/resources/updated", id, { uri }));
  if (honoured["resourcesListChanged"] === true) await emit(notification("notifications/resources/list_changed", id));
}

function notification(method: string, subscription: unknown, params: Record<string, unknown> = {}): string {
  const _meta = { [SUBSCRIPTION_KEY]: subscription };
  return JSON.stringify({ jsonrpc: "2.0", method, params: { ...params, _meta } });
}
