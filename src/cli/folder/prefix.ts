// The prefix of the contexts of a folder or an import.

import { EXTENSION, idOfPath } from "../../folder/index.ts";
import { Fault } from "../../lib/fault.ts";
import { idSyntaxProblem } from "../../lib/id-syntax.ts";

/**
 * Returns the prefix without a `/` at its end. `name`: of folder or source, where none is given. Fault `invalid_input`.
 */
export function prefixOf(given: string | undefined, name: string): string {
  const prefix = given?.replace(/\/+$/, "").normalize("NFC") ?? idOfPath("default", `${name}${EXTENSION}`);
  // With a segment behind it: the first part of a prefix is a space.
  const problem = idSyntaxProblem(`${prefix}/x`);
  if (problem === undefined) return prefix;
  throw new Fault("invalid_input", `The prefix cannot be ${JSON.stringify(prefix)}: ${problem}`, {
    hint: "Give a space, or a space and a name: --prefix team-a/wiki",
  });
}
