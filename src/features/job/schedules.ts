// How schedules are declared, when they are due, and the leader's duty that fires them. An instant and its job are one
// command, so each fires once, whoever leads.

import { Cron } from "croner";
import { z } from "zod";
import { counted } from "../../lib/counted.ts";
import { Fault } from "../../lib/fault.ts";
import { pause } from "../../lib/pause.ts";
import { printableLine } from "../../lib/printable.ts";
import { reasonOf } from "../../lib/reason-of.ts";
import type { Lead } from "../../log/duties.ts";
import { levelOf } from "../../log/level.ts";
import type { Log } from "../../log/log.ts";
import { nodeCommand } from "../../log/node-command.ts";
import type { ConditionsOf } from "../../observe/conditions.ts";
import type { LogLine } from "../../observe/logging.ts";
import type { Declaration, Declarations, DeclaredKind } from "../../operation/declared-kind.ts";
import type { Reader } from "../../store/store.ts";
import { ACTION, actionName } from "./action.ts";
import type { jobConditions } from "./conditions.ts";
import { jobFire, scheduleRow, scheduleRows } from "./internal.ts";
import { JOB_LEVEL } from "./rows.ts";
import { newJobOf, startChoices } from "./start.ts";

/** Between two looks, in ms. */
const LOOK_MS = 1000;
/** An instant that is later than this was missed, in ms: no one led. */
const LATE_MS = 60_000;
/** What is missed for longer is not looked for, in ms. */
const MAX_BACK_MS = 32 * 86_400_000;
const MINUTE_MS = 60_000;
const MAX_SAID = 480;

const { input, priority, concurrency_key, attempts } = startChoices;

/** What is declared of a schedule. */
export const scheduleShape = z.strictObject({
  pattern: z.string().min(1).max(100).describe("Cron expression: minute, hour, day, month, weekday"),
  timezone: z.string().min(1).max(64).default("UTC").describe("Such as Europe/Berlin"),
  catch_up: z
    .enum(["skip", "once"])
    .default("skip")
    .describe("Of instants that were missed: skip starts nothing, once starts one job"),
  action: actionName,
  ...{ input, priority, concurrency_key, attempts },
  paused: z.boolean().default(false),
  description: z.string().max(512).optional(),
});

/** A schedule, as declared. */
export type ScheduleShape = z.output<typeof scheduleShape>;

/** The kind of declarations. */
export const SCHEDULE: DeclaredKind<ScheduleShape> = {
  kind: "schedule",
  place: "schedules",
  summary: "when jobs of an action are started",
  schema: scheduleShape,
  example: {
    pattern: "30 2 * * *",
    timezone: "Europe/Berlin",
    action: "transcribe",
    input: { file: "/media/today.mp3" },
  },
  problem({ pattern, timezone }) {
    try {
      return cronOf(pattern, timezone).nextRun() === null
        ? `pattern: ${JSON.stringify(pattern)} is never due`
        : undefined;
    } catch (error) {
      return `pattern: ${JSON.stringify(pattern)} in ${JSON.stringify(timezone)}: ${reasonOf(error)}`;
    }
  },
};

function cronOf(pattern: string, timezone: string): Cron {
  return new Cron(pattern, { paused: true, mode: "5-part", timezone });
}

/** Returns the first instant after a time, in ms. */
export function nextInstant(
  { pattern, timezone }: Pick<ScheduleShape, "pattern" | "timezone">,
  afterMs: number,
): number {
  return cronOf(pattern, timezone).nextRun(new Date(afterMs))?.getTime() ?? Number.POSITIVE_INFINITY;
}

/** Returns the last instant after `lastMs` and until `nowMs`; undefined: there is none. */
export function dueInstant(
  schedule: Pick<ScheduleShape, "pattern" | "timezone">,
  lastMs: number,
  nowMs: number,
): number | undefined {
  const fromMs = Math.max(lastMs, nowMs - MAX_BACK_MS);
  const cron = cronOf(schedule.pattern, schedule.timezone);
  const after = (ms: number) => cron.nextRun(new Date(ms))?.getTime() ?? Number.POSITIVE_INFINITY;
  // Looks back a minute, then twice as far, so that a schedule of each minute is not walked through for a month.
  for (let backMs = MINUTE_MS; ; backMs *= 2) {
    const beginMs = Math.max(fromMs, nowMs - backMs);
    let found = after(beginMs);
    if (found <= nowMs) {
      for (let next = after(found); next <= nowMs; next = after(found)) found = next;
      return found;
    }
    if (beginMs === fromMs) return undefined;
  }
}

