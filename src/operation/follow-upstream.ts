// A stream of an edge over what only full members hold: one wait after the other, asked of its upstream. What a stream
// of a full member reads is follow.ts.

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
        this.#keep(await this.#wait({ since: this.#next, ...LASTING }, signal));
        if (this.#ahead.length === 0) this.#position = this.#next;
      }
    } catch (error) {
      this.#failed = { error };
    }
    this.#isAsking = false;
    if (!signal.aborted) for (const listener of [...this.#listeners]) listener();
  }

  #keep(output: Values): void {
    const { items, at, next } = this.#shape;
    this.#ahead = (output[items] as Record<string, unknown>[]).map((value) => ({ position: String(value[at]), value }));
    this.#next = String(output[next]);
  }
}
