// Sends spans to a collector in batches. What waits is bounded: a span that finds no room is counted and dropped, and
// nobody waits for a collector but the end of the node, for a moment.

import { isObject, parseObject } from "../../lib/json-object.ts";
import { pause } from "../../lib/pause.ts";
import { printableLine } from "../../lib/printable.ts";
import { reasonOf } from "../../lib/reason-of.ts";
import { backoffMs } from "../../lib/retry.ts";
import { otlpOf, type TraceResource } from "./otlp.ts";
import type { EndedSpan } from "./span.ts";

/** Most spans that wait. */
export const MAX_WAITING = 4096;
/** Most spans of a request. */
export const MAX_BATCH = 512;
/** How long a span waits for others, in ms. */
const COLLECT_MS = 1000;
/** Attempts at one batch, and the waits between them. */
const TRIES = 5;
const RETRY = { firstMs: 1000, lastMs: 30_000, jitter: 0.5 };
/** The longest wait that a collector may ask for, in ms. */
const MAX_RETRY_AFTER_MS = 120_000;
/** Bytes of a response that are read. */
const MAX_RESPONSE_BYTES = 16_384;
/** After these a request may be repeated (OTLP 1.x, retryable response codes). */
const RETRYABLE: ReadonlySet<number> = new Set([429, 502, 503, 504]);

/** What became of spans. */
export interface ExportCounts {
  sent: number;
  /** The collector refused them, or would not take them within the attempts. */
  failed: number;
  /** There was no room for them. */
  dropped: number;
}

export interface ExporterOptions {
  /** Sends one body. Rejects where there was no response. */
  post(body: Uint8Array, signal: AbortSignal): Promise<Response>;
  /** Asked at each request. */
  resource(): TraceResource;
  /** Limit of one request, in ms. */
  timeoutMs: number;
  /** Called with what is wrong when spans begin to be lost, and with "" when they are taken again. */
  onState(problem: string): void;
  nowMs?: () => number;
  /** For tests, in place of real waits. */
  pauseFor?: typeof pause;
  collectMs?: number;
}

/** How a request ended. */
type Ending =
  | { result: "taken"; rejected: number; why: string }
  | { result: "refused" | "later"; why: string; afterMs?: number | undefined };

/** Sends spans. */
export class Exporter {
  readonly counts: ExportCounts = { sent: 0, failed: 0, dropped: 0 };
  readonly #options: ExporterOptions;
  readonly #ending = new AbortController();
  #waiting: EndedSpan[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #sending: Promise<void> | undefined;
  #problem = "";
  /** It takes no more. */
  #isClosed = false;

  constructor(options: ExporterOptions) {
    this.#options = options;
  }

