// The leader's duty: gathers what members say of their probes, and puts into the log what differs from it. So each
// transition is written once, by whoever leads.

import { counted } from "../../lib/counted.ts";
import { pause } from "../../lib/pause.ts";
import { printableLine } from "../../lib/printable.ts";
import { reasonOf } from "../../lib/reason-of.ts";
import type { Lead } from "../../log/duties.ts";
import { levelOf } from "../../log/level.ts";
import type { Command } from "../../log/log.ts";
import { nodeCommand } from "../../log/node-command.ts";
import type { ConditionsOf } from "../../observe/conditions.ts";
import type { LogLine } from "../../observe/logging.ts";
import type { Declaration, Declarations } from "../../operation/declared-kind.ts";
import { declaredRow } from "../../operation/declared-rows.ts";
import type { Measured } from "../../operation/measured.ts";
import type { SeenMember } from "../../operation/surroundings.ts";
import type { Reader } from "../../store/store.ts";
import type { probeConditions } from "./conditions.ts";
import { DEFAULT_SPACE, probeBeatKeep } from "./control.ts";
import { Damping } from "./damping.ts";
import { PROBE, type ProbeShape } from "./declared.ts";
import { type ControlRow, controlRow, controlRows, PROBE_LEVEL, probeId, type StateRow, stateRows } from "./rows.ts";
import type { Report, Runner } from "./runner.ts";
import { inMaintenance } from "./timing.ts";
import { MAX_TRANSITIONS, probeTransition, type Transition } from "./transition.ts";

/** Between two looks, in ms. */
const LOOK_MS = 1000;
/** Looks between two questions to the other members. */
const ASK_EACH = 3;
/** A member that does not answer for so long says nothing of its probes any more, in ms. */
const SILENT_MS = 30_000;
const MAX_SAID = 480;

/** What is known of the probes of such a member. */
const SILENT = { state: "unknown", cause: "machine", detail: "its member does not respond" } as const;

/** What is not there any more. */
const GONE = { state: "gone", cause: "", detail: "", quiet: true } as const;

/** What the watch needs of its node. */
export interface WatchOptions {
  runner: Pick<Runner, "lead" | "reports" | "isReady" | "owedBeats">;
  declarations: Declarations;
  reader: Reader;
  /** The members as this node sees them. */
  members: () => readonly SeenMember[];
  /** Asks another member for the reports of its own probes. Rejects where it does not answer. */
  ask: (node: string, signal: AbortSignal) => Promise<readonly Report[]>;
  propose: (command: Command) => Promise<unknown>;
  conditions: ConditionsOf<keyof typeof probeConditions>;
  say: LogLine;
  /** Wall clock, by which mutes and windows go, and a clock for durations, in ms. */
  nowMs: () => number;
  monotonicMs: () => number;
}

/** What a member said of a probe. */
interface Said extends Report {
  /** "": it is a probe of the leader. */
  node: string;
}

/** Watches while its node leads. */
export class Watch {
  readonly #options: WatchOptions;
  /** What other members said last, and when by the monotonic clock. */
  readonly #others = new Map<string, { reports: readonly Report[]; atMs: number }>();
  readonly #damping = new Damping();
  #looks = 0;
  #leadsSinceMs = 0;

  constructor(options: WatchOptions) {
    this.#options = options;
  }

  /** The duty. */
  lead({ signal }: Pick<Lead, "signal">): void {
    this.#options.runner.lead(true);
    this.begin();
    void this.#watch(signal);
  }

  /** Forgets what members said to this node in an earlier term. */
  begin(): void {
    this.#others.clear();
    this.#damping.clear();
    this.#leadsSinceMs = this.#options.monotonicMs();
  }

