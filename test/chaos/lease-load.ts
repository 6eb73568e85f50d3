// Clients that lease a few names through any node: they wait in line, renew, write under their fence, release, or just
// stop. What each counted on, and until when, is recorded for lease-rules.ts.

import { Agent, type Answer } from "../kit/agent.ts";
import type { FleetNode } from "../kit/fleet.ts";
import type { Device } from "./callers.ts";
import type { FencedWrite, Hold } from "./history.ts";
import { placeOf } from "./history.ts";
import type { Random } from "./random.ts";

export interface LeaseLoadOptions {
  device: Device;
  /** Nodes that may be asked now. */
  nodes: () => readonly FleetNode[];
  random: Random;
  /** Names of leases and contexts begin with it. */
  prefix: string;
}

const CLIENTS = 5;
const NAMES = 3;
/** The shortest that there is. */
const TTL_SECONDS = 5;
const RENEW_MS = 1_200;
/** How long a client waits for an answer before it asks another node. */
const ANSWER_MS = 1_500;
/** Longest wait in line. */
const LINE_SECONDS = 8;

/** A claim of a client. */
interface Claim {
  name: string;
  fence: string;
  /** When the request was first sent that its time counts from. */
  sentMs: number;
  safeMs: number;
  waited: boolean;
}

/** The clients of one run. */
export class LeaseLoad {
  readonly holds: Hold[] = [];
  readonly fenced: FencedWrite[] = [];
  readonly #options: LeaseLoadOptions;
  readonly #stop = new AbortController();
  readonly #clients: Promise<void>[];

  constructor(options: LeaseLoadOptions) {
    this.#options = options;
    this.#clients = Array.from({ length: CLIENTS }, (_, at) => this.#client(`lessee-${at}`, options.random.fork()));
  }

  /** Grants so far. */
  get granted(): number {
    return this.holds.length;
  }

  /** Stops; resolves when no client asks any more. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#clients);
  }

  async #client(process: string, random: Random): Promise<void> {
    while (!this.#stop.signal.aborted) {
      const claim = await this.#acquire(random);
      if (claim !== undefined) await this.#hold(process, claim, random);
      await Bun.sleep(random.between(50, 200));
    }
  }

  /** Returns a granted claim; undefined where it was refused, or not granted in time. */
  async #acquire(random: Random): Promise<Claim | undefined> {
    const name = `${this.#options.prefix}n${random.between(1, NAMES)}`;
    const line = random.chance(0.5) ? LINE_SECONDS : 0;
    const idempotency_key = `k${random.next()}`;
    const sentMs = performance.now();
    const input = { name, ttl_seconds: TTL_SECONDS, wait_seconds: line, idempotency_key };
    const answer = await this.#ask(random, "lease_acquire", input);
    if (answer?.status !== 200) return undefined;
    const { fence, granted, safe_seconds } = answer.body;
    const claim = { name, fence: String(fence), sentMs, safeMs: Number(safe_seconds) * 1000, waited: false };
    return granted === true ? claim : this.#waitInLine(claim, random);
  }

  async #waitInLine(claim: Claim, random: Random): Promise<Claim | undefined> {
    const { name, fence } = claim;
    const untilMs = performance.now() + LINE_SECONDS * 1000;
    while (performance.now() < untilMs && !this.#stop.signal.aborted) {
      const answer = await this.#ask(random, "lease_wait", { name, fence, timeout_seconds: 1 }, 2 * ANSWER_MS);
      if (answer?.body["state"] === "gone") return undefined;
      if (answer?.body["state"] !== "granted") continue;
      const renewed = { ...claim, waited: true };
      return (await this.#renew(renewed, random)) ? renewed : undefined;
    }
    await this.#ask(random, "lease_release", { name, fence });
    return undefined;
  }

  /** Holds a lease for a while, and records until when it was counted on. */
  async #hold(process: string, claim: Claim, random: Random): Promise<void> {
    const fromMs = performance.now();
    const deadline = () => claim.sentMs + claim.safeMs;
    if (fromMs >= deadline()) return;
    const { name, fence, waited } = claim;
    const place = placeOf(fence.slice(fence.lastIndexOf("@") + 1));
    const hold: Hold = { process, name, fence: place?.seq ?? 0, fromMs, untilMs: deadline(), waited };
    this.holds.push(hold);
    // Some for longer than a term.
    const endMs = fromMs + (random.chance(0.3) ? random.between(4_000, 7_000) : random.between(200, 1_500));
    let renewedMs = fromMs;
    while (performance.now() < Math.min(endMs, deadline()) && !this.#stop.signal.aborted) {
      if (performance.now() - renewedMs > RENEW_MS) {
        renewedMs = performance.now();
        await this.#renew(claim, random);
        hold.untilMs = deadline();
      }
      if (random.chance(0.3)) await this.#write(claim, hold.fence, random);
      await Bun.sleep(50);
    }
    // Some are gone without a word.
    if (random.chance(0.2)) return;
    hold.untilMs = Math.min(hold.untilMs, performance.now());
    await this.#ask(random, "lease_release", { name, fence });
  }

  async #renew(claim: Claim, random: Random): Promise<boolean> {
    const { name, fence } = claim;
    const sentMs = performance.now();
    const answer = await this.#askOnce(random, "lease_renew", { name, fence }, ANSWER_MS);
    if (answer?.status !== 200) return false;
    claim.sentMs = sentMs;
    claim.safeMs = Number(answer.body["safe_seconds"]) * 1000;
    return true;
  }

  /** Writes under the fence. It may be refused: the resource decides, not the clock of the client. */
  async #write({ name, fence }: Claim, number: number, random: Random): Promise<void> {
    const input = { id: `${name}-doc`, content: `by ${fence}`, fence, idempotency_key: `w${random.next()}` };
    const answer = await this.#askOnce(random, "context_put", input, ANSWER_MS);
    const place = placeOf(answer?.headers.get("cairn-position"));
    if (answer?.status === 200 && place !== undefined) this.fenced.push({ name, fence: number, seq: place.seq });
  }

  /** Asks up to three nodes, one after the other, until one answers with anything but "not now". */
  async #ask(random: Random, operation: string, input: object, withinMs = ANSWER_MS): Promise<Answer | undefined> {
    for (let attempt = 1; attempt <= 3; attempt += 1) {
      const answer = await this.#askOnce(random, operation, input, withinMs);
      if (answer !== undefined && answer.status < 500) return answer;
    }
    return undefined;
  }

  async #askOnce(random: Random, operation: string, input: object, withinMs: number): Promise<Answer | undefined> {
    const nodes = this.#options.nodes();
    if (nodes.length === 0) return undefined;
    const agent = new Agent(this.#options.device, random.pick(nodes).base);
    const asked = agent.http(`/operations/${operation}`, {
      method: "POST",
      body: JSON.stringify(input),
      headers: { "content-type": "application/json" },
      signal: AbortSignal.timeout(withinMs),
    });
    return asked.catch(() => undefined);
  }
}
