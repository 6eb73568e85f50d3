// A lease held by this process: acquired, renewed in time, and given back. It knows until when it can be counted on, on
// a clock that counts sleep; what is done under it is up to its user.

import { Fault } from "../../lib/fault.ts";
import { pause } from "../../lib/pause.ts";
import { openSleepClock } from "../../lib/sleep-clock.ts";
import { askNode } from "../client.ts";
import { given, type Invocation } from "../command.ts";

/** What is leased. */
export interface LeaseWanted {
  name: string;
  ttlSeconds: number;
  purpose: string | undefined;
  /** How long to wait where it is held; 0: not at all. */
  waitSeconds: number;
}

/** Of a term, after which it is renewed. */
const RENEW_AFTER = 1 / 3;
/** How often the time is looked at, in ms: timers stand still while the machine sleeps. */
const LOOK_MS = 250;
/** Between two attempts at a renewal that failed, in ms. */
const RETRY_MS = 1000;
/** Longest place in the line, and longest single wait, in seconds: half of what the node allows, to keep the place. */
const PLACE_SECONDS = 120;
const WAIT_SECONDS = 20;
/** A node may need this long beyond a wait, in ms. */
const EXTRA_MS = 30_000;

/** A granted lease. */
export class HeldLease {
  readonly name: string;
  readonly fence: string;
  readonly #invocation: Invocation;
  readonly #ttlMs: number;
  readonly #clock: { nowMs(): number };
  #sentMs: number;
  #safeMs: number;

  private constructor(invocation: Invocation, clock: { nowMs(): number }, granted: Granted) {
    this.#invocation = invocation;
    this.#clock = clock;
    this.name = granted.name;
    this.fence = granted.fence;
    this.#ttlMs = granted.ttlMs;
    this.#sentMs = granted.sentMs;
    this.#safeMs = granted.safeMs;
  }

  /** Acquires a lease, and waits for it as long as wanted. Rejects with Fault `lease_held`, and with those of calls. */
  static async acquire(invocation: Invocation, wanted: LeaseWanted, signal: AbortSignal): Promise<HeldLease> {
    const clock = openSleepClock();
    const untilMs = clock.nowMs() + wanted.waitSeconds * 1000;
    const leftSeconds = () => Math.max(0, Math.ceil((untilMs - clock.nowMs()) / 1000));
    const input = { name: wanted.name, ttl_seconds: wanted.ttlSeconds, for: wanted.purpose };
    let fence: string | undefined;
    try {
      for (;;) {
        const sentMs = clock.nowMs();
        const place = { fence, wait_seconds: Math.min(PLACE_SECONDS, leftSeconds()) };
        const { body } = await askNode(invocation, "lease_acquire", given({ ...input, ...place }), { signal });
        fence = String(body["fence"]);
        const ttlMs = Number(body["ttl_seconds"]) * 1000;
        const granted = { name: wanted.name, fence, ttlMs, sentMs, safeMs: Number(body["safe_seconds"]) * 1000 };
        if (body["granted"] === true) return new HeldLease(invocation, clock, granted);
        if (await isGranted(invocation, { name: wanted.name, fence }, leftSeconds(), signal)) continue;
        if (leftSeconds() === 0) throw stillHeld(wanted, body);
      }
    } catch (error) {
      // Nothing waits at the place in the line any more.
      if (fence !== undefined) await release(invocation, { name: wanted.name, fence }).catch(() => {});
      throw error;
    }
  }

  /** How long it can still be counted on, in ms. */
  get leftMs(): number {
    return this.#sentMs + this.#safeMs - this.#clock.nowMs();
  }

  /**
   * Renews it until the signal aborts, and calls `renewed` each time. Resolves with the reason when it is lost or can
   * be counted on for less than `graceMs`, which is the time to stop what is done under it; with undefined when the
   * signal aborts.
   */
  async keep(graceMs: number, signal: AbortSignal, renewed: () => void): Promise<Fault | undefined> {
    let renewing: Promise<Fault | undefined> | undefined;
    let lost: Fault | undefined;
    let triedMs = Number.NEGATIVE_INFINITY;
    let last: Fault | undefined;
    while (!signal.aborted && lost === undefined) {
      const nowMs = this.#clock.nowMs();
      const isDue = nowMs >= this.#sentMs + this.#ttlMs * RENEW_AFTER && nowMs >= triedMs + RETRY_MS;
      if (isDue && renewing === undefined) {
        triedMs = nowMs;
        renewing = this.#renew(signal).then((failed) => {
          renewing = undefined;
          last = failed;
          if (failed === undefined) renewed();
          if (failed?.code === "lease_lost" || failed?.code === "forbidden") lost = failed;
          return failed;
        });
      }
      if (this.leftMs <= graceMs) return last ?? notRenewed(this.name);
      await pause(LOOK_MS, signal).catch(() => {});
    }
    return lost;
  }

  /** Gives it back. */
  release(): Promise<void> {
    return release(this.#invocation, this);
  }

  async #renew(signal: AbortSignal): Promise<Fault | undefined> {
    const sentMs = this.#clock.nowMs();
    try {
      const input = { name: this.name, fence: this.fence };
      const { body } = await askNode(this.#invocation, "lease_renew", input, { signal, answerMs: this.#ttlMs });
      this.#sentMs = sentMs;
      this.#safeMs = Number(body["safe_seconds"]) * 1000;
      return undefined;
    } catch (error) {
      if (error instanceof Fault) return error;
      if (signal.aborted) return undefined;
      throw error;
    }
  }
}

interface Granted {
  name: string;
  fence: string;
  ttlMs: number;
  sentMs: number;
  safeMs: number;
}

type Claim = Pick<HeldLease, "name" | "fence">;

/** Waits once. Reports whether the claim was granted meanwhile. */
async function isGranted(invocation: Invocation, claim: Claim, seconds: number, signal: AbortSignal): Promise<boolean> {
  const timeout = Math.min(WAIT_SECONDS, seconds);
  const input = { name: claim.name, fence: claim.fence, timeout_seconds: timeout };
  const { body } = await askNode(invocation, "lease_wait", input, { signal, answerMs: timeout * 1000 + EXTRA_MS });
  return body["state"] === "granted";
}

async function release(invocation: Invocation, { name, fence }: Claim): Promise<void> {
  await askNode(invocation, "lease_release", { name, fence });
}

function stillHeld({ name, waitSeconds }: LeaseWanted, { place }: Record<string, unknown>): Fault {
  return new Fault("lease_held", `${JSON.stringify(name)} was not granted within ${waitSeconds} s: place ${place}`, {
    hint: "cairn lease list shows the holder. Wait for longer with --wait, or do other work first.",
  });
}

function notRenewed(name: string): Fault {
  return new Fault("lease_lost", `${JSON.stringify(name)} could not be renewed in time`, {
    hint: "See whether the node runs and has a leader: cairn status.",
  });
}
