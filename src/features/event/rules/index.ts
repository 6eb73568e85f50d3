// What the event mesh uses of rules.

export { type Condition, condition } from "./condition.ts";
export { Effort } from "./effort.ts";
export type { EventRecord, Sender } from "./record.ts";
export { type Rule, rule, rules } from "./rule.ts";
export { type RuleProblem, RuleSet, type TakeRate, type Verdict } from "./rule-set.ts";
export { shownTasRule, tasDuration, tasRules } from "./tas-rules.ts";
