// Runs the probes of one member: what is due, a bounded number at once, results in memory. What a probe became goes to
// the leader (watch.ts), which puts it into the log.

import { Fault } from "../../lib/fault.ts";
import { reasonOf } from "../../lib/reason-of.ts";
import type { LogLine } from "../../observe/logging.ts";
import type { Declaration, Declarations } from "../../operation/declared-kind.ts";
import type { Job } from "../../operation/feature.ts";
import type { SeenMember } from "../../operation/surroundings.ts";
import type { Reader } from "../../store/store.ts";
import { type Beat, Beats, type Clocks } from "./beats.ts";
import { check, type OwnNetwork } from "./check/check.ts";
import type { CheckParts } from "./check/parts.ts";
import { PROBE, type ProbeShape } from "./declared.ts";
import { type KeptResult, Ring } from "./ring.ts";
import { type ControlRow, controlRow, controlRows, stateRows } from "./rows.ts";
import { after, beginning, type CheckResult, type Live } from "./state.ts";
import { firstCheck, nextCheck } from "./timing.ts";

/** Between two looks at what is due, in ms. */
const LOOK_MS = 500;
/** Checks at the same time. */
const MAX_RUNNING = 32;
/** Another good check by the host's network so recently says that this node is not cut off, in ms. */
const REACHED_MS = 120_000;
/** A probe is said to be suspect at most this often, so that one that flaps does not wear the disks. */
const SUSPECT_MS = 600_000;

/** What the runner needs of its node. */
export interface RunnerOptions {
  declarations: Declarations;
  reader: Reader;
  parts: CheckParts;
  /** Whether the control server answers; undefined where there is none. */
  control: () => boolean | undefined;
  /** Reads the members again; `parts.members` has them then. */
  look: () => Promise<void>;
  log: LogLine;
}

/** A number that was measured counts for so long after the next check was due and had its time, in ms. */
const STALE_MS = 10_000;

/** A probe that this member runs. */
interface Slot {
  declaration: Declaration<ProbeShape>;
  live: Live;
  ring: Ring;
  dueMs: number;
  running: Promise<CheckResult> | undefined;
  /** Ends its check, when it is declared anew or no longer. */
  letGo: AbortController;
  /** When it was said to be suspect last, and whether that is said now. */
  suspectMs: number;
  saysSuspect: boolean;
  /** What was said last. */
  said: Pick<Live, "state" | "cause" | "detail">;
  /** When a check by the host's network was good last. */
  reachedMs: number;
  /** The number of the last check, and when it was measured by the monotonic clock; undefined: it had none. */
  measured: { value: number; cameMs: number } | undefined;
}

/** What comes of a command that the setting of its node does not name. */
const NOT_AGREED: CheckResult = {
  ...{ outcome: "blind", cause: "consent" },
  detail: "this node does not agree to run it: its setting fleet.run does not name it",
};

/** A beat that the log is to have. */
export interface OwedBeat extends Pick<Beat, "good" | "text"> {
  name: string;
  space: string;
}

/** What a member says of one of its probes. */
export interface Report extends Pick<Live, "state" | "cause" | "detail"> {
  name: string;
  /** The number that it measured last, while that is not stale; and how long ago that was, in ms. */
  value?: number | undefined;
  ageMs?: number | undefined;
}

/** Runs probes on one member. */
export class Runner implements Job {
  readonly name = "the probes";
  readonly beats = new Beats();
  /** Is told of each check that was made. */
  onChecked: ((type: ProbeShape["type"], result: CheckResult) => void) | undefined;
  readonly #options: RunnerOptions;
  readonly #slots = new Map<string, Slot>();
  /** Checks that were let go and have not ended yet: the next one of that probe begins when they have. */
  readonly #ending = new Map<string, Promise<unknown>>();
  #leads = false;
  #isReady = false;
  #stopping = new AbortController();
  #timer: ReturnType<typeof setInterval> | undefined;
  #running = 0;
  /** The clock at the last look. */
  #lookedMs = 0;
  #controls: ReadonlyMap<string, ControlRow> = new Map();

  constructor(options: RunnerOptions) {
    this.#options = options;
  }

