// Callers and agents of different roles and types, on whom models of visibility are tried.

import type { Caller } from "../../src/access/caller.ts";
import type { Core } from "./core.ts";
import { Someone, user } from "./sessions.ts";

/** One of them, with what a model needs to know. */
export interface Reader extends Someone {
  label: string;
  login: string;
  agent?: string;
  /** Of its agent, where a grant lists it. */
  type?: string;
  spaces: readonly string[];
  isAdmin: boolean;
}

export const SPACES = ["team-a", "team-b"];
const TYPES = ["reviewer", "builder", "unlisted"];
const LISTED = ["reviewer", "builder"];

/** Registers them: three callers, each itself and as an agent of each type. */
export async function readersOf(core: Core): Promise<Reader[]> {
  const readers: Reader[] = [];
  const add = (who: Someone, more: Omit<Reader, keyof Someone>) => readers.push(Object.assign(who, more));
  for (const [login, role, spaces] of [
    ["ann", "member", SPACES],
    ["bob", "member", ["team-a"]],
    ["ada", "admin", SPACES],
  ] as const) {
    const caller: Caller = user(login, { role, spaces: [...spaces], agent_types: LISTED });
    const itself = new Someone(core, caller);
    const about = { login: `${login}@example.com`, spaces, isAdmin: role === "admin" };
    add(itself, { ...about, label: login });
    for (const type of TYPES) {
      const agent = `${login}-${type}`;
      const counted = LISTED.includes(type) ? { type } : {};
      add(await itself.as(agent, type), { ...about, ...counted, agent, label: agent });
    }
  }
  return readers;
}