  /** Spans that wait now. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** Takes a span. Never waits and never throws. */
  add(span: EndedSpan): void {
    if (this.#isClosed || this.#waiting.length >= MAX_WAITING) {
      this.counts.dropped += 1;
      return;
    }
    this.#waiting.push(span);
    if (this.#sending !== undefined) return;
    if (this.#waiting.length >= MAX_BATCH) this.#begin();
    else this.#timer ??= this.#later();
  }

  /** Sends what waits, each batch once more at most, and gives up after `withinMs`. */
  async close(withinMs: number): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearTimeout(this.#timer);
    const late = AbortSignal.timeout(withinMs);
    // A wait before a repetition ends now; a request that is under way has until the end of the time.
    this.#ending.abort();
    await Promise.race([this.#sending, aborted(late)]);
    while (this.#waiting.length > 0 && !late.aborted) {
      const batch = this.#waiting.splice(0, MAX_BATCH);
      const ending = await this.#request(batch, late);
      this.#settle(batch, ending);
      if (ending.result !== "taken") break;
    }
    this.counts.dropped += this.#waiting.splice(0).length;
  }

  #later(): ReturnType<typeof setTimeout> {
    const timer = setTimeout(() => this.#begin(), this.#options.collectMs ?? COLLECT_MS);
    timer.unref();
    return timer;
  }

  #begin(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#sending = this.#sendAll().finally(() => {
      this.#sending = undefined;
      if (this.#waiting.length > 0 && !this.#isClosed) this.#begin();
    });
  }

  async #sendAll(): Promise<void> {
    while (this.#waiting.length > 0 && !this.#isClosed) {
      const batch = this.#waiting.splice(0, MAX_BATCH);
      this.#settle(batch, await this.#deliver(batch));
    }
  }

  /** Sends a batch, again where that may help. */
  async #deliver(batch: readonly EndedSpan[]): Promise<Ending> {
    const { pauseFor = pause } = this.#options;
    for (let tries = 1; ; tries += 1) {
      const ending = await this.#request(batch, undefined);
      if (ending.result !== "later" || tries >= TRIES || this.#isClosed) return ending;
      this.#tell(ending.why);
      try {
        await pauseFor(ending.afterMs ?? backoffMs(tries, RETRY), this.#ending.signal);
      } catch {
        // The node stops: one attempt more.
        return this.#request(batch, undefined);
      }
    }
  }

  async #request(batch: readonly EndedSpan[], late: AbortSignal | undefined): Promise<Ending> {
    const { post, resource, timeoutMs, nowMs = Date.now } = this.#options;
    const deadline = AbortSignal.timeout(timeoutMs);
    const signal = late === undefined ? deadline : AbortSignal.any([deadline, late]);
    try {
      const body = Buffer.from(JSON.stringify(otlpOf(resource(), batch)), "utf8");
      const response = await post(body, signal);
      const said = await textOf(response, signal);
      if (response.ok) return takenBy(said, batch.length);
      const why = `it answered ${response.status}${said === "" ? "" : `: ${shown(said)}`}`;
      if (!RETRYABLE.has(response.status)) return { result: "refused", why };
      return { result: "later", why, afterMs: retryAfterMs(response.headers, nowMs()) };
    } catch (error) {
      const why = deadline.aborted ? `it did not answer within ${timeoutMs / 1000} s` : reasonOf(error);
      return { result: "later", why: shown(why) };
    }
  }

  #settle(batch: readonly EndedSpan[], ending: Ending): void {
    const failed = ending.result === "taken" ? ending.rejected : batch.length;
    this.counts.failed += failed;
    this.counts.sent += batch.length - failed;
    this.#tell(ending.why);
  }

  #tell(problem: string): void {
    if (problem === this.#problem) return;
    this.#problem = problem;
    this.#options.onState(problem);
  }
}

/** A collector may take only a part, and says so in a response that is no failure: the rest is never sent again. */
function takenBy(said: string, spans: number): Ending {
  const partial = parseObject(said)?.["partialSuccess"];
  const { rejectedSpans = 0, errorMessage = "" } = isObject(partial) ? partial : {};
  const rejected = Math.min(Math.trunc(Number(rejectedSpans)), spans);
  if (!(rejected > 0)) return { result: "taken", rejected: 0, why: "" };
  return { result: "taken", rejected, why: `it refused ${rejected} of ${spans} spans: ${shown(String(errorMessage))}` };
}

function shown(text: string): string {
  return printableLine(text.replace(/\s+/g, " ").trim()).slice(0, 200);
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

/** Returns how long a collector asks to wait: seconds, or a date. */
function retryAfterMs(headers: Headers, nowMs: number): number | undefined {
  const header = headers.get("retry-after")?.trim() ?? "";
  if (header === "") return undefined;
  const seconds = Number(header);
  const ms = Number.isNaN(seconds) ? Date.parse(header) - nowMs : seconds * 1000;
  return ms >= 0 ? Math.min(ms, MAX_RETRY_AFTER_MS) : undefined;
}

/** Reads the beginning of a body, and ends the connection. */
async function textOf(response: Response, signal: AbortSignal): Promise<string> {
  const reader = response.body?.getReader();
  if (reader === undefined) return "";
  const parts: Uint8Array[] = [];
  let size = 0;
  const cancel = () => void reader.cancel().catch(() => {});
  signal.addEventListener("abort", cancel, { once: true });
  try {
    while (size < MAX_RESPONSE_BYTES) {
      const { done, value } = await reader.read();
      if (done) break;
      parts.push(value);
      size += value.byteLength;
    }
  } catch {
    // The status says enough.
  }
  signal.removeEventListener("abort", cancel);
  cancel();
  return Buffer.concat(parts).toString("utf8");
}
