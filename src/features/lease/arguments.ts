// The arguments of operations on leases that several of them have, and what they return of a lease.

import { z } from "zod";
import { Fault } from "../../lib/fault.ts";
import { idSyntaxProblem, MAX_ID } from "../../lib/id-syntax.ts";
import { shownValue } from "../../lib/schema-issue.ts";
import { type Fence, fenceArgument, fenceText, parseFence } from "../../operation/fence.ts";

/** Shortest and longest time for which a lease is granted, in seconds, and the one where the caller names none. */
export const TTL_SECONDS = { min: 5, max: 86_400, default: 300 } as const;
/** Longest time for which a place in the line is kept, in seconds. */
export const MAX_WAIT_SECONDS = 3600;
/** Longest text of what a lease is for, in characters. */
const MAX_PURPOSE = 200;

/** The argument `name`. */
export const leaseName = z
  .string()
  .normalize("NFC")
  .superRefine((name, context) => {
    const problem = idSyntaxProblem(name);
    if (problem !== undefined)
      context.addIssue({ code: "custom", message: `${shownValue(name)} is no name of a lease: ${problem}` });
  })
  .describe(
    "What is leased, such as team-a/repo/src/main.ts, team-a/branch/main or team-a/printer: a name that you agree on. The part before the first / is its space.",
  );

/** Names that agents try for `name`. */
export const nameAliases = { id: "name", path: "name", resource: "name" } as const;

/** The argument `fence`. */
export const ownFence = fenceArgument.describe("The fence that lease_acquire returned.");

/** The argument `for`. */
export const purpose = z
  .string()
  .max(MAX_PURPOSE)
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
  .regex(/^[^\u0000-\u001f\u007f-\u009f]*$/, "must not contain control characters")
  .refine((text) => text.isWellFormed(), "must be well-formed Unicode");

/** A holder as callers see it. */
export const holderShape = z.object({
  caller: z.string(),
  agent: z.string().optional().describe("The agent of that caller; left out: the caller itself."),
});

/** The argument `prefix`. */
export const namePrefix = z.string().max(MAX_ID).normalize("NFC").describe("Only names that start with this text.");

/** Returns the claim that a fence of this lease names. Throws Fault `invalid_input` for the fence of another one. */
export function claimOf(name: string, fence: string): Fence {
  const parsed = parseFence(fence);
  if (parsed?.name === name) return parsed;
  const own = parsed === undefined ? "no fence" : `a fence of ${JSON.stringify(parsed.name)}`;
  throw new Fault("invalid_input", `${JSON.stringify(fence)} is ${own}, not of ${JSON.stringify(name)}`, {
    hint: `Give the fence that lease_acquire returned, such as ${fenceText({ name, n: 1, seq: 57 })}.`,
    details: { field: "fence" },
  });
}
