// The gate (architecture.md 4): adds up a caller's rights from all sources, and judges each call for invoke.
// No other folder decides what a caller may do.

import { LRUCache } from "lru-cache";
import { Fault } from "../lib/fault.ts";
import { type Caller, callerName } from "./caller.ts";
import { isLoginOf, writtenLogin } from "./login.ts";
import { type Policy, policyGrants, policyJoinRoles } from "./policy-file.ts";
import type { SourcedGrant } from "./rights.ts";
import {
  type Cap,
  capAllows,
  type Grant,
  joinRolesOf,
  parseGrants,
  type Question,
  Rights,
  type Role,
  type Verb,
} from "./rights.ts";
import { ALL_SPACES, isReservedSpace } from "./space.ts";

/** Settings of the gate, by their names in the settings table. */
export interface AccessSettings {
  /** Name of the app capability in the tailnet policy. */
  capability: string;
  /** Role of untagged users of this tailnet who have no grant. */
  defaultRole: "none" | "reader" | "member";
  /** Logins that are admins of this node. */
  admins: readonly string[];
}

/** What invoke asks: an operation with its verb, and its spaces, or "visible" where the operation filters by space. */
export interface Ask {
  operation: string;
  verb: Verb;
  spaces: readonly string[] | "visible";
  /** Set for a call from another node: the most that it may do. */
  cap?: Cap;
}

const OWN: readonly string[] = ["*"];
const LOCAL_ADMIN: readonly string[] = ["*", "fleet"];

/** Returns what is wrong with a preset that a grant names, as the end of a sentence; undefined: it can be used. */
export type PresetProblem = (preset: string) => string | undefined;

/** The gate of one node. Caches rights by the identity of the caller object, at most 4096 of them. */
export class Access {
  #settings: AccessSettings;
  readonly #presetProblem: PresetProblem;
  #policy: Policy | undefined;
  #cache = new LRUCache<Caller, Rights>({ max: 4096 });

  constructor(settings: AccessSettings, policy?: Policy, presetProblem: PresetProblem = () => undefined) {
    this.#settings = settings;
    this.#policy = policy;
    this.#presetProblem = presetProblem;
  }

  /** Replaces the policy file for all judgements from now on. */
  usePolicy(policy: Policy | undefined): void {
    this.#policy = policy;
    this.#cache = new LRUCache({ max: 4096 });
  }

  /** Replaces settings for all judgements from now on. */
  useSettings(settings: Pick<AccessSettings, "defaultRole" | "admins">): void {
    this.#settings = { ...this.#settings, ...settings };
    this.#cache = new LRUCache({ max: 4096 });
  }

  /** Returns all grants of a caller, added up. Ingress uses one caller object for each state of a caller. */
  rights(caller: Caller): Rights {
    const known = this.#cache.get(caller);
    if (known !== undefined) return known;
    const { grants, problems } = this.#derive(caller);
    const all = new Rights(
      grants.map(({ grant }) => grant),
      problems,
    );
    const rights = caller.readOnly === true ? all.readOnly() : all;
    this.#cache.set(caller, rights);
    return rights;
  }

  /**
   * Returns the grants that allow the call (security.md 5). Throws Fault `forbidden` with the verb, the space and the
   * missing grant.
   */
  judge(caller: Caller, ask: Ask): readonly Grant[] {
    const rights = this.rights(caller);
    if (ask.cap !== undefined) refuseCapped(ask, ask.cap);
    // A call that names no space needs the right somewhere too: an empty list refuses nothing by itself.
    if (ask.spaces === "visible" || ask.spaces.length === 0) {
      const found = rights.allowingSomewhere(ask);
      if (found.length === 0) throw this.#refusal(caller, ask, undefined);
      return found;
    }
    const used = new Set<Grant>();
    for (const space of ask.spaces) {
      const found = rights.allowing({ verb: ask.verb, operation: ask.operation, space });
      if (found.length === 0) throw this.#refusal(caller, ask, space);
      for (const grant of found) used.add(grant);
    }
    return [...used];
  }

  /** Reports whether a caller may use a verb by an operation in one space, for filtering. */
  permits(caller: Caller, question: Question, cap?: Cap): boolean {
    if (cap !== undefined && !capAllows(cap, question.verb, question.space)) return false;
    return this.rights(caller).mayUse(question);
  }

  /** Returns the roles in which grants let a caller join the fleet, without a ticket and without an approval. */
  joinRoles(caller: Caller): readonly "edge"[] {
    if (caller.kind === "local") return [];
    const policy = this.#policy === undefined ? [] : policyJoinRoles(this.#policy, caller);
    return [...new Set([...joinRolesOf(caller.grants), ...policy])];
  }

  /** Returns the grants of a caller, each with its source, for explanations. */
  sourced(caller: Caller): readonly SourcedGrant[] {
    const { grants } = this.#derive(caller);
    if (caller.readOnly !== true) return grants;
    return grants.map(({ source, grant }) => ({
      source: `${source}, read-only by this connection`,
      grant: { ...grant, role: "reader" },
    }));
  }