  async #watch(signal: AbortSignal): Promise<void> {
    const { reader, say, runner, conditions } = this.#options;
    while (!signal.aborted) {
      try {
        if (levelOf(reader) >= PROBE_LEVEL) await this.look(signal);
      } catch (error) {
        if (!signal.aborted) say("warning", `what probes became is kept later: ${reasonOf(error)}`);
      }
      await pause(LOOK_MS, signal).catch(() => {});
    }
    runner.lead(false);
    conditions.clear("probe_down");
  }

  /** Gathers and proposes once. */
  async look(signal: AbortSignal): Promise<void> {
    const { declarations, runner, reader, members, nowMs, monotonicMs } = this.#options;
    const declared = new Map(declarations.list(PROBE).map((each) => [each.name, each]));
    const rows = stateRows(reader);
    const controls = new Map(controlRows(reader).map((row) => [row.name, row]));
    if (declared.size === 0 && rows.length === 0 && controls.size === 0) {
      this.#options.conditions.clear("probe_down");
      return;
    }
    await this.#askOthers(declared, signal);
    const self = members().find((member) => member.self)?.node ?? "";
    const said = [
      ...runner.reports("leader").map((each): Said => ({ ...each, node: "" })),
      ...runner.reports("member").map((each): Said => ({ ...each, node: self })),
      ...this.#saidByOthers(monotonicMs()),
      ...this.#unheard(rows, self, monotonicMs()),
    ];
    const byPlace = new Map(rows.map((row) => [placeOf(row), row]));
    const news = [
      ...said.flatMap((each) => {
        const declaration = declared.get(each.name);
        const row = byPlace.get(placeOf(each));
        const times = { declaredMs: declaration?.sinceMs ?? 0, nowMs: monotonicMs() };
        const damped = this.#damping.take(placeOf(each), each, row, times);
        return damped === undefined ? [] : transitionOf(damped, declaration, row, controls.get(each.name), nowMs());
      }),
      ...this.#gone(rows, declared, said),
      ...this.#forgotten(rows, controls),
    ];
    this.#damping.only(new Set(said.map(placeOf)));
    for (let at = 0; at < news.length; at += MAX_TRANSITIONS) {
      signal.throwIfAborted();
      await this.#propose(probeTransition, { transitions: news.slice(at, at + MAX_TRANSITIONS) });
    }
    for (const beat of runner.owedBeats()) {
      signal.throwIfAborted();
      await this.#propose(probeBeatKeep, beat);
    }
    this.#tell(stateRows(reader), controls, declared);
  }

  /** Returns the number that a probe measured last, or why there is none. */
  measured(name: string): Measured {
    const { declarations, reader, runner, monotonicMs } = this.#options;
    const probe = declarations.list(PROBE).find((each) => each.name === name)?.value;
    if (probe === undefined) return { space: DEFAULT_SPACE, why: `there is no probe ${name}` };
    const none = (why: string): Measured => ({ space: probe.space, why: `the probe ${name} ${why}` });
    if (probe.value === undefined) return none("measures no number: it declares no value");
    if (controlRow(reader, name)?.paused === 1) return none("is paused");
    if (probe.where === "all" || probe.where.startsWith("label:")) return none("has a number on each of many members");
    const nowMs = monotonicMs();
    const own = runner
      .reports(probe.where === "leader" ? "leader" : "member")
      .map((each) => ({ ...each, atMs: nowMs }));
    // Of members that are silent nothing is known.
    const others = [...this.#others.values()].filter(({ atMs }) => nowMs - atMs < SILENT_MS);
    const theirs = others.flatMap(({ reports, atMs }) => reports.map((each) => ({ ...each, atMs })));
    const all = probe.where === "leader" ? own : [...own, ...theirs];
    const found = all.find((each) => each.name === name);
    if (found?.value === undefined) return none("has no number that is fresh");
    return { space: probe.space, value: found.value, atMs: found.atMs - (found.ageMs ?? 0) };
  }

  async #propose({ name, v }: { name: string; v: number }, input: unknown): Promise<void> {
    await this.#options.propose(nodeCommand({ name, v }, input));
  }

  async #askOthers(declared: ReadonlyMap<string, Declaration<ProbeShape>>, signal: AbortSignal): Promise<void> {
    const { members, ask, monotonicMs } = this.#options;
    this.#looks += 1;
    const isElsewhere = [...declared.values()].some(({ value }) => value.where !== "leader");
    if (!isElsewhere) this.#others.clear();
    if (!isElsewhere || this.#looks % ASK_EACH !== 1) return;
    const others = members().filter(({ self, sleeps }) => !self && !sleeps);
    for (const node of this.#others.keys())
      if (!others.some((member) => member.node === node)) this.#others.delete(node);
    // One that is away would hold up what the others say until its time is over.
    const near = others.filter(({ away }) => !away);
    await Promise.all(
      near.map(async ({ node }) => {
        const reports = await ask(node, signal).catch(() => undefined);
        if (reports !== undefined) this.#others.set(node, { reports, atMs: monotonicMs() });
      }),
    );
  }

  /** What a member said holds until it is silent for long: then nothing is known, and no one is alarmed. */
  #saidByOthers(nowMs: number): Said[] {
    return [...this.#others].flatMap(([node, { reports, atMs }]) =>
      reports.map((each): Said => {
        if (nowMs - atMs < SILENT_MS) return { ...each, node };
        return { name: each.name, node, ...SILENT };
      }),
    );
  }

  /** What the log has of members that have said nothing since this node leads, once that is long enough. */
  #unheard(rows: readonly StateRow[], self: string, nowMs: number): Said[] {
    if (nowMs - this.#leadsSinceMs < SILENT_MS) return [];
    return rows
      .filter(({ node }) => node !== "" && node !== self && !this.#others.has(node))
      .map(({ name, node }) => ({ name, node, ...SILENT }));
  }

  /** Rows of what is no longer declared, or is no longer done by that member, although it answers. */
  #gone(
    rows: readonly StateRow[],
    declared: ReadonlyMap<string, Declaration<ProbeShape>>,
    said: readonly Said[],
  ): Transition[] {
    const { members, runner } = this.#options;
    const seen = members();
    const places = new Set(said.map(placeOf));
    const isDone = ({ name, node }: StateRow): boolean => {
      const where = declared.get(name)?.value.where;
      if (where === undefined || (node === "") !== (where === "leader")) return false;
      if (node === "") return true;
      const member = seen.find((each) => each.node === node);
      if (member === undefined) return seen.length === 0;
      const hasSaid = member.self ? runner.isReady : this.#others.has(node);
      return !hasSaid || places.has(placeOf({ name, node }));
    };
    return rows.filter((row) => !isDone(row)).map(({ name, node, space }) => ({ ...GONE, name, node, space }));
  }

  /** What people said of probes that ended before they had a state: one declared later by that name is another. */
  #forgotten(rows: readonly StateRow[], controls: ReadonlyMap<string, ControlRow>): Transition[] {
    const withRows = new Set(rows.map(({ name }) => name));
    const isDeclared = (name: string) => (declaredRow(this.#options.reader, probeId(name))?.version ?? 0) > 0;
    return [...controls.values()]
      .filter(({ name }) => !withRows.has(name) && !isDeclared(name))
      .map(({ name, space }) => ({ ...GONE, name, node: "", space }));
  }

  #tell(
    rows: readonly StateRow[],
    controls: ReadonlyMap<string, ControlRow>,
    declared: ReadonlyMap<string, Declaration<ProbeShape>>,
  ): void {
    const { conditions, nowMs } = this.#options;
    const down = rows.filter(({ name, state }) => {
      const declaration = declared.get(name);
      return state === "down" && declaration !== undefined && !isQuiet(declaration.value, controls.get(name), nowMs());
    });
    if (down.length === 0) {
      conditions.clear("probe_down");
      return;
    }
    const said = printableLine(down.map(({ name, detail }) => `${name}: ${detail}`).join("; "));
    const more = said.length > MAX_SAID ? `… (${down.length} in all)` : "";
    const verb = down.length === 1 ? "is" : "are";
    conditions.raise("probe_down", `${said.slice(0, MAX_SAID)}${more}`, {
      spaces: down.map(({ space }) => space),
      plain: `${counted(down.length, "probe")} ${verb} down`,
    });
  }
}

