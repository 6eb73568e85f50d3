// A fleet with one service in simulated time, for the rules of placement: the decisions, the transitions and the
// arithmetic of leases are those of the product; members, guards, messages and clocks are played, and fail as told.

import { decide, type World } from "../../src/features/service/decide.ts";
import { type ServiceShape, serviceShape } from "../../src/features/service/declared.ts";
import { isHeld, type ServiceRow, startText } from "../../src/features/service/rows.ts";
import { newRow, type Said, type Step, takeSaid, takeStep } from "../../src/features/service/transition.ts";
import { countedOnMs, HeldTerms } from "../../src/operation/held-terms.ts";

/** A step of the simulation, in ms. */
export const TICK_MS = 100;
/** A member gives a call up after so long, in ms. */
const CALL_MS = 4000;
const NAME = "web";

/** A program on a member, under its guard. */
interface Program {
  start: string;
  fence: number;
  n: number;
  /** By the clock of the member: its guard ends it then. */
  deadlineMs: number;
  isReady: boolean;
  isEnding: boolean;
}

/** A member. */
export interface Played {
  node: string;
  boot: number;
  /** Of its clock. */
  rate: number;
  /** Its process is stopped; its guard is not. */
  isFrozen: boolean;
  isKilled: boolean;
  /** It does not reach the leader. */
  isCut: boolean;
  /** Guard and process are stopped together: nothing ends the program. */
  isPaused: boolean;
  isDrained: boolean;
  programs: Program[];
  ended: { program: Program; what: "ended" | "failed" }[];
  terms: HeldTerms;
  leading: AbortController | undefined;
  lastCallMs: number;
  /** Counts its calls; 0 in `waits`: none is on its way. An answer to a call that it gave up is not heard. */
  calls: number;
  waits: number;
  goneSinceMs: number | undefined;
}

/** Plays a fleet. `random` returns a number from 0 to 1. */
export class PlacedWorld {
  readonly members: Played[];
  readonly service: ServiceShape;
  timeMs = 0;
  seq = 1;
  term = 0;
  row: ServiceRow | undefined;
  /** The newest fence that the resource has seen, and writes that it refused. */
  resource = { newest: 0, refused: 0 };
  /** Most programs that ran at one time. */
  mostRunning = 0;
  readonly #random: () => number;
  #leader = 0;
  /** A leader waits for the outcome of what it proposed. */
  #proposed: { step: Step; resolve: () => void } | undefined;
  readonly #due: { atMs: number; run: () => void }[] = [];

  constructor(random: () => number, declared: Partial<Record<keyof ServiceShape, unknown>> = {}) {
    this.#random = random;
    this.service = serviceShape.parse({
      ...{ argv: ["web"], primary: "n0", backups: ["n1", "n2"], lease: 10, backoff: 1, attempts: 2 },
      ...declared,
    });
    this.members = [0, 1, 2].map((at) => {
      const rate = 1 + (this.#random() - 0.5) / 100;
      return {
        ...{ node: `n${at}`, boot: 1, rate, isFrozen: false, isKilled: false, isCut: false, isPaused: false },
        ...{
          isDrained: false,
          programs: [],
          ended: [],
          leading: undefined,
          lastCallMs: 0,
          calls: 0,
          waits: 0,
          goneSinceMs: undefined,
        },
        terms: new HeldTerms({ nowMs: () => this.timeMs * rate, since: "played", stepMs: 0 }),
      };
    });
    this.lead(0);
  }

  /** Another member leads. The one before does not know it while it is stopped. */
  lead(at: number): void {
    // What the one before proposed is in the log of the next one, before all that is its own; or it never will be.
    this.#settle(this.#random() < 0.5);
    for (const member of this.members) if (!member.isFrozen) this.#depose(member);
    this.term += 1;
    this.#leader = at;
    const member = this.#at(at);
    this.#depose(member);
    member.leading = new AbortController();
    member.terms.begin(member.leading.signal);
  }

  #depose(member: Played): void {
    member.leading?.abort();
    member.leading = undefined;
  }

