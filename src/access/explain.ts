// Explains a judgement of the gate: grant by grant, with the source of each. It decides nothing itself.

import type { Access } from "./access.ts";
import type { Caller } from "./caller.ts";
import { type Question, ROLES, refusedPart, type SourcedGrant, VERBS } from "./rights.ts";
import { isReservedSpace } from "./space.ts";

/** One grant, judged. */
export interface JudgedGrant extends SourcedGrant {
  allows: boolean;
  /** A sentence. */
  reason: string;
}

/** The judgement for one caller, with its reasons. */
export interface Explanation {
  allowed: boolean;
  /** A sentence that names the grant, or what is missing. */
  because: string;
  grants: JudgedGrant[];
  /** Grants that count for nothing. */
  problems: readonly string[];
}

/** A verb in a space, by one operation or by any (undefined). */
export type OpenQuestion = Omit<Question, "operation"> & { operation: string | undefined };

/** Returns what the gate decides for this question, and why. */
export function explain(access: Access, caller: Caller, question: OpenQuestion): Explanation {
  const grants = access.sourced(caller).map(({ source, grant }): JudgedGrant => {
    const refused = refusedPart(grant, question);
    const onlyBy = grant.tools === undefined ? "" : `, only by ${grant.tools.join(", ")}`;
    const what = `${grant.role} in ${grant.spaces.join(", ")}${onlyBy}`;
    return refused === undefined
      ? { source, grant, allows: true, reason: `${source} allows it: ${what}` }
      : { source, grant, allows: false, reason: `${source} does not: ${what}; ${whyNot(refused, question)}` };
  });
  const { problems } = access.rights(caller);
  const found = grants.find(({ allows }) => allows);
  if (found !== undefined) return { allowed: true, because: found.reason, grants, problems };
  return { allowed: false, because: whyNothing(grants, problems, question), grants, problems };
}

function whyNot(refused: "role" | "tools" | "spaces", { verb, space, operation }: OpenQuestion): string {
  switch (refused) {
    case "role":
      return `this role may not ${verb}`;
    case "tools":
      return `${operation} is not among its tools`;
    case "spaces":
      return isReservedSpace(space)
        ? `${space} is reserved: no glob matches it, and writing it needs admin with the literal name`
        : `${space} is not among its spaces`;
  }
}

function whyNothing(
  grants: readonly JudgedGrant[],
  problems: readonly string[],
  { verb, space }: OpenQuestion,
): string {
  const role = verb !== "read" && isReservedSpace(space) ? "admin" : ROLES[VERBS.indexOf(verb)];
  const missing = `missing is a grant ${JSON.stringify({ role, spaces: [space] })}`;
  const [problem] = problems;
  const [only] = grants;
  if (only === undefined)
    return `no grant counts for this caller${problem === undefined ? "" : ` (${problem})`}; ${missing}`;
  return `${grants.length === 1 ? only.reason : `none of its ${grants.length} grants allows it`}; ${missing}`;
}
