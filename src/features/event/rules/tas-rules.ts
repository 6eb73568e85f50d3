// The rules of tas-mcp's targets, read into rules of Cairn. Its fields are taken by what they mean: durations as text
// or nanoseconds, a rule without conditions takes everything.

import { z } from "zod";
import { condition } from "./condition.ts";
import { type Rule, rules } from "./rule.ts";
import { transform } from "./transform.ts";

const SECOND_NS = 1e9;
const UNITS_NS: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  µs: 1e3,
  ms: 1e6,
  s: SECOND_NS,
  m: 60 * SECOND_NS,
  h: 3600 * SECOND_NS,
};

/** A duration of tas-mcp in ms: nanoseconds as a number, or text such as `30s` and `1m30s`. */
export const tasDuration = z.union([z.number().min(0).max(1e18), z.string().max(40)]).transform((value, context) => {
  const ns = typeof value === "number" ? value : nanosecondsOf(value);
  if (ns !== undefined) return ns / 1e6;
  context.addIssue({ code: "custom", message: 'takes a duration: "30s", "1m30s", or nanoseconds as a number' });
  return z.NEVER;
});

/** Returns nanoseconds of a text such as `1m30s`, or undefined. */
function nanosecondsOf(text: string): number | undefined {
  if (!/^(?:\d{1,12}(?:\.\d{1,9})?(?:ns|us|µs|ms|s|m|h))+$/.test(text)) return text === "0" ? 0 : undefined;
  const parts = text.matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g);
  return [...parts].reduce((sum, [, amount = "0", unit = ""]) => sum + Number(amount) * (UNITS_NS[unit] ?? 0), 0);
}

/** Parts of a rule that its form has no place for; they are shown as metadata. */
const FURTHER: ReadonlySet<string> = new Set(["cel", "from", "sample", "action"]);

const tasRule = z.strictObject({
  id: z.string().optional(),
  name: z.string().nullish(),
  enabled: z.boolean().optional(),
  priority: z.int().optional(),
  conditions: z.array(condition).nullish(),
  transform: transform.nullish(),
  rate_limit: z
    .strictObject({
      requests_per_second: z.number().positive(),
      burst_size: z.number().min(0).optional(),
      window: tasDuration.optional(),
    })
    .nullish(),
  metadata: z
    .record(z.string(), z.string())
    .refine((all) => !Object.keys(all).some((key) => FURTHER.has(key)), {
      message: "shows a part of the rule that tas-mcp does not have: change it with subscription_change",
    })
    .nullish(),
});

/** The schema of `rules` of a target of tas-mcp; gives rules of Cairn. */
export const tasRules = z
  .array(tasRule)
  .optional()
  .transform((list = []) => list.map(ruleOf))
  .pipe(rules);

function ruleOf(
  { id, name, enabled, priority, conditions, transform: change, rate_limit: rate }: z.infer<typeof tasRule>,
  index: number,
): Rule {
  return {
    id: id ? id : `rule-${index + 1}`,
    ...(name ? { name } : {}),
    // Go's zero value: a rule that does not say so is off there, and a rule that somebody writes is meant to be on.
    ...(enabled === undefined ? {} : { enabled }),
    ...(priority === undefined ? {} : { priority }),
    ...(conditions?.length ? { match: { conditions } } : {}),
    ...(change ? { transform: change } : {}),
    ...(rate ? { rate: rateOf(rate) } : {}),
  };
}

/** Returns a rule of Cairn as tas-mcp shows it. What its form has no place for is in `metadata`. */
export function shownTasRule(rule: Rule): Record<string, unknown> {
  const { id, name = "", enabled = true, priority = 0, match, transform: change, rate, ...more } = rule;
  const further = { ...(match?.cel === undefined ? {} : { cel: match.cel }), ...more };
  const metadata = Object.entries(further).map(([key, value]) => [
    key,
    typeof value === "string" ? value : JSON.stringify(value),
  ]);
  return {
    ...{ id, name, enabled, priority, conditions: match?.conditions ?? [] },
    ...(change === undefined ? {} : { transform: change }),
    ...(rate === undefined
      ? {}
      : { rate_limit: { requests_per_second: rate.per_second, burst_size: rate.burst ?? 0, window: SECOND_NS } }),
    ...(metadata.length === 0 ? {} : { metadata: Object.fromEntries(metadata) }),
  };
}

/** A window makes room for as many as it holds at once; the rate stays per second. */
function rateOf(limit: NonNullable<z.infer<typeof tasRule>["rate_limit"]>): NonNullable<Rule["rate"]> {
  const { requests_per_second: perSecond, burst_size: burst = 0, window = 0 } = limit;
  const room = burst > 0 ? burst : (perSecond * window) / 1000;
  return { per_second: perSecond, ...(room >= 1 ? { burst: Math.floor(room) } : {}) };
}