/** What the duty needs of its node. */
export interface SchedulesOptions {
  reader: Reader;
  log: () => Log;
  declarations: Declarations;
  conditions: ConditionsOf<keyof typeof jobConditions>;
  say: LogLine;
}

/** Fires schedules while its node leads. */
export class Schedules {
  readonly #options: SchedulesOptions;
  /** The next instant of each declaration in force, so that a pattern is not asked each second. */
  #next = new WeakMap<Declaration, number>();

  constructor(options: SchedulesOptions) {
    this.#options = options;
  }

  /** The duty. */
  lead({ signal }: Pick<Lead, "signal">): void {
    this.#next = new WeakMap();
    void this.#watch(signal);
  }

  async #watch(signal: AbortSignal): Promise<void> {
    const { reader, say, conditions } = this.#options;
    while (!signal.aborted) {
      try {
        if (levelOf(reader) >= JOB_LEVEL) await this.look();
      } catch (error) {
        if (!signal.aborted) say("warning", `schedules are looked at later: ${reasonOf(error)}`);
      }
      await pause(LOOK_MS, signal).catch(() => {});
    }
    conditions.clear("schedule_failing");
  }

  /** Fires what is due. */
  async look(): Promise<void> {
    const { reader, log, declarations } = this.#options;
    const nowMs = log().timeMs();
    const declared = declarations.list(SCHEDULE);
    for (const declaration of declared) {
      if (nowMs < (this.#next.get(declaration) ?? 0)) continue;
      const lastMs = Math.max(scheduleRow(reader, declaration.name)?.last_at ?? 0, declaration.sinceMs);
      const at = dueInstant(declaration.value, lastMs, nowMs);
      if (at !== undefined) await this.#fire(declaration, at, nowMs);
      this.#next.set(declaration, nextInstant(declaration.value, nowMs));
    }
    const names = new Set(declared.map(({ name }) => name));
    for (const { name } of scheduleRows(reader))
      if (!names.has(name)) await this.#propose({ name, space: "fleet", at: 0, job: null });
    this.#tell(declared);
  }

  async #fire({ name, value }: Declaration<ScheduleShape>, at: number, nowMs: number): Promise<void> {
    const isMissed = nowMs - at > LATE_MS && value.catch_up === "skip";
    const made = this.#jobOf(value);
    const space = "space" in made ? made.space : "fleet";
    await this.#propose({ name, space, at, job: value.paused || isMissed || "problem" in made ? null : made });
  }

  #jobOf(value: ScheduleShape): ReturnType<typeof newJobOf> | { problem: string } {
    const action = this.#options.declarations.list(ACTION).find(({ name }) => name === value.action);
    if (action === undefined) return { problem: `there is no action ${value.action}` };
    try {
      return newJobOf(action, value);
    } catch (error) {
      if (error instanceof Fault) return { problem: error.message };
      throw error;
    }
  }

  async #propose(fired: { name: string; space: string; at: number; job: unknown }): Promise<void> {
    await this.#options.log().propose(nodeCommand(jobFire, fired));
  }

  #tell(declared: readonly Declaration<ScheduleShape>[]): void {
    const { conditions } = this.#options;
    const problems = declared.flatMap(({ name, value }) => {
      const made = value.paused ? {} : this.#jobOf(value);
      return "problem" in made ? [`${name}: ${made.problem}`] : [];
    });
    if (problems.length === 0) {
      conditions.clear("schedule_failing");
      return;
    }
    const plain = `${counted(problems.length, "schedule")} cannot start a job`;
    const said = printableLine(problems.join("; ")).slice(0, MAX_SAID);
    conditions.raise("schedule_failing", said, { spaces: ["fleet"], plain });
  }
}
