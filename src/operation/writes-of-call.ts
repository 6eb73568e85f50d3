// Writes that a read at the leader makes for its caller, such as the row of a blob once its bytes are there. The log
// keeps them like the caller's other writes: with its name, agent and client, and the member that forwarded the call.

import type { Fault } from "../lib/fault.ts";
import { AGENT_LEVEL, CLIENT_LEVEL, levelOf } from "../log/level.ts";
import type { Applied, Log } from "../log/log.ts";
import { formatPosition } from "../log/position.ts";
import type { Reader } from "../store/store.ts";
import type { Admitted } from "./admitted.ts";
import { type AgentTable, agentOf, agentUnknown } from "./agents.ts";
import type { CallWrites } from "./call-writes.ts";
import { fleetNameOf, type Routing } from "./routing.ts";

/** What such writes need. */
export interface WritesOfCallOptions {
  log: Log;
  reader: Reader;
  agents: AgentTable | undefined;
  /** Returns why no write can be accepted now, or undefined. */
  writesRefused: (() => Fault | undefined) | undefined;
  routing: Routing | undefined;
}

/** The writes of one call. */
export class WritesOfCall implements CallWrites {
  readonly #options: WritesOfCallOptions;
  readonly #admitted: Admitted;

  constructor(options: WritesOfCallOptions, admitted: Admitted) {
    this.#options = options;
    this.#admitted = admitted;
  }

  refuse(): void {
    const refused = this.#options.writesRefused?.();
    if (refused !== undefined) throw refused;
  }

  async propose({ name, v }: { readonly name: string; readonly v: number }, input: unknown): Promise<Applied> {
    this.refuse();
    const { log, reader, agents, routing } = this.#options;
    const { call, agentKey } = this.#admitted;
    const { client = "", forwarded } = call;
    const level = levelOf(reader);
    const caller = fleetNameOf(call.caller, routing);
    const agent = agentKey === undefined || level < AGENT_LEVEL ? undefined : agentOf(agents, reader, agentKey, caller);
    if (agentKey !== undefined && agent === undefined) throw agentUnknown();
    const applied = await log.propose({
      ...{ name, v, input, caller, via: forwarded?.via ?? "", key: "" },
      ...(level >= CLIENT_LEVEL && client !== "" ? { client } : {}),
      ...(agent === undefined || agentKey === undefined ? {} : { agent: { name: agent.name, key: agentKey } }),
    });
    this.#admitted.wrote = formatPosition(applied.position);
    return applied;
  }
}
