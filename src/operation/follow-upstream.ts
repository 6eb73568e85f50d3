// A stream of an edge over what only full members hold: one wait after the other, asked of its upstream. What a stream
// of a full member reads is follow.ts.

import { z } from "zod";
import { Fault } from "../lib/fault.ts";
import { pause } from "../lib/pause.ts";
import type { Admitted } from "./admitted.ts";
import type { Answer } from "./answer.ts";
import type { ReadOperation, WaitShape } from "./define.ts";
import type { FollowCursor, Followed, Taken } from "./follow.ts";
import { noStreamOnEdge } from "./routing-faults.ts";
import { refuseWaitArguments } from "./wait-arguments.ts";

type Values = Readonly<Record<string, unknown>>;

/** Longest of the waits, in seconds. */
const WAIT_SECONDS = 30;
/** Most items of one answer: what is held for a client that does not read. */
const MAX_ITEMS = 100;
/** Least time between two waits, in ms: what comes meanwhile is in one answer, and counts once against limits. */
const GAP_MS = 100;
/** How long to wait before a node is asked again that could not be, in ms; then the stream ends. */
const RETRIES_MS = [50, 500, 2000];
/** How long a caller that is over a limit waits, in ms. */
const LIMITED_MS = 1000;
const LASTING = { timeout_seconds: WAIT_SECONDS, limit: MAX_ITEMS };

/** What an answer says to a wait with these arguments in place of those of the stream. Rejects with its Fault. */
type Wait = (given: { since?: string; timeout_seconds: number; limit: number }, signal: AbortSignal) => Promise<Values>;

/**
 * Opens the stream of an edge. The first wait returns at once: what the upstream refuses is refused before anything
 * streams. `run` makes one wait; `leader` is named to those who have to go elsewhere. Rejects with Faults
 * `invalid_input` and `unavailable`, and with that of the wait.
 */
export async function followUpstream(
  { name, waitShape }: ReadOperation,
  admitted: Admitted,
  run: (one: Admitted) => Promise<Answer>,
  leader: { name: string } | undefined,
): Promise<FollowCursor> {
  const { call, input, given } = admitted;
  if (waitShape === undefined) throw noStreamOnEdge(name, leader);
  refuseWaitArguments(input);
  const wait: Wait = async (asked, signal) => {
    const one = {
      ...admitted,
      call: { ...call, signal },
      input: { ...input, ...asked },
      given: { ...given, ...asked },
    };
    return (await run(one)).output;
  };
  const first = await wait({ timeout_seconds: 0, limit: MAX_ITEMS }, call.signal);
  return new UpstreamPlace(waitShape, first, { wait, signal: call.signal, since: input["since"] });
}

/** The place of one stream. Nothing is asked before the client has taken everything of the last answer. */
class UpstreamPlace implements FollowCursor {
  readonly eventName: string | undefined;
  readonly #shape: WaitShape;
  readonly #wait: Wait;
  readonly #signal: AbortSignal;
  readonly #closing = new AbortController();
  readonly #listeners = new Set<() => void>();
  #ahead: Followed[] = [];
  /** Everything up to here is in what was answered. */
  #next = "";
  #position = "";
  #isAsking = false;
  #askedMs = Number.NEGATIVE_INFINITY;
  /** Times in a row that no node could be asked. */
  #failures = 0;
  #failed: { error: unknown } | undefined;

  constructor(shape: WaitShape, first: Values, from: { wait: Wait; signal: AbortSignal; since: unknown }) {
    this.eventName = shape.eventName;
    this.#shape = shape;
    this.#wait = from.wait;
    this.#signal = AbortSignal.any([from.signal, this.#closing.signal]);
    this.#keep(first);
    // Where a client that began at a time has received nothing, it begins there again: an empty id says so.
    if (this.#ahead.length === 0) this.#position = this.#next;
    else if (typeof from.since === "string") this.#position = from.since;
  }

  get position(): string {
    return this.#position;
  }

  take(max: number, judge: () => void): Taken {
    if (this.#failed !== undefined) throw this.#failed.error;
    if (this.#ahead.length > 0) judge();
    const items = this.#ahead.splice(0, max);
    const more = this.#ahead.length > 0;
    if (!more) this.#position = this.#next;
    else this.#position = items.at(-1)?.position ?? this.#position;
    if (!more && !this.#isAsking) void this.#ask();
    return { items, more };
  }

  onNews(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    this.#closing.abort();
    this.#ahead = [];
  }

  /** Waits until something comes or the stream is closed, and says so. */
  async #ask(): Promise<void> {
    this.#isAsking = true;
    const signal = this.#signal;
    try {
      while (this.#ahead.length === 0 && !signal.aborted) {
        await pause(Math.max(0, this.#askedMs + GAP_MS - performance.now()), signal);
        this.#askedMs = performance.now();
        const since = this.#next;
        this.#keep(await this.#wait({ since, ...LASTING }, signal));
        if (this.#ahead.length === 0) this.#position = this.#next;
        else if (this.#next === since) throw unreadable("items without a place behind them");
        this.#failures = 0;
      }
    } catch (error) {
      const waitMs = signal.aborted ? undefined : this.#retryMs(error);
      if (waitMs === undefined) this.#failed = { error };
      else return this.#askAgain(waitMs);
    }
    this.#isAsking = false;
    if (!signal.aborted) for (const listener of [...this.#listeners]) listener();
  }

  async #askAgain(waitMs: number): Promise<void> {
    await pause(waitMs, this.#signal).catch(() => {});
    return this.#ask();
  }

  /** Returns how long to wait before the same is asked again; undefined: the stream ends with this error. */
  #retryMs(error: unknown): number | undefined {
    if (!(error instanceof Fault)) return undefined;
    if (error.code === "rate_limited") return LIMITED_MS;
    if (error.code !== "unavailable") return undefined;
    this.#failures += 1;
    return RETRIES_MS[this.#failures - 1];
  }

  #keep(output: Values): void {
    const { items, at, next, gap } = this.#shape;
    if (gap !== undefined && output[gap] !== false) throw passedOver();
    const listed = z.array(z.record(z.string(), z.unknown())).max(MAX_ITEMS).safeParse(output[items]);
    if (!listed.success) throw unreadable(items);
    this.#ahead = listed.data.map((value) => ({ position: placeOf(value, at), value }));
    this.#next = placeOf(output, next);
  }
}

/** A place goes into lines of a stream as it is. */
const place = z.string().regex(/^[A-Za-z0-9._:-]{1,128}$/);

function placeOf(values: Values, member: string): string {
  const { success, data } = place.safeParse(values[member]);
  if (!success) throw unreadable(member);
  return data;
}

function passedOver(): Fault {
  return new Fault("below_floor", "What came after the place of this stream is no longer kept", {
    hint: "Open the stream again; it begins with the oldest that is kept.",
  });
}

function unreadable(what: string): Fault {
  return new Fault("internal", `The upstream of this edge gave an answer that cannot be read: ${what}`, {
    hint: "Open the stream at a full member.",
  });
}
