// Params of MCP Events, judged in words that name the member that is wrong, and what came.

import { isObject } from "../lib/json-object.ts";
import { shownValue } from "../lib/schema-issue.ts";
import type { CallbackRequest, EventsRequest } from "../operation/mcp-parts.ts";
import { invalidParams } from "./event-errors.ts";
import { argumentsOf } from "./lenient-request.ts";

type Json = Readonly<Record<string, unknown>>;

/** Most events of one poll; a client that asks for more gets as many. */
const MAX_EVENTS = 500;

const SUBSCRIPTION = { name: "cairn.event", arguments: { space: "default" } };
const CALLBACK = { url: "https://example.com/hook" };
const EXAMPLES: Readonly<Record<string, unknown>> = {
  "events/list": { cursor: "the nextCursor of the previous page" },
  "events/poll": { ...SUBSCRIPTION, cursor: null },
  "events/stream": { ...SUBSCRIPTION, cursor: null },
  "events/subscribe": {
    ...SUBSCRIPTION,
    delivery: { mode: "webhook", ...CALLBACK, secret: "whsec_ and 24 to 64 bytes as base64" },
  },
  "events/unsubscribe": { ...SUBSCRIPTION, delivery: CALLBACK },
};

/** Reads the params of one request. What it throws is a ProtocolError. */
export class EventParams {
  readonly #method: string;
  readonly #params: Json;

  constructor(method: string, params: Json) {
    this.#method = method;
    this.#params = params;
  }

  /** The cursor of a list. */
  get page(): string | undefined {
    return this.#optional(this.#params, "cursor");
  }

  /** One subscription. */
  get subscription(): EventsRequest {
    const { cursor, maxAgeMs, maxEvents } = this.#params;
    const asked = this.#count("maxEvents", maxEvents, 1);
    return {
      ...this.#what(),
      cursor: cursor === null ? undefined : this.#optional(this.#params, "cursor"),
      maxAgeMs: this.#count("maxAgeMs", maxAgeMs, 0),
      limit: asked === undefined ? undefined : Math.min(asked, MAX_EVENTS),
    };
  }

  /** A subscription that is sent to a callback. `mode` is judged by the caller. */
  get callback(): CallbackRequest & { mode: string } {
    const { limit: _, ...subscription } = this.subscription;
    const delivery = this.#delivery();
    const { ttlMs } = this.#params;
    return {
      ...subscription,
      mode: this.#text(delivery, "mode", "delivery."),
      url: this.#text(delivery, "url", "delivery."),
      secret: this.#text(delivery, "secret", "delivery."),
      ttlMs: ttlMs === null ? null : this.#count("ttlMs", ttlMs, 0),
    };
  }

  /** The key of a subscription to a callback. */
  get key(): Pick<CallbackRequest, "name" | "arguments" | "url"> {
    return { ...this.#what(), url: this.#text(this.#delivery(), "url", "delivery.") };
  }

  #what(): Pick<EventsRequest, "name" | "arguments"> {
    const given = this.#params["arguments"] ?? {};
    const plain = isObject(given) ? argumentsOf(given) : given;
    if (!isObject(plain)) throw this.#wrong(`params.arguments is ${shownValue(plain)}, not an object`);
    return { name: this.#text(this.#params, "name"), arguments: plain };
  }

  #delivery(): Json {
    const { delivery } = this.#params;
    if (delivery === undefined) throw this.#wrong("params.delivery is missing");
    if (!isObject(delivery)) throw this.#wrong(`params.delivery is ${shownValue(delivery)}, not an object`);
    return delivery;
  }

  #text(of: Json, name: string, within = ""): string {
    const found = this.#optional(of, name, within);
    if (found === undefined) throw this.#wrong(`params.${within}${name} is missing`);
    return found;
  }

  #optional(of: Json, name: string, within = ""): string | undefined {
    const value = of[name];
    if (value === undefined || typeof value === "string") return value;
    // A secret is shown nowhere.
    const shown = name === "secret" ? "no text" : `${shownValue(value)}, not text`;
    throw this.#wrong(`params.${within}${name} is ${shown}`);
  }

  #count(name: string, value: unknown, least: number): number | undefined {
    if (value === undefined || value === null) return undefined;
    if (typeof value === "number" && Number.isSafeInteger(value) && value >= least) return value;
    throw this.#wrong(`params.${name} is ${shownValue(value)}, not a whole number from ${least} on`);
  }

  #wrong(problem: string): Error {
    return invalidParams(this.#method, problem, EXAMPLES[this.#method]);
  }
}
