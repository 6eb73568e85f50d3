// How rules are declared (contexts fleet/rules/NAME), and what a rule makes of the number of its probe. Pure.

import { z } from "zod";
import { DECLARED_NAME, type DeclaredKind } from "../../operation/declared-kind.ts";
import { actionName } from "./action.ts";
import { startChoices } from "./start.ts";

const DAY_SECONDS = 86_400;
const MAX_AT_MOST = 1000;
/** Shortest time between two firings, in seconds: each is a job in the log. */
const MIN_COOL_DOWN_SECONDS = 10;

const { input, priority, attempts } = startChoices;

/** What is declared of a rule. */
export const ruleShape = z.strictObject({
  probe: z
    .string()
    .regex(DECLARED_NAME, "takes 1 to 64 of a-z, 0-9 and . _ - (not first)")
    .describe("The probe whose number counts: one with `value`, on the leader or on one member"),
  above: z.number().optional().describe("It fires while the number is greater than this"),
  below: z.number().optional().describe("Or while it is less than this"),
  for_seconds: z
    .number()
    .int()
    .min(0)
    .max(DAY_SECONDS)
    .default(60)
    .describe("For so long every measurement must say so; 0: one is enough"),
  start: z.strictObject({ action: actionName, input, priority, attempts }).describe("The job that it starts"),
  at_most: z
    .number()
    .int()
    .min(1)
    .max(MAX_AT_MOST)
    .default(1)
    .describe("It starts none while so many jobs of the action have not ended, whoever started them"),
  cool_down_seconds: z
    .number()
    .int()
    .min(MIN_COOL_DOWN_SECONDS)
    .max(DAY_SECONDS)
    .default(300)
    .describe("Seconds between two firings at least"),
  paused: z.boolean().default(false),
  description: z.string().max(512).optional(),
});

/** A rule, as declared. */
export type RuleShape = z.output<typeof ruleShape>;

/** The kind of declarations. */
export const RULE: DeclaredKind<RuleShape> = {
  kind: "rule",
  place: "rules",
  summary: "jobs that start while a number stays above or below a bound, up to a ceiling and with a cool-down",
  schema: ruleShape,
  example: {
    ...{ probe: "queue-length", above: 10, for_seconds: 120, at_most: 3, cool_down_seconds: 300 },
    start: { action: "transcribe", input: { file: "/media/next.mp3" } },
  },
  problem: ({ above, below }) =>
    (above === undefined) === (below === undefined) ? "above or below: a rule has one of them" : undefined,
};

/** Reports whether a number is beyond the bound of a rule. */
export function isBeyond({ above, below }: Pick<RuleShape, "above" | "below">, value: number): boolean {
  return above === undefined ? below !== undefined && value < below : value > above;
}

/** Measurements in a row that are beyond the bound: the times of the first and the last one, in ms. */
export interface Run {
  firstMs: number;
  lastMs: number;
}

/** Returns the run after a measurement; undefined: there is none. */
export function nextRun(
  rule: RuleShape,
  run: Run | undefined,
  { value, atMs }: { value: number; atMs: number },
): Run | undefined {
  if (!isBeyond(rule, value)) return undefined;
  return run === undefined ? { firstMs: atMs, lastMs: atMs } : { ...run, lastMs: Math.max(run.lastMs, atMs) };
}

/** What a rule does now. */
export const RULE_STATES = ["paused", "failing", "unknown", "within", "waiting", "cooling", "full", "firing"] as const;
/** One of RULE_STATES. */
export type RuleState = (typeof RULE_STATES)[number];

/** What decides. */
export interface RuleFacts {
  /** Why its job cannot be started; undefined: it can. */
  problem: string | undefined;
  /** What is measured, or why nothing is. */
  measured: { value: number } | { why: string };
  /** For how long the number is beyond the bound, in ms. */
  heldMs: number;
  /** Log time now, and from which on it may fire again, in ms. */
  nowMs: number;
  nextMs: number;
  /** Jobs of the action that have not ended, counted up to the ceiling. */
  open: number;
}

/** Returns what a rule does now, and why, in words. */
export function judgeRule(rule: RuleShape, facts: RuleFacts): { state: RuleState; why: string } {
  const { problem, measured, heldMs, nowMs, nextMs, open } = facts;
  const { above, below, at_most: most, for_seconds: seconds } = rule;
  const is = (state: RuleState, why: string) => ({ state, why });
  if (rule.paused) return is("paused", "its declaration says paused");
  if (problem !== undefined) return is("failing", problem);
  if ("why" in measured) return is("unknown", measured.why);
  const bound = above === undefined ? `below ${below}` : `above ${above}`;
  if (!isBeyond(rule, measured.value)) return is("within", `${measured.value} is not ${bound}`);
  const held = Math.floor(heldMs / 1000);
  if (heldMs < seconds * 1000) return is("waiting", `${bound} for ${held} s of ${seconds} s`);
  if (nowMs < nextMs) return is("cooling", `it may fire again in ${Math.ceil((nextMs - nowMs) / 1000)} s`);
  if (open >= most) return is("full", `${open} of at most ${most} jobs of ${rule.start.action} have not ended`);
  return is("firing", `${measured.value} is ${bound}`);
}
