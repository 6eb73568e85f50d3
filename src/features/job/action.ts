// How actions are declared: contexts fleet/actions/NAME. Only values: apply and the node that prepares a start use it.

import { z } from "zod";
import { DECLARED_SPACE } from "../../lib/id-syntax.ts";
import { LABEL } from "../../lib/machine-label.ts";
import { DECLARED_NAME, type DeclaredKind } from "../../operation/declared-kind.ts";
import { programFields, programFolder, programWords } from "../../operation/program-fields.ts";

const MAX_TEXT = 512;
const MAX_WORD = 4096;
const PARAMETER = /^[a-z][a-z0-9_]{0,31}$/;
/** How a word of an action names a parameter. */
export const PLACEHOLDER = /\{([a-z][a-z0-9_]{0,31})\}/g;
const DAY_SECONDS = 86_400;

const parameter = z.strictObject({
  type: z.enum(["string", "integer", "number", "boolean"]),
  description: z.string().max(MAX_TEXT).optional(),
  optional: z.boolean().default(false).describe("It may be left out"),
  default: z.union([z.string().max(MAX_WORD), z.number(), z.boolean()]).optional(),
  one_of: z
    .array(z.union([z.string().max(MAX_TEXT), z.number()]))
    .min(1)
    .max(64)
    .optional(),
  characters: z
    .enum(["name", "line", "text"])
    .optional()
    .describe("string: name has letters, digits and . _ -; line (the default) has no control characters"),
  max_length: z
    .number()
    .int()
    .min(1)
    .max(65_536)
    .optional()
    .describe("string: at most so many characters (default 1024)"),
  min: z.number().optional(),
  max: z.number().optional(),
});

/** A parameter of an action. */
export type Parameter = z.output<typeof parameter>;

/** What is declared of an action. */
export const actionShape = z.strictObject({
  argv: programWords
    .optional()
    .describe("Program and words, without a shell; {name} is a parameter. Without argv, agents do it (job_claim)"),
  parameters: z
    .record(z.string().regex(PARAMETER, "takes 1 to 32 of a-z, 0-9 and _ (a letter first)"), parameter)
    .refine((all) => Object.keys(all).length <= 32, { message: "has more than 32 parameters" })
    .default({}),
  where: z
    .string()
    .max(128)
    .regex(
      /^(?:any|label:[a-z0-9](?:[a-z0-9._-]{0,30}[a-z0-9])?|member:[!-~]{1,100})$/,
      "is any, label:LABEL or member:NAME",
    )
    .default("any")
    .describe("Which full members may run it: any, label:LABEL, member:NAME. Each of them agrees by fleet.run"),
  kind: z
    .string()
    .regex(/^[a-z0-9][a-z0-9._-]{0,63}$/)
    .optional()
    .describe("Kind of the work, as fleet_pick takes it"),
  timeout: z
    .number()
    .int()
    .min(1)
    .max(7 * DAY_SECONDS)
    .default(3600)
    .describe("Seconds of one attempt"),
  grace: programFields.grace,
  claim: z
    .number()
    .int()
    .min(5)
    .max(3600)
    .default(60)
    .describe("Seconds after which an attempt is over whose worker is not heard"),
  attempts: z.number().int().min(1).max(20).default(1),
  backoff: z
    .number()
    .int()
    .min(0)
    .max(DAY_SECONDS)
    .default(10)
    .describe("Seconds until the second attempt, then doubled"),
  keep: z
    .number()
    .int()
    .min(60)
    .max(90 * DAY_SECONDS)
    .default(7 * DAY_SECONDS)
    .describe("Seconds that an ended job is kept"),
  user: programFields.user,
  folder: programFolder.optional().describe("Working folder; default: one of the attempt"),
  environment: programFields.environment,
  secrets: programFields.secrets,
  limits: programFields.limits,
  output_bytes: z
    .number()
    .int()
    .min(0)
    .max(2 ** 30)
    .default(16 * 1024 * 1024)
    .describe("Bytes of its output that are kept, from the beginning; the end is kept in any case"),
  exit_final: z
    .array(z.number().int().min(1).max(255))
    .max(32)
    .default([])
    .describe("Exit codes after which there is no other attempt"),
  labels: z.array(z.string().regex(LABEL)).max(16).default([]),
  space: z
    .string()
    .regex(DECLARED_SPACE, "is the name of a space")
    .default("fleet")
    .describe("Space of its jobs: who may write there may start them; in fleet only admins may"),
  description: z.string().max(MAX_TEXT).optional(),
});

