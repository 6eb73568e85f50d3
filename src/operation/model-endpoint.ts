// Requests to a service that speaks the HTTP interface of OpenAI: embeddings and chat completions. The only place that
// sends texts of the store to a model, and only to the address of the settings (security.md 19).

import { Fault } from "../lib/fault.ts";
import { parseJson } from "../lib/json-text.ts";
import { printableLine } from "../lib/printable.ts";
import { reasonOf } from "../lib/reason-of.ts";
import { backoffMs } from "../lib/retry.ts";
import { textOfUtf8 } from "../lib/utf8.ts";
import type { Outbound } from "./node-parts.ts";

/** So many failures in a row, and nothing is sent for a while. */
const FAILURES = 3;
/** How long that is, first and at most. */
const FIRST_REST_MS = 5000;
const LAST_REST_MS = 300_000;
const MAX_ERROR_BYTES = 16_384;
const HINT = "Check the URL, the model and the key in the settings, and outbound.allow.";

export interface ModelEndpointOptions {
  /** Such as `https://api.openai.com/v1`. */
  url: string;
  /** Sent as a bearer token; undefined: none. */
  key: string | undefined;
  outbound: Outbound;
  nowMs: () => number;
  /** Called when requests begin to fail, with what is wrong, and when they succeed again, with "". */
  onState: (problem: string) => void;
}

export interface ModelRequest {
  /** Below the URL. */
  path: "embeddings" | "chat/completions";
  body: Readonly<Record<string, unknown>>;
  /** Bytes of the response, and time until its end. */
  maxBytes: number;
  deadlineMs: number;
  signal: AbortSignal;
}

/** The service refused this very request: another one may succeed. */
export class RequestRefused extends Fault {}

/** One service. */
export class ModelEndpoint {
  readonly #options: ModelEndpointOptions;
  #failures = 0;
  #restsUntilMs = 0;
  /** What went wrong last. */
  #problem = "";

  constructor(options: ModelEndpointOptions) {
    this.#options = options;
  }

  /** The service, for people. */
  get host(): string {
    return new URL(this.#options.url).host;
  }

  /** Reports whether nothing is sent now, because requests failed. */
  get isResting(): boolean {
    return this.#options.nowMs() < this.#restsUntilMs;
  }

  /**
   * Sends a request, and returns what `read` makes of the response, which is data of the service: `read` throws where
   * it is not what was asked for. Rejects with `RequestRefused`, or with Fault `unavailable`: at once while it rests.
   */
  async post<T>(request: ModelRequest, read: (value: unknown) => T): Promise<T> {
    // In the same words, so that conditions and logs keep the reason.
    if (this.isResting) throw new Fault("unavailable", this.#problem, { hint: HINT });
    try {
      const value = await this.#once(request);
      const made = this.#readBy(read, value);
      this.#succeeded();
      return made;
    } catch (error) {
      request.signal.throwIfAborted();
      if (!(error instanceof RequestRefused)) this.#failed(error);
      throw error;
    }
  }

  async #once({ path, body, maxBytes, deadlineMs, signal }: ModelRequest): Promise<unknown> {
    const { url, key, outbound } = this.#options;
    const deadline = AbortSignal.timeout(deadlineMs);
    const within = AbortSignal.any([signal, deadline]);
    try {
      const response = await outbound(new URL(`${url}/${path}`), {
        method: "POST",
        headers: {
          "content-type": "application/json",
          accept: "application/json",
          ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
        },
        body: Buffer.from(JSON.stringify(body), "utf8"),
        signal: within,
      });
      if (response.ok) return parseJson(textOfUtf8(await this.#bytesOf(response, maxBytes), "it"), "it");
      throw await this.#refusal(response);
    } catch (cause) {
      signal.throwIfAborted();
      if (deadline.aborted) throw this.#fault(`did not respond within ${deadlineMs / 1000} s`, cause);
      if (cause instanceof Fault && (cause.code === "unavailable" || cause instanceof RequestRefused)) throw cause;
      throw this.#fault(`sent what cannot be read: ${printableLine(reasonOf(cause)).slice(0, 200)}`, cause);
    }
  }

  #readBy<T>(read: (value: unknown) => T, value: unknown): T {
    try {
      return read(value);
    } catch (cause) {
      throw this.#fault(`sent something else than asked for: ${printableLine(reasonOf(cause)).slice(0, 200)}`, cause);
    }
  }

  /** Reads a body, and no more than so much of it. */
  async #bytesOf(response: Response, maxBytes: number): Promise<Uint8Array> {
    const parts: Uint8Array[] = [];
    let size = 0;
    for await (const part of response.body ?? []) {
      size += part.byteLength;
      // Leaving the loop ends the connection.
      if (size > maxBytes) throw this.#fault(`sent more than ${maxBytes} bytes`);
      parts.push(part);
    }
    return Buffer.concat(parts);
  }

  async #refusal(response: Response): Promise<Fault> {
    const { status } = response;
    if (status >= 300 && status < 400) return this.#fault(`redirects (${status}), which is not followed`);
    const body = await this.#bytesOf(response, MAX_ERROR_BYTES).catch(() => new Uint8Array());
    const said = printableLine(Buffer.from(body).toString("utf8").replace(/\s+/g, " ")).slice(0, 200);
    const what = `refused with ${status}${said === "" ? "" : `: ${said}`}`;
    if (status === 400 || status === 413 || status === 422) return this.#fault(what, undefined, RequestRefused);
    const seconds = Number(response.headers.get("retry-after") ?? "");
    if (seconds > 0) this.#rest(Math.min(seconds * 1000, LAST_REST_MS));
    return this.#fault(what);
  }

  #succeeded(): void {
    if (this.#failures > 0) this.#options.onState("");
    this.#failures = 0;
    this.#restsUntilMs = 0;
  }

  #failed(error: unknown): void {
    this.#failures += 1;
    if (this.#failures >= FAILURES) {
      const rest = { firstMs: FIRST_REST_MS, lastMs: LAST_REST_MS, jitter: 0.5 };
      this.#rest(backoffMs(this.#failures - FAILURES + 1, rest));
    }
    this.#problem = reasonOf(error);
    this.#options.onState(this.#problem);
  }

  #rest(ms: number): void {
    this.#restsUntilMs = Math.max(this.#restsUntilMs, this.#options.nowMs() + ms);
  }

  #fault(what: string, cause?: unknown, Kind: typeof Fault = Fault): Fault {
    // Callers read it, and the service may repeat what was sent to it.
    const { key = "" } = this.#options;
    const clean = key === "" ? what : what.replaceAll(key, "[key]");
    return new Kind("unavailable", `${this.host} ${clean}`, {
      hint: HINT,
      cause,
    });
  }
}
