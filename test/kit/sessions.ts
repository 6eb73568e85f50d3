// Cores with sessions, and the calls that tests of them share.

import type { Caller } from "../../src/access/caller.ts";
import { agentFeature } from "../../src/features/agent/index.ts";
import { contextFeature } from "../../src/features/context/index.ts";
import { leaseFeature } from "../../src/features/lease/index.ts";
import { sessionFeature } from "../../src/features/session/index.ts";
import { type Core, type CoreOptions, callerWith, localAdmin, startCore } from "./core.ts";

/** A core with agents, contexts and sessions. */
export const startSessions = (options: CoreOptions = {}) =>
  startCore({ features: [agentFeature, contextFeature, leaseFeature, sessionFeature], ...options });

/** A user with the role member on all spaces, or with these grants. */
export const user = (login: string, ...grants: unknown[]): Caller =>
  callerWith({
    id: `n${login}`,
    login: `${login}@example.com`,
    grants: grants.length > 0 ? grants : [{ role: "member", spaces: ["*"] }],
  });

/** A message as an operation returns it. */
export interface Shown {
  message: string;
  session: string;
  text: string;
  author: string;
  agent?: string;
  parent?: string;
  thread?: string;
  depth?: number;
  position: string;
  [member: string]: unknown;
}

/** One caller, perhaps as an agent, on a core. */
export class Someone {
  readonly core: Core;
  readonly caller: Caller;
  readonly handle: string | undefined;

  constructor(core: Core, caller: Caller = localAdmin, handle?: string) {
    this.core = core;
    this.caller = caller;
    this.handle = handle;
  }

  /** The same caller as a newly registered agent. */
  async as(name: string, type?: string): Promise<Someone> {
    const input = { name, ...(type === undefined ? {} : { type }) };
    const { handle } = await this.core.call("agent_register", input, this.caller);
    return new Someone(this.core, this.caller, String(handle));
  }

  call(operation: string, input: Record<string, unknown> = {}): Promise<Record<string, unknown>> {
    const as = this.handle === undefined ? {} : { as: this.handle };
    return this.core.call(operation, { ...input, ...as }, this.caller);
  }

  async create(purpose = "Work", space?: string): Promise<string> {
    return String(
      (await this.call("session_create", { purpose, ...(space === undefined ? {} : { space }) }))["session"],
    );
  }

  /** Posts, and returns the id of the message. */
  async post(session: string, text: string, more: Record<string, unknown> = {}): Promise<string> {
    return String((await this.call("message_post", { session, text, ...more }))["message"]);
  }

  async list(session: string, more: Record<string, unknown> = {}): Promise<Shown[]> {
    return (await this.call("message_list", { session, ...more }))["messages"] as Shown[];
  }

  async texts(session: string, more: Record<string, unknown> = {}): Promise<string[]> {
    return (await this.list(session, more)).map(({ text }) => text);
  }

  async inbox(more: Record<string, unknown> = {}): Promise<Shown[]> {
    return (await this.call("inbox", more))["messages"] as Shown[];
  }
}
