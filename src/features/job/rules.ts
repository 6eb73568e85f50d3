// The leader's duty about rules: follows what probes measure, and fires what is due. How long a number is beyond its
// bound is in memory: a new leader begins to count again, so it may fire later, and never sooner.

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
import { isBeyond, nextRun, type Run } from "../../operation/bound.ts";
import type { Declaration, Declarations } from "../../operation/declared-kind.ts";
import type { Measured, MeasuredBy } from "../../operation/measured.ts";
import { ServiceKey } from "../../operation/services.ts";
import type { Reader } from "../../store/store.ts";
import { ACTION } from "./action.ts";
import type { jobConditions } from "./conditions.ts";
import { JOB_LEVEL } from "./rows.ts";
import { judgeRule, RULE, type RuleShape, type RuleState } from "./rule.ts";
import { jobRuleFire, openJobs, ruleRow, ruleRows } from "./rule-fire.ts";
import { DEFAULT_SPACE, type NewJob, newJobOf } from "./start.ts";

/** Between two looks, in ms. */
const LOOK_MS = 1000;
const MAX_SAID = 480;

/** The rules of a node. */
export const RULES: ServiceKey<Rules> = new ServiceKey("the rules of the leader");

/** What the duty needs of its node. */
export interface RulesOptions {
  reader: Reader;
  log: () => Log;
  declarations: Declarations;
  /** Undefined: this node has no probes. */
  measured: () => MeasuredBy | undefined;
  monotonicMs: () => number;
  conditions: ConditionsOf<keyof typeof jobConditions>;
  say: LogLine;
}

/** A rule as the leader has it. */
export interface RuleNow {
  name: string;
  rule: RuleShape;
  /** Space of its jobs, and that of its probe. */
  space: string;
  probeSpace: string;
  state: RuleState;
  why: string;
  value: number | undefined;
  /** For how long it is beyond the bound; undefined: it is not. */
  heldMs: number | undefined;
  open: number;
  firings: number;
  /** Log times in ms; 0: never, and at once. */
  firedMs: number;
  nextMs: number;
  job: NewJob | undefined;
}

/** What a plan supposes: this number, from now on until all times are over. */
export interface Supposed {
  value: number;
}

/** Follows rules while its node leads. */
export class Rules {
  readonly #options: RulesOptions;
  readonly #runs = new Map<string, { declaration: Declaration<RuleShape>; run: Run }>();
  #leads = false;

  constructor(options: RulesOptions) {
    this.#options = options;
  }

  /** The duty. */
  lead({ signal }: Pick<Lead, "signal">): void {
    this.begin();
    void this.#watch(signal);
  }

  /** Forgets what it saw in an earlier term. */
  begin(): void {
    this.#runs.clear();
    this.#leads = true;
  }

