// Expressions in CEL over one variable, `event`: compiled when a rule is saved, evaluated on each event. What they may
// contain is judged by cel-limits.ts, what they see and give by cel-event.ts.

import { Environment, type ParseResult } from "@marcbachmann/cel-js";
import { z } from "zod";
import { Fault } from "../../../lib/fault.ts";
import { printableLine } from "../../../lib/printable.ts";
import { reasonOf } from "../../../lib/reason-of.ts";
import { celEvent, jsonOfCel } from "./cel-event.ts";
import { type ExpressionCost, judgeExpression, unitsOf } from "./cel-limits.ts";
import { Effort } from "./effort.ts";
import { RuleFailure } from "./failure.ts";
import type { EventRecord } from "./record.ts";

/** Most characters of an expression. */
export const MAX_EXPRESSION = 2000;
const LIMITS = { maxAstNodes: 1000, maxDepth: 24, maxListElements: 100, maxMapEntries: 100, maxCallArguments: 8 };
/**
 * Evaluations by one environment of the library. It keeps each type of nested lists and maps that it meets, for ever,
 * and events of a hostile publisher have as many types as they like: 100,000 of them took 14 GB.
 */
const EVALUATIONS = 500;
/** What users of other languages run into. */
const NUMBER_HINT = "numbers of JSON are doubles: write event.data.n + 1.0, or int(event.data.n) % 2";

/** What an expression is for: to be true or false, or to give the data of an event. */
export type ExpressionKind = "match" | "map";

/** Schemas of expressions, which name what is wrong with one. */
export const matchExpression = expressionFor("match");
export const mapExpression = expressionFor("map");

/** An environment of the library, and how often it was used. */
let shared = { environment: newEnvironment(), left: EVALUATIONS };

/** One compiled expression. */
export class CelExpression {
  readonly #text: string;
  readonly #usesData: boolean;
  readonly #cost: ExpressionCost;
  #compiled: { by: Environment; run: ParseResult };

  /** Throws Fault `invalid_input`. */
  constructor(text: string, kind: ExpressionKind) {
    this.#text = text;
    const found = compile(text, kind);
    if (typeof found === "string") throw new Fault("invalid_input", `The expression ${found}`);
    this.#usesData = found.usesData;
    this.#cost = found.cost;
    this.#compiled = found.compiled;
  }

  /** Reports whether the expression is true. Throws `RuleFailure`. */
  test(record: EventRecord, effort = new Effort()): boolean {
    const value = this.#evaluate(record, effort);
    if (typeof value !== "boolean") throw new RuleFailure("the expression gives neither true nor false");
    return value;
  }

  /** Returns what the expression gives, as JSON. Throws `RuleFailure`. */
  map(record: EventRecord, maxCharacters: number, effort = new Effort()): unknown {
    return jsonOfCel(this.#evaluate(record, effort), maxCharacters, effort);
  }

  #evaluate(record: EventRecord, effort: Effort): unknown {
    const { event, size } = celEvent(record, this.#usesData);
    effort.spend(unitsOf(this.#cost, size));
    try {
      return this.#current()({ event });
    } catch (error) {
      if (error instanceof RuleFailure) throw error;
      throw new RuleFailure(summaryOf(error));
    }
  }

  /** Returns the expression in the environment that is in use now. */
  #current(): ParseResult {
    shared.left -= 1;
    if (shared.left < 0) shared = { environment: newEnvironment(), left: EVALUATIONS };
    if (this.#compiled.by !== shared.environment)
      this.#compiled = { by: shared.environment, run: shared.environment.parse(this.#text) };
    return this.#compiled.run;
  }
}

function newEnvironment(): Environment {
  return new Environment({ homogeneousAggregateLiterals: false, limits: LIMITS }).registerVariable("event", "dyn");
}

function expressionFor(kind: ExpressionKind) {
  return z
    .string()
    .min(1)
    .max(MAX_EXPRESSION)
    .superRefine((text, context) => {
      const found = compile(text, kind);
      if (typeof found === "string") context.addIssue({ code: "custom", message: found });
    });
}

function compile(text: string, kind: ExpressionKind): string | Compiled {
  const { environment } = shared;
  try {
    const run = environment.parse(text);
    const judged = judgeExpression(run.ast);
    if (typeof judged === "string") return judged;
    const { valid, type = "dyn", error } = run.check();
    if (!valid) return `is refused: ${summaryOf(error)}`;
    if (kind === "match" && type !== "bool" && type !== "dyn") return `gives ${type}, not true or false`;
    return { ...judged, compiled: { by: environment, run } };
  } catch (error) {
    return `cannot be read: ${summaryOf(error)}`;
  }
}

interface Compiled {
  usesData: boolean;
  cost: ExpressionCost;
  compiled: { by: Environment; run: ParseResult };
}

/** The library's message has the text of the expression below its first line. */
function summaryOf(error: unknown): string {
  const line = printableLine(reasonOf(error).split("\n", 1)[0] ?? "").slice(0, 200);
  return /no such overload: .*(double|int)/.test(line) ? `${line} (${NUMBER_HINT})` : line;
}
