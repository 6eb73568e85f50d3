// The route of `cairn bridge --fleet`: of the nodes that were given or named it asks a live one, and moves on when that dies, hangs, drains or shuts the caller out.
// What moving on means for a call is carry.ts's, for conversations session.ts's and listen.ts's.

import { parseObject } from "../lib/json-object.ts";
import { pause } from "../lib/pause.ts";
import { Candidates, type CandidatesOptions, type Found } from "./candidates.ts";
import { type Init, Lost, NotSent, reasonOf, SHUT_OUT } from "./endpoint.ts";
import { LinkError } from "./message.ts";
import { askCaller, askMembers, askReady, type Probed, partsOf, probe, Shut } from "./probe.ts";
import type { Member, Route, Switch } from "./route.ts";
import { askTools, type ToolFacts } from "./tools.ts";

/** Times in ms. */
export interface FleetTimes {
  /** A call that found no answer is tried for so long. */
  patienceMs: number;
  /** Answers that are waited for: the node is asked so often whether it is there, and has so long to say so. */
  beatMs: number;
  beatAnswerMs: number;
  /** A node may take so long to say what it is. */
  probeMs: number;
  /** A node that is behind what the agent has seen is waited for. */
  catchUpMs: number;
  /** How long the answered list of members is good. */
  learnMs: number;
}

const FLEET_TIMES: FleetTimes = {
  patienceMs: 30_000,
  beatMs: 1000,
  beatAnswerMs: 1500,
  probeMs: 2000,
  catchUpMs: 2000,
  learnMs: 60_000,
};

/** A beat may be missed once: a full node is slow at times, and moving has its price. */
const MISSED_BEATS = 2;
/** After the first live full node answered, others that may be nearer are waited for so long, in ms. */
const NEARER_MS = 100;
const LONGEST_PAUSE_MS = 2000;
const BAD_GATEWAY = 502;
const CATCH_UP_STEP_MS = 50;

/** What a fleet route needs; `times` is for tests. */
export interface FleetRouteOptions extends CandidatesOptions {
  /** Asks edges rather than full nodes. */
  preferEdges: boolean;
  times?: Partial<FleetTimes>;
  signal: AbortSignal;
}

interface Current extends Member {
  found: Found;
  probed: Probed;
  end: AbortController;
  holds: number;
  beats: boolean;
  learnedMs: number;
}

/** The route of `cairn bridge --fleet`: asks one live member at a time and moves on when it fails. */
export class FleetRoute implements Route {
  readonly several = true;
  readonly patienceMs: number;
  readonly #options: FleetRouteOptions;
  readonly #candidates: Candidates;
  readonly #times: FleetTimes;
  readonly #listeners: ((change: Switch) => void)[] = [];
  #current: Current | undefined;
  #picking: Promise<void> | undefined;
  #waiting = 0;
  /** The newest position that the agent has seen. */
  #seen = "";
  #last: { name: string; tools: string } | undefined;
  #left = "";

  constructor(options: FleetRouteOptions) {
    this.#options = options;
    this.#candidates = new Candidates(options);
    this.#times = { ...FLEET_TIMES, ...options.times };
    this.patienceMs = this.#times.patienceMs;
  }