/** Returns a probe at its runner as one text: names have no blanks. */
function placeOf({ name, node }: Pick<StateRow, "name" | "node">): string {
  return `${name} ${node}`;
}

/** Reports whether no one is to be told of a probe now. */
function isQuiet(probe: ProbeShape, control: ControlRow | undefined, nowMs: number): boolean {
  return control?.paused === 1 || (control?.muted_until ?? 0) > nowMs || inMaintenance(probe, nowMs);
}

/** Returns what is not as the log has it; also a `down` of which no one was told while it was to be quiet. */
function transitionOf(
  { name, node, state, cause, detail }: Said,
  declaration: Declaration<ProbeShape> | undefined,
  row: StateRow | undefined,
  control: ControlRow | undefined,
  nowMs: number,
): Transition[] {
  if (declaration === undefined || control?.paused === 1) return [];
  const { space, where } = declaration.value;
  // A row of an earlier place is gone.
  if ((node === "") !== (where === "leader")) return [];
  const isUntold = state === "down" && row?.told === 0 && !isQuiet(declaration.value, control, nowMs);
  const isSame = row?.state === state && row.cause === cause && row.space === space;
  if (isSame && !isUntold) return [];
  if (row === undefined && state === "starting") return [];
  // A window takes a fifth of a millisecond to look up, so only what is written asks for it.
  const quiet = inMaintenance(declaration.value, nowMs);
  return [{ name, node, space, state, cause, detail, quiet }];
}
