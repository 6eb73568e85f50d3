// A rule: which events it takes, by whom they were sent, how many of them, and what becomes of them. The schema
// judges all of a rule when it is saved and names the field that is wrong.

import { z } from "zod";
import { matchExpression } from "./cel.ts";
import { condition } from "./condition.ts";
import { transform } from "./transform.ts";

/** Most rules of one subscription, conditions of a rule, and names of senders in one. */
export const MAX_RULES = 50;
const MAX_CONDITIONS = 32;
const MAX_NAMES = 100;
/** Most bytes of the rules of a subscription as JSON. */
export const MAX_RULES_BYTES = 65_536;

const names = z.array(z.string().min(1).max(512)).min(1).max(MAX_NAMES).optional();

/** The schema of one rule. */
export const rule = z.strictObject({
  id: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, "takes 1 to 64 of A-Z a-z 0-9 . _ - and begins with one of the first"),
  name: z.string().max(200).optional(),
  enabled: z.boolean().optional().describe("True by default"),
  priority: z.int().min(-1_000_000).max(1_000_000).optional().describe("Higher ones are tried first; 0 by default"),
  match: z
    .strictObject({
      conditions: z.array(condition).max(MAX_CONDITIONS).optional().describe("All of them hold"),
      cel: matchExpression.optional().describe('CEL over `event`, as event.data.n > 5.0 && event.type == "x"'),
    })
    .optional()
    .describe("Left out: every event"),
  from: z
    .strictObject({ callers: names, tags: names, nodes: names })
    .optional()
    .describe("Only events of these senders, as the tailnet proved them: any of the names in each list"),
  sample: z.number().min(0).max(1).optional().describe("The share of events taken, by their id: 0.1 is one in ten"),
  rate: z
    .strictObject({
      per_second: z.number().positive().max(100_000),
      burst: z.number().min(1).max(1_000_000).optional().describe("per_second by default, at least 1"),
    })
    .optional()
    .describe("Most events taken; those above are left out"),
  transform: transform.optional(),
  action: z.enum(["forward", "drop"]).optional().describe("forward by default"),
});

/** A rule as it is written. */
export type Rule = z.infer<typeof rule>;

/** The schema of the rules of one subscription. */
export const rules = z
  .array(rule)
  .max(MAX_RULES)
  .superRefine((list, context) => {
    const seen = new Set<string>();
    for (const [at, { id }] of list.entries()) {
      if (seen.has(id))
        context.addIssue({ code: "custom", path: [at, "id"], message: "is the id of another rule too" });
      seen.add(id);
    }
    if (Buffer.byteLength(JSON.stringify(list)) > MAX_RULES_BYTES)
      context.addIssue({ code: "custom", message: `are above ${MAX_RULES_BYTES} bytes as JSON` });
  })
  .describe("The first that takes an event decides. Without rules every event is sent as it is");
