// `subscriptions/listen` of the newer era through a fleet: one stream to the client, which the bridge opens again at the next member when one ends it.
// The client sees one acknowledgement and one end, and is told to look again for what it may have missed.

import { isObject } from "../lib/json-object.ts";
import { pause } from "../lib/pause.ts";
import { answers, Lost, post } from "./endpoint.ts";
import { idOf, type Message, modernHeaders } from "./message.ts";
import { carry } from "./retry.ts";
import type { Route, Switch } from "./route.ts";

export const LISTEN = "subscriptions/listen";
const ACKNOWLEDGED = "notifications/subscriptions/acknowledged";
const SUBSCRIPTION_KEY = "io.modelcontextprotocol/subscriptionId";
/** Time before a stream that ended is opened again, in ms: at first, and at most. */
const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 5000;
/** A stream that held so long, in ms, was a good one. */
const GOOD_MS = 10_000;

export interface Listening {
  route: Route;
  text: string;
  message: Message;
  version: string;
  signal: AbortSignal;
  emit: (text: string) => Promise<void>;
}

/** The open streams of this bridge. */
export class Listens {
  readonly #open = new Set<Listening>();

  constructor(route: Route) {
    route.onSwitch((change) => this.#switched(change));
  }

  /** Carries a stream until the client cancels it or a member refuses it. Rejects with LinkError. */
  async carry(listening: Listening): Promise<void> {
    const { route, text, message, version, signal, emit } = listening;
    let acknowledged: string | undefined;
    let waitMs = FIRST_PAUSE_MS;
    this.#open.add(listening);
    try {
      for (let ended = false; !ended; ) {
        const startedMs = performance.now();
        await carry({
          route,
          text,
          message,
          signal,
          unserved: emit,
          attempt: async (member, sent, either) => {
            const response = await post(member, sent, modernHeaders(message, version), either);
            await answers(response, idOf(message), async (answer, parsed) => {
              if (signal.aborted) return;
              if (parsed.method === ACKNOWLEDGED) {
                const first = acknowledged === undefined;
                const shown = withTools(answer, parsed, message);
                if (shown !== acknowledged) await emit(shown);
                acknowledged = shown;
                if (!first) await lookAgain(parsed, emit);
              } else if (parsed.method !== undefined) await emit(answer);
              // A member that ends the stream is leaving, or rights changed: the next one says what holds now. A refusal is final.
              else if (parsed.error !== undefined || acknowledged === undefined) {
                ended = true;
                await emit(answer);
              } else route.failed(member, "busy", "it ended the stream");
            }).catch((error: unknown) => {
              if (performance.now() - startedMs > GOOD_MS) waitMs = FIRST_PAUSE_MS;
              throw error instanceof Lost && member.gone.aborted ? new Lost(String(member.gone.reason)) : error;
            });
          },
        });
        if (ended) return;
        await pause(waitMs, signal);
        waitMs = Math.min(waitMs * 2, LONGEST_PAUSE_MS);
      }
    } finally {
      this.#open.delete(listening);
    }
  }

  #switched({ tools }: Switch): void {
    if (!tools) return;
    for (const { message, emit } of this.#open)
      if (asksForTools(message)) void emit(notification("notifications/tools/list_changed", idOf(message)));
  }
}

function asksForTools({ params }: Message): boolean {
  const asked = params?.["notifications"];
  return isObject(asked) && asked["toolsListChanged"] === true;
}

/** The acknowledgement with what the bridge itself tells of. */
function withTools(answer: string, parsed: Message, asked: Message): string {
  const honoured = parsed.params?.["notifications"];
  if (!asksForTools(asked) || !isObject(honoured)) return answer;
  const notifications = { ...honoured, toolsListChanged: true };
  return JSON.stringify({ ...parsed, params: { ...parsed.params, notifications } });
}

/** What changed while nobody listened is unknown. */
async function lookAgain({ params }: Message, emit: (text: string) => Promise<void>): Promise<void> {
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
