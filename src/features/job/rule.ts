// How rules are declared (contexts fleet/rules/NAME), and what a rule makes of the number of its probe. Pure.

import { z } from "zod";
import { boundFields, boundProblem, boundText, isBeyond } from "../../operation/bound.ts";
import type { DeclaredKind } from "../../operation/declared-kind.ts";
import { actionName } from "./action.ts";
import { startChoices } from "./start.ts";

const DAY_SECONDS = 86_400;
const MAX_AT_MOST = 1000;
/** Shortest time between two firings, in seconds: each is a job in the log. */
const MIN_COOL_DOWN_SECONDS = 10;

const { input, priority, attempts } = startChoices;

/** What is declared of a rule. */
export const ruleShape = z.strictObject({
  ...boundFields,
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
  problem: boundProblem,
};

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
  const { at_most: most, for_seconds: seconds } = rule;
  const is = (state: RuleState, why: string) => ({ state, why });
  if (rule.paused) return is("paused", "its declaration says paused");
  if (problem !== undefined) return is("failing", problem);
  if ("why" in measured) return is("unknown", measured.why);
  const bound = boundText(rule);
  if (!isBeyond(rule, measured.value)) return is("within", `${measured.value} is not ${bound}`);
  const held = Math.floor(heldMs / 1000);
  if (heldMs < seconds * 1000) return is("waiting", `${bound} for ${held} s of ${seconds} s`);
  if (nowMs < nextMs) return is("cooling", `it may fire again in ${Math.ceil((nextMs - nowMs) / 1000)} s`);
  if (open >= most) return is("full", `${open} of at most ${most} jobs of ${rule.start.action} have not ended`);
  return is("firing", `${measured.value} is ${bound}`);
}