  #at(index: number): Played {
    return this.members[index] as Played;
  }

  /** Every program that runs now. */
  running(): Program[] {
    return this.members.flatMap(({ programs }) => programs);
  }

  /** Kills the process of a member: its guard ends what runs at once. */
  kill(member: Played): void {
    member.isKilled = true;
    member.isFrozen = false;
    member.programs = [];
    member.ended = [];
    member.waits = 0;
  }

  /** Starts it again: another process, which knows nothing. */
  restart(member: Played): void {
    member.isKilled = false;
    member.boot += 1;
    this.#depose(member);
  }

  /** An operator asks for something. */
  ask(asked: "move" | "restart", pin: string): void {
    const at = this.#stamp();
    const found = this.row ?? newRow({ name: NAME, copy: "", space: "ops" }, at);
    this.row = { ...found, asked, pin, revision: found.revision + 1, not_before: 0, failures: 0, tried: "[]" };
  }

  /** Lets time go by. */
  async pass(ms: number): Promise<void> {
    for (const untilMs = this.timeMs + ms; this.timeMs < untilMs; ) {
      this.timeMs += TICK_MS;
      for (const due of this.#due.splice(0).sort((one, other) => one.atMs - other.atMs)) {
        if (due.atMs <= this.timeMs) due.run();
        else this.#due.push(due);
      }
      for (const member of this.members) this.#play(member);
      this.#decide();
      // What waits for an outcome goes on.
      for (let turn = 0; turn < 8; turn += 1) await Promise.resolve();
      this.mostRunning = Math.max(this.mostRunning, this.running().length);
      for (const { fence } of this.running()) {
        if (fence < this.resource.newest) this.resource.refused += 1;
        else this.resource.newest = fence;
      }
    }
  }

  #later(longestMs: number, run: () => void): void {
    this.#due.push({ atMs: this.timeMs + this.#random() * longestMs, run });
  }

  #stamp() {
    this.seq += 1;
    return { seq: this.seq, timeMs: this.timeMs, n: 1 };
  }

  /** A guard ends a program at its deadline; a process that runs calls the leader. */
  #play(member: Played): void {
    const ownMs = this.timeMs * member.rate;
    const isGone = member.isKilled || member.isFrozen || member.isCut;
    member.goneSinceMs = isGone ? (member.goneSinceMs ?? this.timeMs) : undefined;
    if (member.isPaused) return;
    for (const program of [...member.programs]) if (ownMs >= program.deadlineMs) this.#end(member, program, "failed");
    if (member.isKilled || member.isFrozen) return;
    for (const program of member.programs) {
      if (program.isEnding && this.#random() < 0.3) this.#end(member, program, "ended");
      if (!program.isEnding && !program.isReady && this.#random() < 0.2) program.isReady = true;
    }
    const isNew = member.ended.length > 0 || this.#isGiven(member) || member.programs.some(({ isEnding }) => isEnding);
    if (member.waits > 0 && this.timeMs - member.lastCallMs < CALL_MS) return;
    if (this.timeMs - member.lastCallMs >= (isNew ? 300 : 1500)) this.#call(member);
  }

  #end(member: Played, program: Program, what: "ended" | "failed"): void {
    member.programs = member.programs.filter((each) => each !== program);
    member.ended.push({ program, what });
  }

  #isGiven({ node, boot, programs }: Played): boolean {
    const { row } = this;
    if (row === undefined || !isHeld(row) || row.node !== node || row.boot !== String(boot)) return false;
    return !programs.some(({ start }) => start === startText(row)) || row.state === "stopping";
  }

  /** One call of service_work, with its way there and back. */
  #call(member: Played): void {
    member.lastCallMs = this.timeMs;
    member.calls += 1;
    member.waits = member.calls;
    const { boot, calls: call } = member;
    if (member.isCut) return;
    const sentMs = this.timeMs * member.rate;
    const told = [...member.ended];
    const ready = member.programs.filter(({ isReady }) => isReady).map(({ start }) => start);
    this.#later(900, () => void this.#answer(member, { boot, call, sentMs, told, ready }));
  }

  async #answer(
    member: Played,
    {
      boot,
      call,
      sentMs,
      told,
      ready,
    }: { boot: number; call: number; sentMs: number; told: Played["ended"]; ready: readonly string[] },
  ): Promise<void> {
    const leader = this.#at(this.#leader);
    // What does not lead passes no barrier.
    if (leader.leading === undefined || leader.isFrozen || leader.isKilled) return;
    const { terms } = leader;
    for (const { program, what } of told) this.#say(program.n, program.fence, what);
    if (this.row !== undefined && ready.includes(startText(this.row))) this.#say(1, this.row.fence_seq, "ready");
    const before = this.row;
    if (before === undefined || !isHeld(before) || before.node !== member.node || before.boot !== String(boot))
      return void this.#later(2500, () => this.#hear(member, undefined, { boot, call, sentMs, told }));
    const key = startText(before);
    let isTheirs = true;
    const find = () => {
      isTheirs = this.row !== undefined && isHeld(this.row) && startText(this.row) === key;
      if (!isTheirs) throw new Error("it is over");
      return { key, ttlMs: before.lease_ms };
    };
    await terms.renew(key, find, new AbortController().signal).catch(() => {});
    const { row } = this;
    // One that does not lead any more, or never heard of it, gives nothing.
    if (terms.leading.aborted) return;
    const given = isTheirs && row !== undefined ? { ...row } : undefined;
    this.#later(2500, () => this.#hear(member, given, { boot, call, sentMs, told }));
  }

  #say(n: number, seq: number, what: Said["what"]): void {
    const said: Said = { name: NAME, copy: "", n, seq, what, reason: what };
    const made = takeSaid(this.row, said, this.#stamp());
    if (made !== undefined) this.row = made.row;
  }

  #hear(
    member: Played,
    given: ServiceRow | undefined,
    { boot, call, sentMs, told }: { boot: number; call: number; sentMs: number; told: Played["ended"] },
  ): void {
    // A stopped process hears it once it goes on.
    if (member.isFrozen || member.isPaused)
      return void this.#later(1000, () => this.#hear(member, given, { boot, call, sentMs, told }));
    if (member.isKilled || member.boot !== boot || member.waits !== call) return;
    member.waits = 0;
    const start = given === undefined ? "" : startText(given);
    for (const program of member.programs) if (program.start !== start) program.isEnding = true;
    member.ended = member.ended.filter((each) => !told.includes(each) || each.program.start === start);
    if (given === undefined) return;
    const deadlineMs = this.timeMs * member.rate + countedOnMs(given.lease_ms, sentMs, this.timeMs * member.rate);
    const known = member.programs.find((program) => program.start === start);
    const isOver = member.ended.some(({ program }) => program.start === start);
    if (known !== undefined) {
      known.deadlineMs = deadlineMs;
      if (given.state === "stopping") known.isEnding = true;
    } else if (!isOver && deadlineMs > this.timeMs * member.rate) {
      const { fence_seq: fence, n } = given;
      const program: Program = { start, fence, n, deadlineMs, isReady: false, isEnding: false };
      if (given.state === "starting") member.programs.push(program);
      else member.ended.push({ program, what: "failed" });
    }
  }

  #decide(): void {
    const leader = this.#at(this.#leader);
    if (leader.leading === undefined || leader.isFrozen || leader.isKilled) return;
    const { terms } = leader;
    const { row } = this;
    const held = row !== undefined && isHeld(row) ? [{ key: startText(row), ttlMs: row.lease_ms }] : [];
    const over = terms.look(held);
    const [decision] = decide(this.world((each) => over.has(startText(each))));
    const step = decision?.step;
    if (step === undefined || this.#proposed !== undefined) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    if (step.to === "idle" && row !== undefined) terms.end(startText(row), promise);
    const proposed = { step, resolve };
    this.#proposed = proposed;
    this.#later(1200, () => {
      if (this.#proposed === proposed) this.#settle(true);
    });
  }

  #settle(isApplied: boolean): void {
    const { step, resolve } = this.#proposed ?? {};
    this.#proposed = undefined;
    if (step !== undefined && isApplied) this.#take(step);
    resolve?.();
  }

  #take(step: Step): void {
    const made = takeStep(this.row, step, this.#stamp());
    if (made !== undefined) this.row = made.row;
  }

  /** What decisions depend on now. */
  world(isOver: World["isOver"] = () => false): World {
    return {
      ...{ timeMs: this.timeMs, term: this.term, services: [{ name: NAME, value: this.service, sinceMs: 0 }], isOver },
      services: [{ name: NAME, value: this.service, sinceMs: 0 }],
      remark: () => ({}),
      demand: () => ({ isNeeded: true, why: "" }),
      rows: this.row === undefined ? [] : [this.row],
      nodes: this.members.map(({ node, boot, isDrained, goneSinceMs }) => ({
        ...{ node, name: node, boot: String(boot), offers: new Set([NAME]), labels: [], drained: isDrained },
        away: goneSinceMs !== undefined && this.timeMs - goneSinceMs > 2000,
        thereMs: goneSinceMs === undefined ? this.timeMs : 0,
      })),
      rank: () => [],
    };
  }
}
