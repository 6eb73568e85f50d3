// A core with events over one store without a network, a clock that the test moves, and the calls that tests share.

import type { Caller } from "../../src/access/caller.ts";
import { agentFeature } from "../../src/features/agent/index.ts";
import { contextFeature, ROW_CHECKS } from "../../src/features/context/index.ts";
import { EVENT_LOG } from "../../src/features/event/event-log.ts";
import { EVENT_FEED, EventFeed } from "../../src/features/event/feed.ts";
import { eventFeature } from "../../src/features/event/index.ts";
import { ReplicatedEventLog } from "../../src/features/event/replicated-log.ts";
import { Retention } from "../../src/features/event/retention.ts";
import type { WriteLimits } from "../../src/operation/define.ts";
import { eventTypesOf, operationsOf } from "../../src/operation/derive.ts";
import { NODE, type NodeParts, REFUSALS } from "../../src/operation/node-parts.ts";
import { OWN_TYPES } from "../../src/operation/own-events.ts";
import { Services } from "../../src/operation/services.ts";
import { whoami } from "../../src/operation/whoami.ts";
import { type Core, type CoreOptions, callerWith, startCore } from "./core.ts";
import { DEFAULT_WRITE_LIMITS } from "./limits.ts";

const BEGIN_MS = 1_700_000_000_000;

/** A user with the role member on all spaces, or with these grants. */
export const sender = (name: string, ...grants: unknown[]): Caller =>
  callerWith({
    id: `n${name}`,
    login: `${name}@x`,
    grants: grants.length > 0 ? grants : [{ role: "member", spaces: ["*"] }],
  });

/** What an outcome of an event may have. */
export interface Outcome {
  id: string;
  cursor: string;
  duplicate: boolean;
  error?: { code: string; field?: string; message: string; hint?: string };
}

/** An event as operations return it. */
export type Seen = Record<string, unknown> & { id: string; source: string; type: string; cairnposition: string };

/** Starts a core with events. `limits.events` may be set in part. */
export function startEvents(options: Omit<CoreOptions, "limits"> & { events?: Partial<WriteLimits["events"]> } = {}) {
  const { events, features = [agentFeature, contextFeature, eventFeature], ...more } = options;
  let elapsedMs = 0;
  const nowMs = () => BEGIN_MS + elapsedMs;
  const limits = { ...DEFAULT_WRITE_LIMITS, events: { ...DEFAULT_WRITE_LIMITS.events, voters: () => 1, ...events } };
  const node = new Services();
  const core: Core = startCore({
    ...{ nowMs, features, limits, operations: [...operationsOf(features, node), whoami] },
    ...more,
  });
  const { reader } = core.store;
  node
    .provide(NODE, { limits: () => limits, store: core.store, nowMs } as unknown as NodeParts)
    .provide(OWN_TYPES, eventTypesOf(features))
    .provide(REFUSALS, core.refusals)
    .provide(ROW_CHECKS, eventFeature.verify === undefined ? [] : [eventFeature.verify])
    .provide(EVENT_LOG, new ReplicatedEventLog(reader, () => core.log));
  node.provide(EVENT_FEED, new EventFeed(node.get(EVENT_LOG)));
  const retention = new Retention({
    ...{ reader, log: () => core.log, limits: () => limits },
    onError: (error) => {
      throw error;
    },
  });
  return {
    core,
    node,
    limits,
    nowMs,
    pass: (ms: number) => {
      elapsedMs += ms;
    },
    /** Lets the leader remove what is beyond the limits. */
    retain: () => retention.look(new AbortController().signal),
    publish: async (who: string, event: Record<string, unknown>) =>
      (await core.call("event_publish", event, sender(who))) as unknown as Outcome,
    publishMany: async (who: string, list: readonly unknown[], space = "default") =>
      (await core.call("event_publish_many", { space, events: list }, sender(who)))["results"] as Outcome[],
    list: async (input: Record<string, unknown> = {}, who: Caller = sender("reader")) =>
      (await core.call("event_list", input, who)) as unknown as {
        events: Seen[];
        cursor: string;
        oldest: string;
        more: boolean;
      },
    wait: async (input: Record<string, unknown>, who: Caller = sender("reader")) =>
      (await core.call("event_wait", input, who)) as unknown as { events: Seen[]; cursor: string; timed_out: boolean },
    [Symbol.asyncDispose]: () => core[Symbol.asyncDispose](),
  };
}

export type Events = ReturnType<typeof startEvents>;
