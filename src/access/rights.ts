// What a caller may do: grants are parsed from hostile capability objects, each is judged alone, and the results are
// added up; no rule ever denies anything (security.md 3).

import { z } from "zod";
import { describeIssue } from "../lib/schema-issue.ts";
import { globMatches } from "./glob.ts";
import { isReservedSpace, spaceAmong } from "./space.ts";

export const ROLES = ["reader", "member", "operator", "admin"] as const;
/** Roles from least to most. */
export type Role = (typeof ROLES)[number];

/** What an operation does to the spaces it touches; each role may do all verbs up to its own. */
export const VERBS = ["read", "write", "operate", "admin"] as const;
/** One of VERBS. */
export type Verb = (typeof VERBS)[number];

/** One capability object, parsed. */
export interface Grant {
  role: Role;
  /** Space names or globs (`*` is any run of characters). */
  spaces: readonly string[];
  /** Names or globs of operations; undefined means all that the role allows. */
  tools: readonly string[] | undefined;
  requestsPerMinute: number | undefined;
  /** Types of agents, or globs of them, that count for the caller's agents in these spaces; left out: none. */
  agentTypes?: readonly string[];
  /** Preset of MCP for connections whose URL names none, such as `core` or `core,read-only`. It gives no right. */
  preset?: string;
}

/** A grant and its source, in words for people. */
export interface SourcedGrant {
  /** Such as `access.admins`, or `grant 2 of the tailnet policy for this caller`. */
  source: string;
  grant: Grant;
}

/** The most that a call may do which another node forwards, whatever its caller's grants say (security.md 9). */
export interface Cap {
  role: Role;
  /** Globs of the spaces that the node is enrolled for; undefined: all. */
  spaces: readonly string[] | undefined;
}

/** Roles in which an object may let its callers join a fleet; no grant gives a vote. */
const joinRoles = z
  .array(z.enum(["edge"]))
  .min(1)
  .max(3);

/** An object that only lets nodes join (security.md 10). It names no role, so it gives no right to read or write. */
const joinObject = z.strictObject({ join: joinRoles });

/** A capability object, from the tailnet policy or the policy file. With an unknown field it counts for nothing. */
const grantObject = z.strictObject({
  role: z.enum(ROLES),
  spaces: z.array(z.string().min(1).max(256)).min(1).max(200),
  tools: z.array(z.string().min(1).max(128)).min(1).max(200).optional(),
  limits: z.strictObject({ requests_per_minute: z.number().int().min(1).max(1_000_000).optional() }).optional(),
  join: joinRoles.optional(),
  agent_types: z.array(z.string().min(1).max(64)).min(1).max(200).optional(),
  preset: z.string().min(1).max(64).optional(),
});

/** Capability objects that are read of one caller; more of them raise a problem. */
const MAX_GRANTS = 1000;

/**
 * Parses raw capability objects. One that does not parse counts for nothing and becomes a problem. `where` names their
 * source in messages.
 */
export function parseGrants(objects: readonly unknown[], where: string): { grants: Grant[]; problems: string[] } {
  const grants: Grant[] = [];
  const problems: string[] = [];
  for (const [index, object] of objects.slice(0, MAX_GRANTS).entries()) {
    const parsed = grantObject.safeParse(object);
    if (!parsed.success && joinObject.safeParse(object).success) continue;
    if (!parsed.success) {
      const { text } = describeIssue(parsed.error.issues[0], object);
      problems.push(`${where}, object ${index + 1} grants nothing: ${text}`);
      continue;
    }
    const { role, spaces, tools, limits, agent_types: agentTypes, preset } = parsed.data;
    grants.push({
      ...{ role, spaces, tools, requestsPerMinute: limits?.requests_per_minute },
      ...(agentTypes === undefined ? {} : { agentTypes }),
      ...(preset === undefined ? {} : { preset }),
    });
  }
  if (objects.length > MAX_GRANTS)
    problems.push(`${where} has ${objects.length} objects; only the first ${MAX_GRANTS} count`);
  return { grants, problems };
}

/** Returns the roles in which the objects let their caller join a fleet; an object that does not parse gives none. */
export function joinRolesOf(objects: readonly unknown[]): readonly "edge"[] {
  const found = objects.slice(0, MAX_GRANTS).flatMap((object) => {
    const parsed = joinObject.safeParse(object);
    return parsed.success ? parsed.data.join : (grantObject.safeParse(object).data?.join ?? []);
  });
  return [...new Set(found)];
}

/** All grants of a caller, added up, with the questions that other rooms ask; none of them judges a grant itself. */
export class Rights {
  readonly grants: readonly Grant[];
  /** Why a capability object counts for nothing, for conditions and `whoami`. */
  readonly problems: readonly string[];
  /** Stable text of the grants: equal for equal rights; the key of prebuilt MCP lists. */
  readonly fingerprint: string;

