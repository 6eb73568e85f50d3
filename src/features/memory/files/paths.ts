// Paths of the memory tool: virtual ones below /memories, each a part of a context id. What leads elsewhere is refused.

import { Fault } from "../../../lib/fault.ts";
import { idSyntaxProblem } from "../../../lib/id-syntax.ts";

/** The directory that holds all others. It is there from the beginning. */
export const ROOT = "/memories";

/** A path as it was given, and what is below ROOT of it: "" for ROOT itself. */
export interface VirtualPath {
  given: string;
  inner: string;
}

/** Returns a refusal whose text models know: its message is the whole of it. */
export function told(text: string, code: "not_found" | "invalid_input" = "invalid_input"): Fault {
  return new Fault(code, text);
}

/** Parses a path. Throws `invalid_input` for one that is not below ROOT, or that no context id has room for. */
export function pathOf(given: string, prefix: string): VirtualPath {
  if (given !== ROOT && !given.startsWith(`${ROOT}/`)) throw told(`Error: Path must start with ${ROOT}, got: ${given}`);
  const inner = given.slice(ROOT.length).replace(/^\//, "").replace(/\/$/, "").normalize("NFC");
  if (inner === "") return { given, inner };
  const segments = inner.split(/[/\\]/);
  if (segments.some((segment) => segment === "." || segment === ".." || /%[0-9a-f]{2}/i.test(segment)))
    throw told(`Error: Path ${given} would escape ${ROOT} directory`);
  const problem = idSyntaxProblem(`${prefix}${inner}`);
  if (problem !== undefined) throw told(`Error: The path ${given} cannot be used: ${problem}`);
  return { given, inner };
}

/** Returns the paths of the directories above one, without ROOT, the nearest last. */
export function ancestorsOf(inner: string): string[] {
  const segments = inner.split("/").slice(0, -1);
  return segments.map((_, at) => segments.slice(0, at + 1).join("/"));
}