  async member(signal: AbortSignal): Promise<Member> {
    const late = AbortSignal.any([signal, this.#options.signal, AbortSignal.timeout(this.patienceMs)]);
    this.#waiting++;
    try {
      for (;;) {
        late.throwIfAborted();
        if (this.#current !== undefined) return this.#current;
        this.#picking ??= this.#pick().finally(() => {
          this.#picking = undefined;
        });
        await Promise.race([this.#picking, aborted(late)]);
      }
    } catch (error) {
      signal.throwIfAborted();
      this.#options.signal.throwIfAborted();
      throw error instanceof LinkError ? error : this.#nobody();
    } finally {
      this.#waiting--;
    }
  }

  failed(member: Member, how: "gone" | "busy" | "shut", why: string): void {
    this.#candidates.failed(member.name, how, why);
    if (this.#current?.name === member.name) {
      this.#left = `${member.name}: ${why}`;
      if (how !== "busy") this.#current.end.abort(why);
      this.#current = undefined;
    }
  }

  hold(member: Member): () => void {
    const current = this.#current;
    if (current === undefined || current !== member) return () => {};
    current.holds++;
    if (!current.beats) void this.#beat(current);
    return () => {
      current.holds--;
    };
  }

  saw(position: string): void {
    const [old, now] = [partsOf(this.#seen), partsOf(position)];
    if (old.epoch !== now.epoch || now.seq > old.seq) this.#seen = position;
  }

  onSwitch(listener: (change: Switch) => void): void {
    this.#listeners.push(listener);
  }

  close(): void {
    this.#current?.end.abort("the bridge ends");
    this.#current = undefined;
  }

  /** Finds a live member and makes it the current one; goes on while somebody waits for it. */
  async #pick(): Promise<void> {
    const { signal, log } = this.#options;
    let waitMs = 50;
    for (let round = 0; this.#waiting > 0; round++) {
      signal.throwIfAborted();
      for (const { found, probed } of this.#ranked(await this.#probeAll(round > 0))) {
        const opened = await this.#open(found, probed).catch((error: unknown) => {
          this.#candidates.failed(found.name, error instanceof Shut ? "shut" : "gone", reasonOf(error));
        });
        if (opened !== undefined) return this.#use(opened);
      }
      // Nodes that refuse this caller do so in a second too; only a new grant helps.
      if (this.#candidates.allShut()) throw this.#nobody();
      if (round === 1) log("warning", `no member of the fleet is live: ${this.#candidates.reasons()}; trying again`);
      await pause(waitMs, signal);
      waitMs = Math.min(waitMs * 2, LONGEST_PAUSE_MS);
    }
  }

  /** The live ones; returns soon after the first full node that fits, as others may be nearer. `all` asks those too that failed a moment ago. */
  async #probeAll(all: boolean): Promise<{ found: Found; probed: Probed }[]> {
    const { signal, preferEdges } = this.#options;
    const live: { found: Found; probed: Probed }[] = [];
    const enough = Promise.withResolvers<void>();
    const bound = AbortSignal.any([signal, AbortSignal.timeout(this.#times.probeMs)]);
    const probes = this.#candidates.toAsk(all).map(async (found) => {
      try {
        const probed = await Promise.race([probe(this.#sender(found), bound), aborted(bound)]);
        this.#candidates.answered(found.name, probed);
        live.push({ found, probed });
        if (probed.isEdge === preferEdges && this.#fits(probed)) setTimeout(enough.resolve, NEARER_MS);
      } catch (error) {
        const why = bound.aborted ? `no answer within ${this.#times.probeMs} ms` : reasonOf(error);
        this.#candidates.failed(found.name, error instanceof Shut ? "shut" : "gone", why);
      }
    });
    await Promise.race([Promise.all(probes), enough.promise]);
    return [...live];
  }

  /** Whether a node stands in the history that the agent has seen. */
  #fits({ position }: Probed): boolean {
    return this.#seen === "" || partsOf(position).epoch === partsOf(this.#seen).epoch;
  }

  #ranked(live: { found: Found; probed: Probed }[]): { found: Found; probed: Probed }[] {
    const { preferEdges } = this.#options;
    const rank = ({ found, probed }: { found: Found; probed: Probed }): number[] => [
      Number(!this.#candidates.isOfFleet(found, probed)),
      Number(!this.#fits(probed)),
      Number(this.#candidates.isBusy(found.name)),
      Number(probed.isEdge !== preferEdges),
      probed.roundTripMs,
    ];
    const usable = live.filter(({ found, probed }) => this.#candidates.mayUse(found, probed));
    return usable
      .map((one) => ({ one, by: rank(one) }))
      .sort((a, b) => compare(a.by, b.by))
      .map(({ one }) => one);
  }

  /** Asks for what calls need to know of a member, and lets it catch up with what the agent has seen. */
  async #open(found: Found, probed: Probed): Promise<Current> {
    const end = new AbortController();
    const sender = this.#sender(found);
    const bound = AbortSignal.any([this.#options.signal, AbortSignal.timeout(this.#times.probeMs * 2)]);
    const [caller, tools] = await Promise.race([
      Promise.all([askCaller(sender, bound), askTools(sender, bound)]),
      aborted(bound),
    ]);
    if (tools.byName.size === 0) throw new Shut("it offers this caller no tools");
    const behind = await this.#catchUp(found, probed);
    const current: Current = {
      name: found.name,
      found,
      probed,
      end,
      gone: end.signal,
      caller,
      tools,
      behind,
      holds: 0,
      beats: false,
      learnedMs: Number.NEGATIVE_INFINITY,
      send: (path, init) => this.#send(current, path, init),
      position: async (signal) => (await probe(sender, signal).catch(() => undefined))?.position,
    };
    return current;
  }

  /** Waits until the node has what the agent has seen; answers that position where it does not come in time. */
  async #catchUp(found: Found, probed: Probed): Promise<string | undefined> {
    const seen = partsOf(this.#seen);
    if (this.#seen === "" || !this.#fits(probed)) return undefined;
    const { signal } = this.#options;
    const endMs = performance.now() + this.#times.catchUpMs;
    for (let at = probed.position; partsOf(at).seq < seen.seq; ) {
      if (performance.now() > endMs) return this.#seen;
      await pause(CATCH_UP_STEP_MS, signal);
      at = (await probe(this.#sender(found), AbortSignal.any([signal, AbortSignal.timeout(this.#times.probeMs)])))
        .position;
    }
    return undefined;
  }

  #use(opened: Current): void {
    const { log } = this.#options;
    const forked = !this.#fits(opened.probed);
    if (forked) this.#seen = "";
    const before = this.#last;
    const { fingerprint } = opened.tools as ToolFacts;
    this.#current = opened;
    this.#last = { name: opened.name, tools: fingerprint };
    this.#candidates.used(opened.name, opened.probed);
    const tools = before !== undefined && before.tools !== fingerprint;
    if (before !== undefined) {
      const history = forked ? "; its history is another one, so read again what matters" : "";
      const moved =
        before.name === opened.name ? `asks ${opened.name} again` : `switched from ${before.name} to ${opened.name}`;
      log("warning", `${moved} (${this.#left})${history}`);
    } else log("info", `asks ${opened.name}`);
    if (before !== undefined) for (const listener of this.#listeners) listener({ to: opened, tools });
    void this.#learn(opened);
  }

  /** Learns who else is of the fleet. */
  async #learn(current: Current): Promise<void> {
    current.learnedMs = performance.now();
    const { signal } = this.#options;
    const bound = AbortSignal.any([signal, current.gone, AbortSignal.timeout(this.#times.probeMs)]);
    // A node that may not tell, or knows of no fleet, is asked all the same.
    const told = await askMembers(this.#sender(current.found), bound).catch(() => undefined);
    if (told !== undefined) this.#candidates.told(told, current.found.name, current.probed.fleet);
  }

  /** While answers are waited for: asks whether the node is there at all. A half-open connection says nothing by itself. */
  async #beat(current: Current): Promise<void> {
    const { signal } = this.#options;
    const sender = this.#sender(current.found);
    let missed = 0;
    current.beats = true;
    while (current.holds > 0 && !current.gone.aborted && !signal.aborted) {
      // After a missed one it is asked again at once.
      if (missed === 0) await pause(this.#times.beatMs, AbortSignal.any([signal, current.gone])).catch(() => {});
      if (current.holds <= 0 || current.gone.aborted || signal.aborted) break;
      if (performance.now() - current.learnedMs > this.#times.learnMs) void this.#learn(current);
      const late = AbortSignal.timeout(this.#times.beatAnswerMs);
      try {
        await Promise.race([askReady(sender, AbortSignal.any([signal, late])), aborted(late)]);
        missed = 0;
      } catch (error) {
        if (signal.aborted) break;
        // It says that it takes no more; what it is at, it may still end.
        if (!late.aborted && error instanceof NotSent && error.message === NOT_READY)
          this.failed(current, "busy", NOT_READY);
        else if (++missed === MISSED_BEATS) {
          const why = late.aborted ? "it does not answer any more" : reasonOf(error);
          if (this.#current === current) this.failed(current, "gone", why);
          else current.end.abort(why);
        }
      }
    }
    current.beats = false;
  }

  #sender(found: Found) {
    return { send: (path: string, init: Init) => found.send(path, init) };
  }

  /** As calls are sent: who is shut out is asked elsewhere, and so is what our own egress could not deliver. */
  async #send(current: Current, path: string, init: Init): Promise<Response> {
    const response = await current.found.send(path, init);
    const shut = SHUT_OUT.has(response.status);
    if (!shut && response.status !== BAD_GATEWAY) return response;
    const body = parseObject(await response.text());
    if (!shut && body?.["code"] !== "dial_failed") throw new Lost("the way to it broke");
    const why = shut ? `it refuses this caller (${response.status})` : "there is no way to it";
    this.failed(current, shut ? "shut" : "gone", why);
    throw new NotSent(why);
  }

  #nobody(): LinkError {
    const shut = this.#candidates.allShut();
    return new LinkError(shut ? 403 : 503, `No member of the fleet can be asked: ${this.#candidates.reasons()}`, {
      code: shut ? "forbidden" : "not_running",
      hint: shut
        ? "The grant of this caller is missing; cairn whoami --url shows what a node says."
        : "Start a member with `cairn serve`, or name another one with --url.",
      retryable: !shut,
    });
  }
}

/** What `askReady` says of a node that is not ready. */
const NOT_READY = "it is not ready";

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    if (signal.aborted) reject(signal.reason);
    else signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}

function compare(a: readonly number[], b: readonly number[]): number {
  for (const [at, value] of a.entries()) if (value !== b[at]) return value - (b[at] ?? 0);
  return 0;
}
