// The mutants that no test has to see, with the reason of each: scripts/mutants-accepted.json, by the path of the
// source. An entry names a line by its text, so it holds while the line does; a test finds those that fit nothing.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import type { Mutant } from "./mutate-lines.ts";

const acceptedFile = z.record(
  z.string(),
  z.array(
    z.strictObject({ before: z.string(), after: z.union([z.string(), z.array(z.string())]), reason: z.string() }),
  ),
);

/** Accepted mutants by the path of their source. `after` is the changed line, or each that is accepted. */
export type AcceptedMutants = z.infer<typeof acceptedFile>;

/** Returns the accepted mutants of a tree. */
export function acceptedMutants(root: string): AcceptedMutants {
  return acceptedFile.parse(JSON.parse(readFileSync(join(root, "scripts/mutants-accepted.json"), "utf8")));
}

/** Returns why a mutant is accepted, undefined if it is not. */
export function reasonFor(accepted: AcceptedMutants, source: string, mutant: Mutant): string | undefined {
  return accepted[source]?.find(
    ({ before, after }) => before === mutant.before && [after].flat().includes(mutant.after),
  )?.reason;
}
