// As which agent a call acts on this node, and so what it may see: looked up for each call, in the state of this node
// (agents.ts).

import type { Access } from "../access/access.ts";
import { type Caller, callerName } from "../access/caller.ts";
import { spaceOf } from "../access/space.ts";
import { Fault } from "../lib/fault.ts";
import type { Change } from "../log/changes.ts";
import { AGENT_LEVEL, levelOf } from "../log/level.ts";
import type { Reader } from "../store/store.ts";
import { type ActingAgent, type AgentTable, agentOf, agentUnknown } from "./agents.ts";
import type { ReadOperation } from "./define.ts";
import { type Forwarded, fleetNameOf, localCallerName, type Routing } from "./routing.ts";
import { levelTooLow } from "./versions.ts";
import type { ChangeRules, Viewer } from "./viewer.ts";

export interface ActorsOptions {
  /** The agents of the fleet; undefined: there are none. */
  agents: AgentTable | undefined;
  reader: Reader;
  access: Access;
  routing: Routing | undefined;
  changeRules: ChangeRules;
}

/** Who asks to see something, by an operation. */
export interface Asker {
  caller: Caller;
  /** Key of the agent as which it asks. */
  agentKey?: string | undefined;
  forwarded?: Forwarded | undefined;
  operation: string;
}

/** The agents of a node's calls. */
export class Actors {
  readonly #options: ActorsOptions;

  constructor(options: ActorsOptions) {
    this.#options = options;
  }

  /** Throws Fault `unavailable` where the fleet, as far as this node knows its level, has no agents yet. */
  refuseLevel(): void {
    const { routing, reader } = this.#options;
    const level = routing?.fleetLevel?.() ?? levelOf(reader);
    // An edge learns it from the first heartbeats, and must not pass the call on as one of the caller itself.
    if (level === 0) {
      throw new Fault("unavailable", "This node has not learned yet whether its fleet knows agents", {
        hint: "Try again in a few seconds; nothing was done.",
        facts: { outcome: "not_done" },
      });
    }
    if (level < AGENT_LEVEL) throw levelTooLow("A call of an agent", AGENT_LEVEL, level);
  }

  /** Returns the agent of a call that runs on this node. Throws Fault `agent_unknown`. */
  agentOf(caller: Caller, key: string | undefined): ActingAgent | undefined {
    // An edge has no list of agents. What it runs itself is the same for every agent of a caller.
    if (key === undefined || this.#options.routing?.mode() === "edge") return undefined;
    const row = this.#find(caller, key);
    if (row === undefined) throw agentUnknown();
    return { name: row.name, type: row.type };
  }

  /** Reports whether only the leader can tell whose handle a read shows: its registration may not be applied here. */
  isMissing({ local, follow }: ReadOperation, caller: Caller, key: string | undefined): boolean {
    if (key === undefined || local === true || follow !== undefined) return false;
    return this.#options.routing?.mode() === "replica" && this.#find(caller, key) === undefined;
  }

  /** Reports whether a grant of the caller lists a type of agents for each of these spaces. */
  countsType(caller: Caller, type: string, spaces: readonly string[] | "visible"): boolean {
    if (spaces === "visible") return false;
    const rights = this.#options.access.rights(caller);
    return spaces.every((space) => rights.listsAgentType(type, space));
  }

  /** Returns who asks as a viewer of rows in a space. Throws Fault `agent_unknown`. */
  viewer({ caller, agentKey, forwarded, operation }: Asker, space: string): Viewer {
    const { access, routing } = this.#options;
    const agent = this.agentOf(caller, agentKey);
    const counts = agent !== undefined && agent.type !== "" && access.rights(caller).listsAgentType(agent.type, space);
    return {
      callers: namesOf(caller, routing),
      tags: caller.tags,
      ...(agent === undefined ? {} : { agent: agent.name }),
      ...(counts ? { type: agent.type } : {}),
      isAdmin: access.permits(caller, { verb: "admin", operation, space }, forwarded),
    };
  }

  /** Reports whether who asks, and may read the space of a change, may see the change. Throws `agent_unknown`. */
  maySee(asker: Asker, change: Change): boolean {
    const { changeRules, reader, routing } = this.#options;
    // An edge has no rows by which to judge, and gets public changes alone.
    if (routing?.mode() === "edge") return true;
    const rule = changeRules.get(change.operation);
    return rule === undefined || rule(change, this.viewer(asker, spaceOf(change.target)), reader);
  }

  #find(caller: Caller, key: string) {
    const { agents, reader, routing } = this.#options;
    return agentOf(agents, reader, key, fleetNameOf(caller, routing));
  }
}

/** Returns the names under which commands of a caller may be: a local one gets that of its machine with the fleet. */
function namesOf(caller: Caller, routing: Routing | undefined): string[] {
  const name = callerName(caller);
  if (caller.kind !== "local" || name.includes("@")) return [name];
  const self = routing?.self() ?? "";
  return self === "" ? [name] : [name, localCallerName(name, self)];
}