  async #watch(signal: AbortSignal): Promise<void> {
    const { reader, say, conditions } = this.#options;
    while (!signal.aborted) {
      try {
        if (levelOf(reader) >= JOB_LEVEL) await this.look();
      } catch (error) {
        if (!signal.aborted) say("warning", `rules are looked at later: ${reasonOf(error)}`);
      }
      await pause(LOOK_MS, signal).catch(() => {});
    }
    this.#leads = false;
    this.#runs.clear();
    conditions.clear("rule_failing");
  }

  /** Takes what was measured, and fires what is due. */
  async look(): Promise<void> {
    const { reader, declarations } = this.#options;
    const declared = declarations.list(RULE);
    const names = new Set(declared.map(({ name }) => name));
    for (const name of this.#runs.keys()) if (!names.has(name)) this.#runs.delete(name);
    const found: RuleNow[] = [];
    for (const declaration of declared) {
      this.#follow(declaration);
      const now = this.#now(declaration);
      found.push(now);
      if (now.state === "firing") await this.#fire(declaration, now);
    }
    for (const { name } of ruleRows(reader)) {
      if (names.has(name)) continue;
      const removed = { name, space: DEFAULT_SPACE, version: 0, firing: 0, at_most: 1, cool_down_ms: 0, job: null };
      await this.#propose(removed);
    }
    this.#tell(found);
  }

  /** Returns every rule as it is now; undefined where this node does not lead. */
  list(): RuleNow[] | undefined {
    return this.#leads ? this.#options.declarations.list(RULE).map((each) => this.#now(each)) : undefined;
  }

  /** Returns a rule as it would be once its probe had measured a number for long enough; undefined: there is none. */
  plan(name: string, supposed: Supposed): RuleNow | undefined {
    const declaration = this.#options.declarations.list(RULE).find((each) => each.name === name);
    return declaration && this.#now(declaration, supposed);
  }

  /** Takes a measurement into the run of a rule. */
  #follow(declaration: Declaration<RuleShape>): void {
    const { name, version, sinceMs } = declaration;
    const kept = this.#runs.get(name);
    const isSame = kept?.declaration.version === version && kept.declaration.sinceMs === sinceMs;
    const measured = this.#measured(declaration.value.probe);
    // A number that no one knows is none: the time begins again.
    const before = isSame ? kept.run : undefined;
    const run =
      "why" in measured ? undefined : nextRun(isBeyond(declaration.value, measured.value), before, measured.atMs);
    if (run === undefined) this.#runs.delete(name);
    else this.#runs.set(name, { declaration, run });
  }

  #measured(probe: string): Measured {
    const by = this.#options.measured();
    return by === undefined ? { space: DEFAULT_SPACE, why: "this node has no probes" } : by(probe);
  }

  #now({ name, value: rule }: Declaration<RuleShape>, supposed?: Supposed): RuleNow {
    const { reader, log, monotonicMs } = this.#options;
    const found = this.#measured(rule.probe);
    const measured = supposed === undefined ? found : { ...found, ...supposed, atMs: monotonicMs() };
    const made = this.#jobOf(rule);
    const job = "problem" in made ? undefined : made;
    const row = ruleRow(reader, name);
    const space = job?.space ?? DEFAULT_SPACE;
    const open = openJobs(reader, { space, action: rule.start.action }, rule.at_most);
    const run = this.#runs.get(name)?.run;
    const value = "value" in measured ? measured.value : undefined;
    const isOver = value !== undefined && isBeyond(rule, value);
    const heldMs = run === undefined || !isOver ? undefined : run.lastMs - run.firstMs;
    const nextMs = row === undefined ? 0 : row.fired_at + rule.cool_down_seconds * 1000;
    const judged = judgeRule(rule, {
      problem: "problem" in made ? made.problem : undefined,
      measured: value === undefined ? { why: "why" in measured ? measured.why : "" } : { value },
      heldMs: supposed === undefined ? (heldMs ?? 0) : rule.for_seconds * 1000,
      // A plan says what holds a firing up for good, and not for a time.
      nowMs: supposed === undefined ? log().timeMs() : Math.max(log().timeMs(), nextMs),
      ...{ nextMs, open },
    });
    return {
      ...{ name, rule, space, probeSpace: found.space, ...judged, value, heldMs, open, job },
      ...{ firings: row?.firing ?? 0, firedMs: row?.fired_at ?? 0, nextMs },
    };
  }

  #jobOf({ start }: RuleShape): NewJob | { problem: string } {
    const action = this.#options.declarations.list(ACTION).find(({ name }) => name === start.action);
    if (action === undefined) return { problem: `there is no action ${start.action}` };
    try {
      return newJobOf(action, start);
    } catch (error) {
      if (error instanceof Fault) return { problem: error.message };
      throw error;
    }
  }

  async #fire({ name, version, value: rule }: Declaration<RuleShape>, now: RuleNow): Promise<void> {
    const { space, firings, job = null } = now;
    const bounds = { at_most: rule.at_most, cool_down_ms: rule.cool_down_seconds * 1000 };
    await this.#propose({ name, space, version, firing: firings + 1, ...bounds, job });
  }

  async #propose(input: unknown): Promise<void> {
    await this.#options.log().propose(nodeCommand(jobRuleFire, input));
  }

  #tell(found: readonly RuleNow[]): void {
    const { conditions } = this.#options;
    const failing = found.filter(({ state }) => state === "failing");
    if (failing.length === 0) {
      conditions.clear("rule_failing");
      return;
    }
    const said = printableLine(failing.map(({ name, why }) => `${name}: ${why}`).join("; ")).slice(0, MAX_SAID);
    const plain = `${counted(failing.length, "rule")} cannot start a job`;
    conditions.raise("rule_failing", said, { spaces: ["fleet"], plain });
  }
}
