// Begins spans and decides which are recorded: as their parent says, and for a new trace by a share of the ids. Spans
// hand on their context as a value; nothing is looked up in the background of a call.

import { TokenBuckets } from "../../lib/token-bucket.ts";
import { isSampled, type TraceContext } from "../../lib/trace-context.ts";
import { type Attributes, type EndedSpan, SPAN_KIND, type SpanKind } from "./span.ts";

export { SPAN_KIND };

/** Flags of a new trace: its id is random; and recorded. */
const RANDOM = 2;
const SAMPLED = 1;
/** Ids that are drawn at once. */
const POOL_BYTES = 4096;
/** How far the clock of the process may be from that of the machine before it is set again, in microseconds. */
const DRIFT_US = 20_000;
/** Recorded traces of one name: at once, and by the minute. */
const MOST_AT_ONCE = 1000;
const PER_MINUTE = 6000;
const MAX_NAMES = 10_000;

export interface TracerOptions {
  /** Share of new traces that are recorded, from 0 to 1. */
  ratio: number;
  /** Takes spans that have ended. */
  sink(span: EndedSpan): void;
  /** Wall clock in ms, and a clock that never goes back; for tests. */
  nowMs?: () => number;
  monotonicMs?: () => number;
}

/** How a span begins. */
export interface SpanStart {
  kind: SpanKind;
  /** What it is part of; undefined: a trace begins. */
  parent: TraceContext | undefined;
  links?: readonly TraceContext[];
  attributes?: Attributes;
  /** Who asks for it: of a name that asks for too many, some are not recorded. Left out: it is part of what is. */
  by?: Asker | undefined;
}

/** Whose spans are counted; `times` as many as those of one caller may be recorded. */
export interface Asker {
  name: string;
  times?: number;
}

/** A span that has begun. */
export interface Span {
  /** What follows from it is part of this. */
  readonly context: TraceContext;
  /** Ends it, once. `error`: why it failed. */
  end(attributes?: Attributes, error?: string): void;
}

/** The spans of one node. */
export class Tracer {
  readonly #options: TracerOptions;
  readonly #ids = new Ids();
  readonly #clock: Clock;
  /** Below this the last digits of an id make its trace a recorded one. */
  readonly #below: number;
  readonly #asked: TokenBuckets;
  #unrecorded = 0;

  constructor(options: TracerOptions) {
    const { nowMs = Date.now, monotonicMs = () => performance.now() } = options;
    this.#options = options;
    this.#below = options.ratio * 2 ** 32;
    this.#clock = new Clock(nowMs, monotonicMs);
    this.#asked = new TokenBuckets({ maxKeys: MAX_NAMES, nowMs: monotonicMs });
  }

  /** Spans that were not recorded, and nothing below them, because who asked had asked for too many. */
  get unrecorded(): number {
    return this.#unrecorded;
  }

  /** Begins a span. `end` it in any case. */
  begin(name: string, { kind, parent, links = [], attributes = {}, by }: SpanStart): Span {
    const context = this.#contextBelow(parent, by);
    if (!isSampled(context)) return { context, end: () => {} };
    const { sink } = this.#options;
    const clock = this.#clock;
    const startUs = clock.nowUs();
    let isOpen = true;
    return {
      context,
      end: (more = {}, error = undefined) => {
        if (!isOpen) return;
        isOpen = false;
        const endUs = Math.max(startUs, clock.nowUs());
        const all = { ...attributes, ...more };
        sink({ name, kind, context, parent, links, attributes: all, startUs, endUs, error });
      },
    };
  }

  #contextBelow(parent: TraceContext | undefined, by: Asker | undefined): TraceContext {
    const spanId = this.#ids.next(8);
    const { traceId, flags, state } = parent ?? this.#newTrace();
    const isLess = (flags & SAMPLED) !== 0 && by !== undefined && !this.#mayRecord(by);
    return { traceId, spanId, flags: isLess ? flags & ~SAMPLED : flags, state, isRemote: false };
  }

  #newTrace(): Pick<TraceContext, "traceId" | "flags" | "state"> {
    const traceId = this.#ids.next(16);
    const sampled = Number.parseInt(traceId.slice(-8), 16) < this.#below ? SAMPLED : 0;
    return { traceId, flags: RANDOM | sampled, state: "" };
  }

  #mayRecord({ name, times = 1 }: Asker): boolean {
    if (this.#asked.take(name, times * PER_MINUTE, times * MOST_AT_ONCE) === 0) return true;
    this.#unrecorded += 1;
    return false;
  }
}

/**
 * Runs a part of a call as a span below `parent`, where the node has a tracer and the call is part of a trace. It fails
 * with what `body` rejects with, whose name is all that is said of it.
 */
export async function inSpan<T>(
  tracer: Tracer | undefined,
  parent: TraceContext | undefined,
  name: string,
  body: () => Promise<T>,
): Promise<T> {
  if (tracer === undefined || parent === undefined || !isSampled(parent)) return body();
  const span = tracer.begin(name, { kind: "internal", parent });
  try {
    const result = await body();
    span.end();
    return result;
  } catch (error) {
    const type = errorTypeOf(error);
    span.end({ "error.type": type }, type);
    throw error;
  }
}

/** Returns the kind of an error as spans name it: its code, else the name of its class. */
export function errorTypeOf(error: unknown): string {
  if (!(error instanceof Error)) return "unknown";
  return "code" in error && typeof error.code === "string" ? error.code : error.name;
}

/** Random ids in hex. */
class Ids {
  readonly #pool = Buffer.alloc(POOL_BYTES);
  #at = POOL_BYTES;

  /** Returns an id that is not all zeros. */
  next(bytes: 8 | 16): string {
    for (;;) {
      if (this.#at + bytes > POOL_BYTES) {
        crypto.getRandomValues(this.#pool);
        this.#at = 0;
      }
      const id = this.#pool.toString("hex", this.#at, this.#at + bytes);
      this.#at += bytes;
      if (!/^0+$/.test(id)) return id;
    }
  }
}

/** The time in microseconds: that of the machine, with the steps of a clock that never goes back in between. */
class Clock {
  readonly #nowMs: () => number;
  readonly #monotonicMs: () => number;
  #offsetUs: number;

  constructor(nowMs: () => number, monotonicMs: () => number) {
    this.#nowMs = nowMs;
    this.#monotonicMs = monotonicMs;
    this.#offsetUs = nowMs() * 1000 - monotonicMs() * 1000;
  }

  nowUs(): number {
    const elapsedUs = this.#monotonicMs() * 1000;
    const wallUs = this.#nowMs() * 1000;
    if (Math.abs(wallUs - this.#offsetUs - elapsedUs) > DRIFT_US) this.#offsetUs = wallUs - elapsedUs;
    return Math.round(this.#offsetUs + elapsedUs);
  }
}
