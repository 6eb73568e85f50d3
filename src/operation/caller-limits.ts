// Limits of one caller: requests per minute by the grants that allow them, costly work in requests, and streams and
// waits open at the same time. A forwarded call counts for its caller and for the member that forwards it
// (security.md 24).

import { type Caller, callerName } from "../access/caller.ts";
import type { Grant } from "../access/rights.ts";
import { counted } from "../lib/counted.ts";
import { Fault } from "../lib/fault.ts";
import { Slots } from "../lib/slots.ts";
import { TokenBuckets } from "../lib/token-bucket.ts";

/** A wait that counts for its caller until it is released. */
export interface HeldWait {
  /** Aborts with a Fault `rate_limited` when the wait has to give way to a newer stream or wait of its caller. */
  signal: AbortSignal;
  release(): void;
}

/** Limits of one caller, unless its grants say otherwise. */
export interface CallerLimits {
  /** Requests per minute; 0: no limit. */
  requestsPerMinute: number;
  /** Streams and waits open at the same time, over all surfaces. */
  streamsPerCaller: number;
}

const MAX_LIMITED_CALLERS = 10_000;
/** So many units of work (lib/work.ts), about 2 ms, count as one request more. */
const UNITS_PER_REQUEST = 2_000_000;

/** Counts units of work against the limit of the request that does it. */
export type Spend = (units: number) => void;

const FREE: Spend = () => {};
/** A member forwards for many callers, so it may send as many requests as this many of them. */
const CALLERS_PER_MEMBER = 20;

/** Counts the requests and streams of all callers of a node. */
export class LimitedCallers {
  readonly #limits: CallerLimits;
  readonly #buckets: TokenBuckets;
  readonly #streams = new Slots();
  /** The held waits of each caller, the oldest first; each has its slot. */
  readonly #waits = new Map<string, Set<{ giveWay(): void }>>();

  constructor(limits: CallerLimits, nowMs: () => number) {
    this.#limits = limits;
    this.#buckets = new TokenBuckets({ maxKeys: MAX_LIMITED_CALLERS, nowMs });
  }

  /** Streams and waits that are open now, of all callers. */
  get openStreams(): number {
    return this.#streams.total;
  }

  /**
   * Counts an open stream of a caller until the returned function is called. At the limit its oldest wait gives way;
   * throws Fault `rate_limited` where all are streams.
   */
  holdStream(caller: Caller): () => void {
    const { streamsPerCaller } = this.#limits;
    const name = callerName(caller);
    const take = () => this.#streams.take(name, streamsPerCaller);
    const release = take() ?? (this.#endOldestWait(name) ? take() : undefined);
    if (release !== undefined) return release;
    throw new Fault(
      "rate_limited",
      `${name} already has ${counted(streamsPerCaller, "stream or wait", "streams and waits")} open`,
      {
        hint: "Close one, or raise limits.streams_per_caller on the node.",
        details: { retryAfterSeconds: 5 },
      },
    );
  }

  /**
   * Counts a wait, as `holdStream`. A wait is repeated by its position, and the oldest is the one that was most likely
   * left behind by a client that is gone, so it gives way to what comes later.
   */
  holdWait(caller: Caller): HeldWait {
    const free = this.holdStream(caller);
    const name = callerName(caller);
    const ending = new AbortController();
    const waits = this.#waits.get(name) ?? new Set();
    this.#waits.set(name, waits);
    const release = () => {
      free();
      if (waits.delete(wait) && waits.size === 0) this.#waits.delete(name);
    };
    const wait = {
      giveWay: () => {
        release();
        ending.abort(gaveWay(name, this.#limits.streamsPerCaller));
      },
    };
    waits.add(wait);
    return { signal: ending.signal, release };
  }

  /** Reports whether there was one. */
  #endOldestWait(name: string): boolean {
    const oldest = this.#waits.get(name)?.values().next().value;
    oldest?.giveWay();
    return oldest !== undefined;
  }

  /**
   * Counts a request, and returns what counts its work. Throws Fault `rate_limited`. The most generous of the grants
   * that allow the call decides; a grant without a limit has that of the node. The admin on this machine (`local`) has
   * no limit.
   */
  request(caller: Caller, grants: readonly Grant[]): Spend {
    if (caller.kind === "local" && caller.id === "local") return FREE;
    const { requestsPerMinute } = this.#limits;
    let perMinute = 0;
    for (const grant of grants) {
      if (grant.requestsPerMinute === undefined && requestsPerMinute === 0) return FREE;
      perMinute = Math.max(perMinute, grant.requestsPerMinute ?? requestsPerMinute);
    }
    const where = "the limit is set in the grant, or by limits.requests_per_minute of the node";
    return this.#take(callerName(caller), perMinute, where);
  }

  /** Counts a request for the member that forwarded it. Throws Fault `rate_limited`. */
  forwarded(via: string): Spend {
    const perMinute = CALLERS_PER_MEMBER * this.#limits.requestsPerMinute;
    if (perMinute === 0) return FREE;
    return this.#take(`via:${via}`, perMinute, "its limit follows limits.requests_per_minute of the node");
  }

  /** Returns what counts the work of one request: by its sum, however small the pieces are. */
  #spendOf(name: string, perMinute: number): Spend {
    let units = 0;
    let counted = 0;
    return (more) => {
      units += more;
      const requests = Math.floor(units / UNITS_PER_REQUEST);
      if (requests === counted) return;
      this.#buckets.owe(name, perMinute, requests - counted);
      counted = requests;
    };
  }

  #take(name: string, perMinute: number, where: string): Spend {
    const waitMs = this.#buckets.take(name, perMinute);
    if (waitMs === 0) return this.#spendOf(name, perMinute);
    throw new Fault(
      "rate_limited",
      `${name} is limited to ${counted(perMinute, "request")} per minute; costly ones count as several`,
      {
        hint: `Wait, then try again; ${where}.`,
        details: { retryAfterSeconds: Math.ceil(waitMs / 1000) },
      },
    );
  }
}

function gaveWay(name: string, limit: number): Fault {
  return new Fault(
    "rate_limited",
    `${name} has ${counted(limit, "stream or wait", "streams and waits")} open, so this wait gave way to a newer one`,
    {
      hint: "Call it again with the same since. Wait for fewer things at once, or raise limits.streams_per_caller.",
      details: { retryAfterSeconds: 5 },
    },
  );
}

/** Returns the fault where no more costly reads may wait for their turn. */
export function tooManyCostly(): Fault {
  return new Fault("rate_limited", "Too many costly reads wait already, of this caller or of all together", {
    hint: "Wait for their answers, then try again.",
    details: { retryAfterSeconds: 2 },
  });
}
