// rule_list and rule_plan: what rules do now, and would do, as the leader has it. And their routes.

import { z } from "zod";
import { Fault } from "../../lib/fault.ts";
import { parseObject } from "../../lib/json-object.ts";
import { timeOf } from "../../lib/time-of.ts";
import { SHOW_ROW } from "../../lib/work.ts";
import { DECLARED_NAME } from "../../operation/declared-kind.ts";
import { type Operation, read } from "../../operation/define.ts";
import { LOG } from "../../operation/node-parts.ts";
import type { RestRoute } from "../../operation/rest-route.ts";
import type { Services } from "../../operation/services.ts";
import { refuseBelowLevel } from "../../operation/versions.ts";
import { JOB_LEVEL } from "./rows.ts";
import { RULE_STATES } from "./rule.ts";
import { RULES, type RuleNow } from "./rules.ts";
import { jobSpace } from "./start.ts";

const ruleName = z
  .string()
  .regex(DECLARED_NAME, "takes 1 to 64 of a-z, 0-9 and . _ - (not first)")
  .describe("Name of the rule, as in fleet/rules/NAME.");

const STATE_WORDS =
  "within: its number is within the bound. waiting: beyond it, not for long enough. cooling, full: held up by the cool-down, or the ceiling. unknown: there is no number, so it fires never. failing: its job cannot be started.";

const shownRule = z.object({
  name: z.string(),
  space: z.string().describe("That of the jobs."),
  probe: z.string(),
  above: z.number().optional(),
  below: z.number().optional(),
  for_seconds: z.number().int(),
  action: z.string(),
  at_most: z.number().int(),
  cool_down_seconds: z.number().int(),
  state: z.enum(RULE_STATES).describe(STATE_WORDS),
  why: z.string(),
  value: z.number().optional().describe("The number now; only for those who may read the space of its probe."),
  beyond_seconds: z.number().int().optional().describe("For so long measurements are beyond the bound."),
  open_jobs: z.number().int().describe("Jobs of the action that have not ended, counted up to at_most."),
  firings: z.number().int(),
  last_fired: z.string().optional(),
  next_possible: z.string().optional().describe("It does not fire before that."),
  declared: z.record(z.string(), z.unknown()).optional().describe("Its declaration, where one is asked for by name."),
});

/** `rule_list` and its output, for callers without a node. */
export const RULE_LIST = { name: "rule_list", output: z.object({ rules: z.array(shownRule) }) } as const;

/** Lists rules. */
export const ruleList = (node: Services): Operation =>
  read({
    ...RULE_LIST,
    title: "List rules",
    search: "auto-scale, autoscaling, start workers when the queue is long, thresholds, automation",
    description:
      "Lists rules on values (fleet/rules/NAME): while the number of a probe stays above or below a bound they start jobs, up to a ceiling and with a cool-down. Shows the number, the state and why a rule does not fire now.",
    input: z.object({
      space: jobSpace.optional().describe("Only those with jobs of this space."),
      name: ruleName.optional(),
    }),
    example: {},
    samples: { space: "team-a", name: "more-workers" },
    access: { verb: "read", spaces: ({ space }) => (space === undefined ? "visible" : [space]) },
    atLeader: true,
    run(reader, { space, name }, { visible, spend }) {
      refuseBelowLevel(reader, JOB_LEVEL, "rule_list");
      const all = rulesOf(node).filter((each) => visible(each.space) && (space === undefined || each.space === space));
      spend(SHOW_ROW * all.length);
      const nowMs = node.get(LOG).timeMs();
      return {
        rules: all
          .filter((each) => name === undefined || each.name === name)
          .map((each) => ({
            ...shownOf(each, visible, nowMs),
            ...(name === undefined ? {} : { declared: { ...each.rule } }),
          })),
      };
    },
  });

