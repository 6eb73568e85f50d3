// Sends spans to a collector in batches. What waits is bounded: a span that finds no room is counted and dropped, and
// no one waits for a collector but the end of the node, for a moment.

import { isObject, parseObject } from "../../lib/json-object.ts";
import { pause } from "../../lib/pause.ts";
import { printableLine } from "../../lib/printable.ts";
import { reasonOf } from "../../lib/reason-of.ts";
import { readBeginning, retryAfterMs } from "../../lib/response-parts.ts";
import { backoffMs } from "../../lib/retry.ts";
import { redactText } from "../redact.ts";
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
/** The shortest and the longest wait that a collector may ask for, in ms. */
const MIN_RETRY_AFTER_MS = 1000;
const MAX_RETRY_AFTER_MS = 120_000;
/** Bytes of a response that are read, and characters of it that are shown. */
const MAX_RESPONSE_BYTES = 16_384;
const MAX_SHOWN = 200;
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
  /** Aborts when the exporter is closed, and when the time for that is over. */
  readonly #ending = new AbortController();
  readonly #ended = new AbortController();
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
    this.#next();
  }

  /** Sends what waits, each batch once more at most, and gives up after `withinMs`. */
  async close(withinMs: number): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearTimeout(this.#timer);
    const late = setTimeout(() => this.#ended.abort(), withinMs);
    // A wait before a repetition ends now; a request that is under way has until the end of the time.
    this.#ending.abort();
    await this.#sending;
    while (this.#waiting.length > 0 && !this.#ended.signal.aborted) {
      const batch = this.#waiting.splice(0, MAX_BATCH);
      const ending = await this.#request(batch);
      this.#settle(batch, ending);
      if (ending.result !== "taken") break;
    }
    clearTimeout(late);
    this.counts.dropped += this.#waiting.splice(0).length;
  }

  /** Begins a request where a batch is full, else when its first span has waited long enough. */
  #next(): void {
    if (this.#sending !== undefined || this.#waiting.length === 0 || this.#isClosed) return;
    if (this.#waiting.length >= MAX_BATCH) this.#begin();
    else this.#timer ??= this.#later();
  }

  #later(): ReturnType<typeof setTimeout> {
    const timer = setTimeout(() => this.#begin(), this.#options.collectMs ?? COLLECT_MS);
    timer.unref();
    return timer;
  }

  #begin(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const batch = this.#waiting.splice(0, MAX_BATCH);
    this.#sending = this.#deliver(batch).then((ending) => {
      this.#settle(batch, ending);
      this.#sending = undefined;
      this.#next();
    });
  }

  /** Sends a batch, again where that may help. */
  async #deliver(batch: readonly EndedSpan[]): Promise<Ending> {
    const { pauseFor = pause } = this.#options;
    for (let tries = 1; ; tries += 1) {
      const ending = await this.#request(batch);
      if (ending.result !== "later" || tries >= TRIES || this.#isClosed) return ending;
      this.#tell(ending.why);
      try {
        await pauseFor(ending.afterMs ?? backoffMs(tries, RETRY), this.#ending.signal);
      } catch {
        // The node stops: one attempt more.
        return this.#request(batch);
      }
    }
  }

  async #request(batch: readonly EndedSpan[]): Promise<Ending> {
    const { post, resource, timeoutMs, nowMs = Date.now } = this.#options;
    const deadline = AbortSignal.timeout(timeoutMs);
    const signal = AbortSignal.any([deadline, this.#ended.signal]);
    try {
      const body = Buffer.from(JSON.stringify(otlpOf(resource(), batch)), "utf8");
      const response = await post(body, signal);
      const said = (await readBeginning(response, MAX_RESPONSE_BYTES, signal)).toString("utf8");
      if (response.ok) return takenBy(said, batch.length);
      const why = `it answered ${response.status}${said === "" ? "" : `: ${shown(said)}`}`;
      if (!RETRYABLE.has(response.status)) return { result: "refused", why };
      return { result: "later", why, afterMs: afterMsOf(response.headers, nowMs()) };
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
function takenBy(text: string, spans: number): Ending {
  const partial = parseObject(text)?.["partialSuccess"];
  const { rejectedSpans, errorMessage } = isObject(partial) ? partial : {};
  // It is int64, which is a decimal text in JSON.
  const count = typeof rejectedSpans === "string" ? Number(rejectedSpans) : rejectedSpans;
  const rejected = typeof count === "number" ? Math.min(Math.trunc(count), spans) : 0;
  if (!(rejected > 0)) return { result: "taken", rejected: 0, why: "" };
  const said = typeof errorMessage === "string" ? errorMessage : "";
  return { result: "taken", rejected, why: `it refused ${rejected} of ${spans} spans: ${shown(said)}` };
}

/** Returns what a collector said, for people. It may say a secret again, which a cut would hide from `redactText`. */
function shown(text: string): string {
  return printableLine(redactText(text).replace(/\s+/g, " ").trim()).slice(0, MAX_SHOWN);
}

/** Returns how long a collector asks to wait, within bounds; undefined: it does not say. */
function afterMsOf(headers: Headers, nowMs: number): number | undefined {
  const ms = retryAfterMs(headers, nowMs);
  return ms !== undefined && ms >= 0 ? Math.min(Math.max(ms, MIN_RETRY_AFTER_MS), MAX_RETRY_AFTER_MS) : undefined;
}
