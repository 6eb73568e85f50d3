// The syntax of context ids and space names. access/space.ts derives the space from an id.

import { z } from "zod";

/** Segments that are, or may become, routes below a context; no id may contain them. */
const RESERVED_SEGMENTS = new Set(["metadata", "versions", "diff", "restore", "stream", "process"]);

/** Returns what is wrong with an id; undefined for a valid one. */
export function idProblem(id: string): string | undefined {
  if (id.length < 1 || id.length > 256) return "an id has 1 to 256 characters";
  if (!/^[A-Za-z0-9._~:@/-]+$/.test(id))
    return "an id consists of letters, digits and . _ ~ : @ - with / between segments";
  for (const segment of id.split("/")) {
    if (segment === "") return "an id must not have an empty segment";
    if (segment === "." || segment === "..") return `an id must not have the segment ${JSON.stringify(segment)}`;
    if (RESERVED_SEGMENTS.has(segment)) return `the segment ${JSON.stringify(segment)} is reserved`;
  }
  return undefined;
}

/** Names that agents try for the id of a context. */
export const idAliases = { key: "id", name: "id", path: "id" } as const;

/** The argument `id`. */
export const contextId = z
  .string()
  .superRefine((id, context) => {
    const problem = idProblem(id);
    if (problem !== undefined)
      context.addIssue({
        code: "custom",
        message: `${JSON.stringify(id.slice(0, 80))} is not a context id: ${problem}`,
      });
  })
  .describe("Id of the context, such as team-a/plan; the part before the first / is its space.");

/** Longest name of a space, in characters. */
export const MAX_SPACE = 256;

/** The name of a space as an argument: the part of an id before its first `/`. */
export const spaceName = z
  .string()
  .max(MAX_SPACE)
  .refine(
    (name) => !name.includes("/") && idProblem(name) === undefined,
    "must be the part of a context id before its first /",
  );