  constructor(grants: readonly Grant[], problems: readonly string[]) {
    this.grants = grants;
    this.problems = problems;
    this.fingerprint = JSON.stringify(grants);
  }

  /** Returns the same rights, for reading alone. */
  readOnly(): Rights {
    return new Rights(
      this.grants.map((grant) => ({ ...grant, role: "reader" })),
      this.problems,
    );
  }

  /** The preset of MCP of the first grant that names one. */
  get preset(): string | undefined {
    return this.grants.find(({ preset }) => preset !== undefined)?.preset;
  }

  /** Reports whether there is any grant at all. */
  permitsAnything(): boolean {
    return this.grants.length > 0;
  }

  /** Returns the grants of which each alone allows this. */
  allowing(question: Question): readonly Grant[] {
    return this.grants.filter((grant) => allows(grant, question));
  }

  /** Returns the grants that allow the verb by this operation in some space. */
  allowingSomewhere({ verb, operation }: Omit<Question, "space">): readonly Grant[] {
    return this.grants.filter((grant) => allowsSomewhere(grant, verb, operation));
  }

  /** Reports whether a grant allows the verb by this operation in this space. */
  mayUse(question: Question): boolean {
    return this.grants.some((grant) => allows(grant, question));
  }

  /** Reports whether a grant allows the verb by this operation in some space. */
  mayUseSomewhere({ verb, operation }: Omit<Question, "space">): boolean {
    return this.grants.some((grant) => allowsSomewhere(grant, verb, operation));
  }

  /** Reports whether a grant for this space lists a type of agents. */
  listsAgentType(type: string, space: string): boolean {
    return this.grants.some(
      (grant) =>
        spaceMatches(grant, "read", space) && grant.agentTypes?.some((each) => globMatches(each, type)) === true,
    );
  }

  /** Reports whether one grant allows it with the glob `*` among its spaces; narrower grants do not add up to that. */
  mayUseEverywhere({ verb, operation }: Omit<Question, "space">): boolean {
    return this.grants.some((grant) => grant.spaces.includes("*") && allowsSomewhere(grant, verb, operation));
  }

  /** Reports whether a grant that allows it somewhere names the operation in full among its tools. */
  namesOperation({ verb, operation }: Omit<Question, "space">): boolean {
    return this.grants.some(
      (grant) => allowsSomewhere(grant, verb, operation) && grant.tools?.includes(operation) === true,
    );
  }
}

/** What the gate is asked. */
export interface Question {
  verb: Verb;
  /** Name of the operation. */
  operation: string;
  space: string;
}

/** Reports whether one grant, alone, allows the verb by this operation in this space. */
function allows(grant: Grant, question: Question): boolean {
  return refusedPart(grant, question) === undefined;
}

/** Returns the part of a grant that refuses this; undefined: it allows it. Without an operation, tools are ignored. */
export function refusedPart(
  grant: Grant,
  question: Omit<Question, "operation"> & { operation: string | undefined },
): "role" | "tools" | "spaces" | undefined {
  if (rankOf(grant.role) < VERBS.indexOf(question.verb)) return "role";
  if (question.operation !== undefined && !toolMatches(grant, question.operation)) return "tools";
  return spaceMatches(grant, question.verb, question.space) ? undefined : "spaces";
}

/** Reports whether one grant allows the verb by this operation in some space: for lists that are filtered later. */
function allowsSomewhere(grant: Grant, verb: Verb, operation: string): boolean {
  return rankOf(grant.role) >= VERBS.indexOf(verb) && toolMatches(grant, operation);
}

/**
 * Reports whether a cap allows a verb in a space, or (undefined) in some space. Writing a reserved space needs admin,
 * which is never forwarded.
 */
export function capAllows(cap: Cap, verb: Verb, space: string | undefined): boolean {
  if (rankOf(cap.role) < VERBS.indexOf(verb)) return false;
  if (space === undefined) return true;
  if (isReservedSpace(space) && verb !== "read") return false;
  return cap.spaces === undefined || spaceAmong(cap.spaces, space);
}

function rankOf(role: Role): number {
  return ROLES.indexOf(role);
}

function toolMatches(grant: Grant, operation: string): boolean {
  return grant.tools === undefined || grant.tools.some((tool) => globMatches(tool, operation));
}

function spaceMatches(grant: Grant, verb: Verb, space: string): boolean {
  if (isReservedSpace(space) && verb !== "read" && grant.role !== "admin") return false;
  return spaceAmong(grant.spaces, space);
}
