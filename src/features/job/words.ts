// The input of a job: judged by the parameters of its action, and made the words of its program.

import { Fault } from "../../lib/fault.ts";
import { memberOf } from "../../lib/json-object.ts";
import { type ActionShape, PLACEHOLDER, valueProblem } from "./action.ts";

/** Values by parameter. */
export type JobInput = Readonly<Record<string, string | number | boolean>>;

/** Returns the input with defaults filled in. Throws Fault `invalid_input` that names the parameter. */
export function judgeInput(action: string, shape: ActionShape, input: Readonly<Record<string, unknown>>): JobInput {
  const { parameters } = shape;
  const refuse = (field: string, problem: string): Fault =>
    new Fault("invalid_input", `The input of ${action} is wrong: ${field} ${problem}`, {
      hint: `Its parameters: ${Object.keys(parameters).join(", ") || "none"}. declaration_list shows the action.`,
      details: { field: `input.${field}` },
    });
  const unknown = Object.keys(input).find((name) => !Object.hasOwn(parameters, name));
  if (unknown !== undefined) throw refuse(unknown, "is no parameter");
  const values: Record<string, string | number | boolean> = {};
  for (const [name, parameter] of Object.entries(parameters)) {
    const value = memberOf(input, name) ?? parameter.default;
    if (value === undefined) {
      if (parameter.optional) continue;
      throw refuse(name, "is missing");
    }
    const problem = valueProblem(parameter, value);
    if (problem !== undefined) throw refuse(name, problem);
    values[name] = value as string | number | boolean;
  }
  const option = optionOf(shape.argv ?? [], values);
  if (option !== undefined) throw refuse(option, "begins with -, which the program would take for an option");
  return values;
}

/**
 * Returns the parameter whose value begins a word with `-` where no `--` is in front of it. A parameter before it may
 * be empty, or have no value.
 */
function optionOf(argv: readonly string[], values: JobInput): string | undefined {
  const end = argv.indexOf("--");
  for (const word of argv.slice(0, end < 0 ? argv.length : end)) {
    const begin = /^(?:\{[a-z][a-z0-9_]{0,31}\})+/.exec(word)?.[0] ?? "";
    const names = [...begin.matchAll(PLACEHOLDER)].map(([, name = ""]) => name);
    const first = names.find((name) => textOf(values, name) !== "");
    if (first !== undefined && textOf(values, first).startsWith("-")) return first;
  }
  return undefined;
}

/** Returns the words of a program. One that is a parameter without a value alone is left out. */
export function wordsOf(argv: readonly string[], values: JobInput): string[] {
  return argv.flatMap((word) => {
    const [, only] = /^\{([a-z][a-z0-9_]{0,31})\}$/.exec(word) ?? [];
    if (only !== undefined && memberOf(values, only) === undefined) return [];
    return [word.replace(PLACEHOLDER, (_all, name: string) => textOf(values, name))];
  });
}

function textOf(values: JobInput, name: string): string {
  return String(memberOf(values, name) ?? "");
}
