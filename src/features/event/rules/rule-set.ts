// The rules of one subscription, compiled: what becomes of an event. The first rule that takes it decides, by
// priority and then in the order they are written. A rule that fails does not take the event, and the reason is
// returned.

import { sha256Hex } from "../../../lib/sha256.ts";
import { CelExpression } from "./cel.ts";
import { compileCondition, type Test } from "./condition.ts";
import { Effort } from "./effort.ts";
import { RuleFailure } from "./failure.ts";
import type { EventRecord, Sender } from "./record.ts";
import type { Rule } from "./rule.ts";
import { type Change, compileTransform } from "./transform.ts";

/** A rule that could not be evaluated on an event. */
export interface RuleProblem {
  rule: string;
  reason: string;
}

/** What becomes of an event, and by which rule. */
export type Verdict = (
  | { outcome: "forward"; record: EventRecord; rule?: string }
  | { outcome: "drop"; rule: string }
  /** Above the rate of a rule that would have taken it. */
  | { outcome: "limited"; rule: string }
  | { outcome: "none" }
) & { problems: readonly RuleProblem[] };

/** Takes one of a rule's rate and reports whether there was one; `perSecond` and `burst` are the rule's. */
export type TakeRate = (rule: string, perSecond: number, burst: number) => boolean;

interface Compiled {
  rule: Rule;
  tests: readonly Test[];
  change: Change | undefined;
}

const NO_PROBLEMS: readonly RuleProblem[] = [];

/** The rules of one subscription. */
export class RuleSet {
  readonly #rules: readonly Compiled[];
  readonly #isEmpty: boolean;

  /** `rules` are as the schema took them. Throws Fault `invalid_input` for one that this build does not take. */
  constructor(rules: readonly Rule[]) {
    this.#isEmpty = rules.length === 0;
    this.#rules = rules
      .filter(({ enabled = true }) => enabled)
      .toSorted((one, other) => (other.priority ?? 0) - (one.priority ?? 0))
      .map(compileRule);
  }

  /** Returns what becomes of an event. `effort`: for whoever counts what that took. */
  decide(record: EventRecord, sender: Sender, takeRate: TakeRate, effort = new Effort()): Verdict {
    if (this.#isEmpty) return { outcome: "forward", record, problems: NO_PROBLEMS };
    const problems: RuleProblem[] = [];
    for (const compiled of this.#rules) {
      const { rule } = compiled;
      try {
        if (!takes(compiled, record, sender, effort)) continue;
        if (rule.action === "drop") return { outcome: "drop", rule: rule.id, problems };
        const made = compiled.change === undefined ? record : compiled.change(record, effort);
        if (!isWithinRate(rule, takeRate)) return { outcome: "limited", rule: rule.id, problems };
        return { outcome: "forward", record: made, rule: rule.id, problems };
      } catch (error) {
        if (!(error instanceof RuleFailure)) throw error;
        problems.push({ rule: rule.id, reason: error.message });
      }
    }
    return { outcome: "none", problems };
  }
}

function compileRule(rule: Rule): Compiled {
  const { conditions = [], cel } = rule.match ?? {};
  const tests = conditions.map(compileCondition);
  if (cel !== undefined) {
    const expression = new CelExpression(cel, "match");
    tests.push((record, effort) => expression.test(record, effort));
  }
  return { rule, tests, change: rule.transform === undefined ? undefined : compileTransform(rule.transform) };
}

function takes({ rule, tests }: Compiled, record: EventRecord, sender: Sender, effort: Effort): boolean {
  if (rule.from !== undefined && !isFrom(rule.from, sender)) return false;
  if (rule.sample !== undefined && shareOf(record) >= rule.sample) return false;
  return tests.every((test) => test(record, effort));
}

function isFrom({ callers, tags, nodes }: NonNullable<Rule["from"]>, sender: Sender): boolean {
  if (callers !== undefined && !callers.includes(sender.caller)) return false;
  if (nodes !== undefined && !nodes.includes(sender.node)) return false;
  return tags === undefined || tags.some((tag) => sender.tags.includes(tag));
}

/** Returns a number from 0 up to 1 that is the same for an event on every node and at every attempt. */
function shareOf({ source, id }: EventRecord): number {
  return Number.parseInt(sha256Hex(JSON.stringify([source, id])).slice(0, 12), 16) / 2 ** 48;
}

function isWithinRate({ id, rate }: Rule, takeRate: TakeRate): boolean {
  if (rate === undefined) return true;
  const { per_second: perSecond, burst = Math.max(1, perSecond) } = rate;
  return takeRate(id, perSecond, burst);
}
