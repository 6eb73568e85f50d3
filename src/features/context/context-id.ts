// Context ids: what one may look like. The space it lies in is access/space.ts's.

import { z } from "zod";

/** Segments that are routes below a context and so can be part of no id. */
const RESERVED_SEGMENTS = new Set(["metadata", "versions", "diff", "restore", "stream", "process"]);

/** What is wrong with an id, or undefined. */
export function idProblem(id: string): string | undefined {
  if (id.length < 1 || id.length > 256) return "an id has 1 to 256 characters";
  if (!/^[A-Za-z0-9._~:@/-]+$/.test(id))
    return "an id is made of letters, digits and . _ ~ : @ - with / between segments";
  for (const segment of id.split("/")) {
    if (segment === "") return "an id has no empty segment";
    if (segment === "." || segment === "..") return `an id has no segment ${JSON.stringify(segment)}`;
    if (RESERVED_SEGMENTS.has(segment)) return `the segment ${JSON.stringify(segment)} is reserved`;
  }
  return undefined;
}

/** Names that agents try for the id of a context. */
export const idAliases = { key: "id", name: "id", path: "id" } as const;

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

/** Most characters of the name of a space. */
export const MAX_SPACE = 256;

/** The name of a space as an argument: what can stand before the first / of an id. */
export const spaceName = z
  .string()
  .max(MAX_SPACE)
  .refine(
    (name) => !name.includes("/") && idProblem(name) === undefined,
    "the part of a context id before its first /",
  );