/** An action, as declared. */
export type ActionShape = z.output<typeof actionShape>;

/** The kind of declarations. */
export const ACTION: DeclaredKind<ActionShape> = {
  kind: "action",
  place: "actions",
  summary: "work that jobs do: a program with typed parameters, or work for agents",
  schema: actionShape,
  example: {
    argv: ["/usr/local/bin/transcribe", "--language", "{language}", "{file}"],
    parameters: { file: { type: "string" }, language: { type: "string", one_of: ["en", "de"], default: "en" } },
    where: "label:gpu",
    space: "team-a",
  },
  problem: problemOf,
};

/** Name of an action. */
export const actionName = z
  .string()
  .regex(DECLARED_NAME, "takes 1 to 64 of a-z, 0-9 and . _ - (not first)")
  .describe("Name of the action, as in fleet/actions/NAME.");

/** Returns what the schema cannot say is wrong. */
function problemOf({ argv, parameters, ...action }: ActionShape): string | undefined {
  for (const [name, each] of Object.entries(parameters)) {
    const problem = parameterProblem(each);
    if (problem !== undefined) return `parameters.${name}.${problem}`;
  }
  if (action.user !== undefined && action.folder === undefined)
    return "user needs folder: it cannot use that of the attempt";
  const [program = ""] = argv ?? [];
  if (argv === undefined) {
    if (action.user !== undefined || action.folder !== undefined) return "user and folder need argv";
    return undefined;
  }
  if (program === "" || program.match(PLACEHOLDER)) return "argv.0: names the program, and no parameter";
  const unknown = argv
    .flatMap((word) => [...word.matchAll(PLACEHOLDER)])
    .find(([, name = ""]) => !Object.hasOwn(parameters, name));
  if (unknown !== undefined) return `argv: there is no parameter ${unknown[1]}`;
  const lines = argv
    .flatMap((word) => [...word.matchAll(PLACEHOLDER)])
    .find(([, name = ""]) => parameters[name]?.characters === "text");
  return lines && `argv: ${lines[1]} may have several lines, and no word has: its program reads it in input.json`;
}

function parameterProblem(each: Parameter): string | undefined {
  const { type, one_of: words, characters, max_length: length, min, max } = each;
  if (type !== "string" && (characters ?? length) !== undefined) return "characters and max_length are for strings";
  if ((type === "string" || type === "boolean") && (min ?? max) !== undefined) return "min and max are for numbers";
  if (type === "boolean" && words !== undefined) return "one_of: a boolean has none";
  const wrong = (words ?? []).find((word) => valueProblem({ ...each, one_of: undefined }, word) !== undefined);
  if (wrong !== undefined)
    return `one_of: ${JSON.stringify(wrong)} ${valueProblem({ ...each, one_of: undefined }, wrong)}`;
  if (each.default === undefined) return undefined;
  const problem = valueProblem(each, each.default);
  return problem === undefined ? undefined : `default: ${JSON.stringify(each.default)} ${problem}`;
}

/** Returns what is wrong with a value of a parameter, in words that follow it. */
export function valueProblem(each: Parameter, value: unknown): string | undefined {
  const { type, one_of: words } = each;
  if (type === "boolean") return typeof value === "boolean" ? undefined : "is not true or false";
  const problem = type === "string" ? stringProblem(each, value) : numberProblem(each, value);
  if (problem !== undefined) return problem;
  return words === undefined || words.includes(value as string) ? undefined : `is none of ${words.join(", ")}`;
}

function stringProblem(
  { characters = "line", max_length: most = 1024 }: Parameter,
  value: unknown,
): string | undefined {
  if (typeof value !== "string") return "is no text";
  if (value.length > most) return `has more than ${most} characters`;
  if (value.includes("\0") || !value.isWellFormed()) return "has a NUL character, or half of a character";
  if (characters === "name" && !/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(value))
    return "is not of letters, digits and . _ -";
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
  if (characters === "line" && /[\u0000-\u001f\u007f-\u009f]/.test(value)) return "has control characters";
  return undefined;
}

function numberProblem({ type, min, max }: Parameter, value: unknown): string | undefined {
  if (typeof value !== "number" || !Number.isFinite(value)) return "is no number";
  if (type === "integer" && !Number.isSafeInteger(value)) return "is no whole number";
  if (min !== undefined && value < min) return `is less than ${min}`;
  return max !== undefined && value > max ? `is more than ${max}` : undefined;
}