  #derive(caller: Caller): { grants: SourcedGrant[]; problems: readonly string[] } {
    if (caller.kind === "local") {
      return { grants: [localGrant(caller.id)], problems: [] };
    }
    const granted = parseGrants(caller.grants, `The grant for ${nameForPeople(caller)}`);
    const grants: SourcedGrant[] = granted.grants.map((grant, index) => ({
      source: `object ${index + 1} of the tailnet policy for this caller`,
      grant,
    }));
    if (this.#policy !== undefined) grants.push(...policyGrants(this.#policy, caller));
    if (caller.kind === "user" && this.#settings.admins.some((admin) => isLoginOf(admin, caller.login)))
      grants.push({ source: "the setting access.admins", grant: plainGrant("admin", LOCAL_ADMIN) });
    if (grants.length === 0 && granted.problems.length === 0 && caller.kind === "user")
      grants.push(...this.#withoutGrant(caller));
    return this.#withKnownPresets(grants, granted.problems);
  }

  /** Leaves out presets that this build cannot offer: a preset gives no right, so the grant counts without it. */
  #withKnownPresets(grants: SourcedGrant[], parsing: readonly string[]) {
    const problems = [...parsing];
    const known = grants.map((sourced) => {
      const { preset, ...grant } = sourced.grant;
      const problem = preset === undefined ? undefined : this.#presetProblem(preset);
      if (problem === undefined) return sourced;
      problems.push(`${sourced.source} counts without its preset: ${problem}`);
      return { ...sourced, grant };
    });
    return { grants: known, problems };
  }

  /** Returns the rights of an untagged caller of this tailnet that no grant names (security.md 2). */
  #withoutGrant(caller: Caller): SourcedGrant[] {
    if (caller.own) return [{ source: "being a device of the node's own user", grant: plainGrant("member", OWN) }];
    const { defaultRole } = this.#settings;
    return defaultRole === "none"
      ? []
      : [{ source: "the setting access.default_role", grant: plainGrant(defaultRole, OWN) }];
  }

  #refusal(caller: Caller, ask: Ask, space: string | undefined): Fault {
    const what = `use ${ask.operation} ${inWords(space)}`;
    const role = space !== undefined && isReservedSpace(space) && ask.verb !== "read" ? "admin" : ROLE_FOR[ask.verb];
    const missing = { role, spaces: [space ?? "team-a"] };
    if (caller.readOnly === true && ask.verb !== "read") {
      return new Fault("forbidden", `This connection is read-only: it may not ${what}`, {
        hint: "Connect without the read-only preset to do this, where your rights allow it.",
        facts: { refusedSpace: space },
        details: { verb: ask.verb },
      });
    }
    if (caller.kind === "local") return localRefusal(caller.id, ask, { what, role, space });
    const byItself =
      role === "admin" ? "On the node's machine its user may do it without: leave out --url and CAIRN_URL. " : "";
    return new Fault("forbidden", `${nameForPeople(caller)} may not ${what}: it needs the role ${role}`, {
      hint:
        `${byItself}Add this grant to the tailnet policy, or ask an admin of the tailnet to: ` +
        JSON.stringify(this.#grantToPaste(caller, missing)),
      facts: { refusedSpace: space },
      details: { verb: ask.verb, missing },
    });
  }

  #grantToPaste(caller: Caller, missing: { role: Role; spaces: string[] }): unknown {
    const user = caller.login === "" ? caller.id : writtenLogin(caller.login);
    const src = caller.kind === "tagged" ? caller.tags.slice(0, 1) : [user];
    return { src, dst: ["tag:cairn"], ip: ["tcp:80", "tcp:443"], app: { [this.#settings.capability]: [missing] } };
  }
}

function inWords(space: string | undefined): string {
  if (space === undefined) return "in any space";
  return space === ALL_SPACES ? "in all spaces" : `in space ${JSON.stringify(space)}`;
}

const ROLE_FOR: Record<Verb, Role> = { read: "reader", write: "member", operate: "operator", admin: "admin" };

/**
 * Returns the grant of a local caller: admin for the local socket of this machine, operator for the one of another
 * member's machine, member for the other local ways in.
 */
function localGrant(id: string): SourcedGrant {
  if (id === "local")
    return { source: "the local socket", grant: { ...plainGrant("admin", LOCAL_ADMIN), agentTypes: ["*"] } };
  const source = `the way in (${id})`;
  if (id.startsWith("local@")) return { source, grant: plainGrant("operator", LOCAL_ADMIN) };
  return { source, grant: plainGrant("member", OWN) };
}

/**
 * Returns the refusal of a caller of this machine. No grant of the tailnet policy reaches one: what helps is the way in
 * that has the right.
 */
function localRefusal(
  id: string,
  { operation, verb }: Ask,
  { what, role, space }: { what: string; role: Role; space: string | undefined },
): Fault {
  const way = WAYS_IN[id] ?? "this way in";
  return new Fault("forbidden", `A local caller by ${way} may not ${what}`, {
    hint:
      `This needs the role ${role}, which the local socket of the node gives: on its machine and as its user, run ` +
      `cairn call ${operation} --data DIR with its data folder.`,
    facts: { refusedSpace: space },
    details: { verb, missing: { role, spaces: [space ?? "*"] } },
  });
}

/** The local ways in that are no admin, in words. */
const WAYS_IN: Readonly<Record<string, string>> = {
  "local:dev": "127.0.0.1",
  "local:bridge": "MCP",
};

/** Throws Fault `forbidden` where the forwarding member may not bring this call. */
function refuseCapped(ask: Ask, cap: Cap): void {
  const spaces = ask.spaces === "visible" ? [undefined] : ask.spaces;
  const refused = spaces.findIndex((space) => !capAllows(cap, ask.verb, space));
  if (refused < 0) return;
  const space = spaces[refused];
  throw new Fault("forbidden", `What this node forwards may not use ${ask.operation} ${inWords(space)}`, {
    hint: "Ask the leader itself; `cairn status` names it.",
    facts: { refusedSpace: space },
    details: { verb: ask.verb },
  });
}

function plainGrant(role: Role, spaces: readonly string[]): Grant {
  return { role, spaces, tools: undefined, requestsPerMinute: undefined };
}

function nameForPeople(caller: Caller): string {
  if (caller.kind === "tagged") return `The node ${JSON.stringify(caller.node)} (${caller.tags.join(", ")})`;
  return callerName(caller).replace(/^user:/, "");
}