/** Says what a rule would do. */
export const rulePlan = (node: Services): Operation =>
  read({
    name: "rule_plan",
    title: "Plan a rule",
    search: "dry run of a rule, what would happen if the queue grew, test auto-scaling",
    description:
      "Says what a rule would start if its probe measured a number for long enough and the cool-down were over, and what else holds it up: the ceiling, a pause, a job that cannot be started. Starts nothing.",
    input: z.object({ name: ruleName, value: z.number().describe("The number to suppose.") }),
    example: { name: "more-workers", value: 25 },
    output: z.object({
      name: z.string(),
      fires: z.boolean(),
      state: z.enum(RULE_STATES).describe(STATE_WORDS),
      why: z.string(),
      after_seconds: z.number().int().describe("So long the number must stay so, from its first measurement on."),
      not_before: z.string().optional().describe("When the cool-down is over."),
      job: z
        .object({ action: z.string(), space: z.string(), input: z.record(z.string(), z.unknown()) })
        .optional()
        .describe("The job that it would start."),
    }),
    access: { verb: "read", spaces: () => "visible" },
    atLeader: true,
    run(reader, { name, value }, { visible, spend }) {
      refuseBelowLevel(reader, JOB_LEVEL, "rule_plan");
      spend(SHOW_ROW);
      const found = node.find(RULES)?.plan(name, { value });
      if (found === undefined || !visible(found.space))
        throw new Fault("not_found", `There is no rule ${JSON.stringify(name)}`, {
          hint: "rule_list shows those that you may see; declaration_list with the kind rule has all in force.",
        });
      const { state, why, rule, nextMs, job } = found;
      const isHeld = nextMs > node.get(LOG).timeMs();
      return {
        ...{ name, fires: state === "firing", state, why, after_seconds: rule.for_seconds },
        ...(isHeld ? { not_before: timeOf(nextMs) } : {}),
        ...(job === undefined
          ? {}
          : { job: { action: job.action, space: job.space, input: parseObject(job.input) ?? {} } }),
      };
    },
  });

function rulesOf(node: Services): RuleNow[] {
  const rules = node.find(RULES)?.list();
  if (rules !== undefined) return rules;
  throw new Fault("unavailable", "This node does not follow rules: it does not lead", {
    hint: "Ask again in a second.",
  });
}

function shownOf(
  { name, rule, space, probeSpace, state, why, value, heldMs, open, firings, firedMs, nextMs }: RuleNow,
  visible: (space: string) => boolean,
  nowMs: number,
): z.output<typeof shownRule> {
  const { probe, above, below, for_seconds, start, at_most, cool_down_seconds } = rule;
  const isShown = visible(probeSpace);
  return {
    ...{ name, space, probe, for_seconds, action: start.action, at_most, cool_down_seconds, state },
    ...(above === undefined ? {} : { above }),
    ...(below === undefined ? {} : { below }),
    why: isShown || state === "failing" ? why : `its state is ${state}`,
    ...(isShown && value !== undefined ? { value } : {}),
    ...(heldMs === undefined ? {} : { beyond_seconds: Math.floor(heldMs / 1000) }),
    ...{ open_jobs: open, firings },
    ...(firedMs === 0 ? {} : { last_fired: timeOf(firedMs) }),
    ...(nextMs > nowMs ? { next_possible: timeOf(nextMs) } : {}),
  };
}

const tag = "jobs";
const response = { kind: "json" } as const;

/** The routes of rules. */
export const ruleRoutes: readonly RestRoute[] = [
  {
    method: "GET",
    path: "/rules",
    operationId: "listRules",
    summary: "List rules on values",
    tag,
    operation: "rule_list",
    query: {
      space: { kind: "text", description: "Only those with jobs of this space" },
      name: { kind: "text", description: "Only this rule" },
    },
    response,
  },
  {
    method: "POST",
    path: "/rule-plan",
    operationId: "planRule",
    summary: "What a rule would do",
    tag,
    operation: "rule_plan",
    body: {
      kind: "json",
      members: ["name", "value"],
      refusal: "The body must be a JSON object with name and value",
      maxBytes: 4096,
    },
    response,
  },
];