  start(): void {
    this.#stopping = new AbortController();
    this.#timer = setInterval(() => void this.look(), LOOK_MS);
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#stopping.abort();
    await Promise.allSettled([...[...this.#slots.values()].map(({ running }) => running), ...this.#ending.values()]);
  }

  /** This node leads from now on, or no longer. */
  lead(leads: boolean): void {
    this.#leads = leads;
    if (leads) this.beats.begin(this.#clocks());
    this.#adopt();
  }

  /** Begins what is due. Never rejects. */
  async look(): Promise<void> {
    const { declarations, look, log, parts } = this.#options;
    try {
      if (declarations.list(PROBE).length === 0 && this.#slots.size === 0) return;
      await look();
      if (this.#stopping.signal.aborted) return;
      this.#adopt();
      const nowMs = parts.nowMs();
      if (nowMs < this.#lookedMs) this.#clockWentBack(nowMs);
      this.#lookedMs = nowMs;
      for (const [name, slot] of this.#slots) {
        if (this.#controls.get(name)?.paused === 1 || slot.running !== undefined || this.#ending.has(name)) continue;
        if (slot.declaration.value.type === "beat") this.#countBeats(name, slot);
        else if (slot.dueMs <= nowMs && this.#running < MAX_RUNNING) void this.#run(slot).catch(() => {});
      }
    } catch (error) {
      log("warning", `probes are looked at later: ${reasonOf(error)}`);
    }
  }

  /** What was due, or seen, by a clock that was set back would else wait until that is reached again. */
  #clockWentBack(nowMs: number): void {
    for (const slot of this.#slots.values()) {
      slot.dueMs = Math.min(slot.dueMs, nextCheck(slot.declaration.value, false, nowMs));
      slot.suspectMs = Math.min(slot.suspectMs, nowMs);
      slot.reachedMs = Math.min(slot.reachedMs, nowMs);
    }
  }

  /** Checks that run now. */
  get running(): number {
    return this.#running;
  }

  /** Whether it knows which probes are its own. */
  get isReady(): boolean {
    return this.#isReady;
  }

  /** Returns what this member says of its probes: as leader, or as the member that some name. */
  reports(place: "leader" | "member"): Report[] {
    return [...this.#slots]
      .filter(([, { declaration }]) => (declaration.value.where === "leader") === (place === "leader"))
      .map(([name, slot]) => ({ name, ...slot.said, ...this.#measuredOf(slot) }));
  }

  /** What is stale is nothing: a check that should have been made was not, or did not end. */
  #measuredOf({ measured, declaration, dueMs }: Slot): Pick<Report, "value" | "ageMs"> {
    const { nowMs, monotonicMs } = this.#clocks();
    const isStale = nowMs > dueMs + declaration.value.timeout * 1000 + STALE_MS;
    return measured === undefined || isStale ? {} : { value: measured.value, ageMs: monotonicMs - measured.cameMs };
  }

  /** Returns the last results of a probe; undefined: this member does not run it. */
  results(name: string): readonly KeptResult[] | undefined {
    return this.#slots.get(name)?.ring.list();
  }

  /** Checks a probe now. Undefined: this member does not run it, or it is one of beats. Fault `unavailable`. */
  async checkNow(name: string): Promise<CheckResult | undefined> {
    // As it is declared now.
    this.#adopt();
    await this.#ending.get(name);
    const slot = this.#slots.get(name);
    if (slot === undefined || slot.declaration.value.type === "beat") return undefined;
    if (slot.running === undefined && this.#running >= MAX_RUNNING)
      throw new Fault("unavailable", `${this.#running} checks run on this node already, which is the most`, {
        hint: "Ask again in some seconds.",
      });
    return slot.running ?? this.#run(slot);
  }

  /** Notes a beat. Returns whether it is to be kept in the log; undefined: this node does not count its beats. */
  beat(name: string, good: boolean, text: string): boolean | undefined {
    const slot = this.#slotOf(name);
    if (slot === undefined || slot.declaration.value.type !== "beat") return undefined;
    const { nowMs, monotonicMs } = this.#clocks();
    const isKept = this.beats.add(name, { atMs: nowMs, good, text }, this.#kept(name), monotonicMs);
    slot.ring.add({ atMs: nowMs, good, latencyMs: undefined, value: undefined, detail: text });
    this.#countBeats(name, slot);
    return isKept;
  }

  /** Returns beats that the log does not have yet and is to have by now. */
  owedBeats(): OwedBeat[] {
    const { nowMs } = this.#clocks();
    return [...this.#slots].flatMap(([name, { declaration }]) => {
      const { type, space } = declaration.value;
      const beat = type === "beat" ? this.beats.owed(name, this.#kept(name), nowMs) : undefined;
      return beat === undefined ? [] : [{ name, space, good: beat.good, text: beat.text }];
    });
  }

  #clocks(): Clocks {
    const { parts } = this.#options;
    return { nowMs: parts.nowMs(), monotonicMs: parts.monotonicMs() };
  }

  /** Returns a probe that this member runs, also one that was declared just now. */
  #slotOf(name: string): Slot | undefined {
    if (!this.#slots.has(name)) this.#adopt();
    return this.#slots.get(name);
  }

  /** Takes up what is declared for this member, and lets go of the rest. */
  #adopt(): void {
    const { declarations, reader, parts } = this.#options;
    this.#controls = new Map(controlRows(reader).map((row) => [row.name, row]));
    const own = parts.members().find(({ self }) => self);
    this.#isReady = own !== undefined;
    const mine = declarations.list(PROBE).filter((each) => this.#isMine(each, own));
    const names = new Set(mine.map(({ name }) => name));
    for (const [name, slot] of this.#slots) if (!names.has(name)) this.#letGo(name, slot);
    this.beats.only(names);
    for (const declaration of mine) {
      const { name, version, value, sinceMs } = declaration;
      const before = this.#slots.get(name);
      // After a purge versions begin at 1 again.
      if (before?.declaration.version === version && before.declaration.sinceMs === sinceMs) continue;
      if (before !== undefined) this.#letGo(name, before);
      const node = value.where === "leader" ? "" : (own?.node ?? "");
      const row = stateRows(reader, name).find((each) => each.node === node);
      const live = beginning(row?.state, row?.cause, row?.detail);
      // Nothing is said until a check says it: also not that it is up.
      const said = row?.state === "suspect" ? { ...live, state: row.state } : live;
      this.#slots.set(name, {
        ...{ declaration, live, ring: before?.ring ?? new Ring(), running: undefined, letGo: new AbortController() },
        dueMs: firstCheck(name, value, parts.nowMs()),
        ...{ suspectMs: before?.suspectMs ?? Number.NEGATIVE_INFINITY, saysSuspect: false, said },
        ...{ reachedMs: before?.reachedMs ?? Number.NEGATIVE_INFINITY, measured: undefined },
      });
    }
  }

  /** Ends the check of a slot. What it runs has ended when its promise settles: two at once would meet. */
  #letGo(name: string, { running, letGo }: Slot): void {
    this.#slots.delete(name);
    const fault = new Fault("unavailable", `The probe ${name} was declared anew or ended while it was checked`, {
      hint: "Ask again.",
    });
    letGo.abort(fault);
    if (running === undefined) return;
    const ended = Promise.allSettled([running, this.#ending.get(name)]).then(() => {
      if (this.#ending.get(name) === ended) this.#ending.delete(name);
    });
    this.#ending.set(name, ended);
  }

  #isMine({ name, value }: Declaration<ProbeShape>, own: SeenMember | undefined): boolean {
    const { where } = value;
    if (where === "leader") return this.#leads;
    if (own === undefined) return false;
    // Of many members only those that agree run a command.
    const isOfMany = where === "all" || where.startsWith("label:");
    if (isOfMany && !this.#agrees(name, value)) return false;
    if (where === "all") return true;
    const what = where.slice(where.indexOf(":") + 1);
    return where.startsWith("label:") ? own.labels?.includes(what) === true : own.name === what;
  }

  #agrees(name: string, { type, labels }: ProbeShape): boolean {
    return type !== "command" || this.#options.parts.agrees(name, labels);
  }

  async #run(slot: Slot): Promise<CheckResult> {
    const { parts } = this.#options;
    const { name, value } = slot.declaration;
    this.#running += 1;
    const running = this.#agrees(name, value)
      ? check(value, parts, () => this.#ownNetwork(slot), AbortSignal.any([this.#stopping.signal, slot.letGo.signal]))
      : Promise.resolve(NOT_AGREED);
    slot.running = running;
    try {
      const result = this.#withDependencies(slot, await running);
      this.#take(slot, result);
      return result;
    } finally {
      this.#running -= 1;
      slot.running = undefined;
    }
  }

  #take(slot: Slot, result: CheckResult): void {
    const { value, sinceMs } = slot.declaration;
    const nowMs = this.#options.parts.nowMs();
    const { detail, latencyMs, value: measured } = result;
    this.onChecked?.(value.type, result);
    const good = result.outcome === "good";
    slot.ring.add({ atMs: nowMs, good, latencyMs, value: measured, detail });
    if (good && isOutward(value)) slot.reachedMs = nowMs;
    // What this member cannot tell it has not measured.
    const isKnown = measured !== undefined && result.outcome !== "blind";
    slot.measured = isKnown ? { value: measured, cameMs: this.#clocks().monotonicMs } : undefined;
    // By a clock that was set back it was declared in the future.
    const inGrace = Math.abs(nowMs - sinceMs) < value.grace * 1000;
    this.#become(slot, after(slot.live, result, { down: value.down, up: value.up, inGrace }), nowMs);
    const isChanging = slot.live.state === "suspect" || (slot.live.state === "down" && good);
    slot.dueMs = nextCheck(value, isChanging, nowMs);
  }

  #become(slot: Slot, live: Live, nowMs: number): void {
    if (live.state === "suspect" && slot.live.state !== "suspect") {
      slot.saysSuspect = nowMs - slot.suspectMs >= SUSPECT_MS;
      if (slot.saysSuspect) slot.suspectMs = nowMs;
    }
    slot.live = live;
    const isSaid = live.state !== "suspect" || slot.saysSuspect;
    if (isSaid) slot.said = { state: live.state, cause: live.cause, detail: live.detail };
  }

  #countBeats(name: string, slot: Slot): void {
    const { value, sinceMs } = slot.declaration;
    const clocks = this.#clocks();
    this.#become(slot, this.beats.stateOf(name, value, this.#kept(name), sinceMs, clocks), clocks.nowMs);
  }

  #kept(name: string): Beat | undefined {
    const row = controlRow(this.#options.reader, name);
    if (row === undefined || row.beat_at === 0) return undefined;
    return { atMs: row.beat_at, good: row.beat_good === 1, text: row.beat_text };
  }

  /** A failure says nothing while what the probe needs is down, or unknown. */
  #withDependencies({ declaration }: Slot, result: CheckResult): CheckResult {
    if (result.outcome === "good") return result;
    const { reader } = this.#options;
    const wrong = declaration.value.depends_on.find((needed) => {
      // Of two that need each other none would ever be down.
      if (this.#leadsTo(needed, declaration.name)) return false;
      const live = this.#slots.get(needed)?.live.state;
      const states = [...stateRows(reader, needed).map(({ state }) => state), ...(live === undefined ? [] : [live])];
      return states.some((state) => state === "down" || state === "unknown");
    });
    if (wrong === undefined) return result;
    return { ...result, outcome: "blind", cause: "dependency", detail: `it depends on ${wrong}, which is not up` };
  }

  /** Reports whether one probe depends on another, directly or by others. */
  #leadsTo(from: string, to: string): boolean {
    const needed = new Map(this.#options.declarations.list(PROBE).map(({ name, value }) => [name, value.depends_on]));
    const seen = new Set([from]);
    for (const name of seen) for (const next of needed.get(name) ?? []) seen.add(next);
    return seen.has(to);
  }

  #ownNetwork(slot: Slot): OwnNetwork {
    const sinceMs = this.#options.parts.nowMs() - REACHED_MS;
    const others = [...this.#slots.values()].filter((each) => each !== slot);
    return { control: this.#options.control(), othersReached: others.some(({ reachedMs }) => reachedMs >= sinceMs) };
  }
}

/** Reports whether a good check says that the host's network works. */
function isOutward({ type, network, target = "" }: ProbeShape): boolean {
  const isHere = /^(?:https?:\/\/)?(?:localhost|127\.|\[::1\])/.test(target);
  return !isHere && (type === "dns" || ((type === "http" || type === "tcp") && network === "host"));
}
