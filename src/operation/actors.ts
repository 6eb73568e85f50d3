// As which agent a call acts on this node: looked up for each call, in the state of this node (agents.ts).

import type { Access } from "../access/access.ts";
import type { Caller } from "../access/caller.ts";
import { AGENT_LEVEL, levelOf } from "../log/level.ts";
import type { Reader } from "../store/store.ts";
import { type ActingAgent, type AgentTable, agentOf, agentUnknown } from "./agents.ts";
import type { ReadOperation } from "./define.ts";
import { fleetNameOf, type Routing } from "./routing.ts";
import { levelTooLow } from "./versions.ts";

export interface ActorsOptions {
  /** The agents of the fleet; undefined: there are none. */
  agents: AgentTable | undefined;
  reader: Reader;
  access: Access;
  routing: Routing | undefined;
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

  #find(caller: Caller, key: string) {
    const { agents, reader, routing } = this.#options;
    return agentOf(agents, reader, key, fleetNameOf(caller, routing));
  }
}
