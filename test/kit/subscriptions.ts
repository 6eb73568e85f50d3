// A node with subscriptions over a store and a log, and an outbox whose way out and tailnet the test plays.

import type { Caller } from "../../src/access/caller.ts";
import type { Settings } from "../../src/config/settings.ts";
import { agentFeature } from "../../src/features/agent/index.ts";
import { contextFeature, ROW_CHECKS } from "../../src/features/context/index.ts";
import { eventFeature, subscriptionFeature } from "../../src/features/event/index.ts";
import { CALLBACK_KEYS, CallbackKeys } from "../../src/features/event/subscription/callback-keys.ts";
import { OUTBOX, openOutbox } from "../../src/features/event/subscription/open-outbox.ts";
import type { Tracer } from "../../src/observe/trace/tracer.ts";
import { operationsOf } from "../../src/operation/derive.ts";
import { type NodeParts, type Outbound, TRACER } from "../../src/operation/node-parts.ts";
import { Services } from "../../src/operation/services.ts";
import { type Core, startCore } from "./core.ts";
import { sender } from "./events.ts";
import { DEFAULT_WRITE_LIMITS } from "./limits.ts";
import { providePlayed } from "./played-parts.ts";

/** A request that left. */
export interface Sent {
  host: string;
  path: string;
  headers: Readonly<Record<string, string>>;
  text: string;
  body: Record<string, unknown>;
}

/** A node with an outbox, whose way out and tailnet the test plays. */
export function startSubscriptions(settings: Partial<Settings> = {}, tracer?: Tracer) {
  const node = new Services();
  const features = [agentFeature, contextFeature, eventFeature, subscriptionFeature];
  const core: Core = startCore({ features, operations: operationsOf(features, node), tracer });
  const sent: Sent[] = [];
  const answers: (() => Response)[] = [];
  const env: Record<string, string> = { CAIRN_SECRET_KEY: "very-secret" };
  const outbound: Outbound = async (url, { body, headers }) => {
    const text = Buffer.from(body ?? []).toString("utf8");
    sent.push({ host: url.host, path: url.pathname, headers, text, body: JSON.parse(text) });
    return answers.shift()?.() ?? new Response("ok");
  };
  const parts = { limits: () => DEFAULT_WRITE_LIMITS, nowMs: Date.now, settings: settings as NodeParts["settings"] };
  const { tailnet, conditions } = providePlayed(node, core, { ...parts, outbound, env });
  node.provide(ROW_CHECKS, subscriptionFeature.verify === undefined ? [] : [subscriptionFeature.verify]);
  node.provide(CALLBACK_KEYS, new CallbackKeys(Date.now));
  if (tracer !== undefined) node.provide(TRACER, tracer);
  const outbox = openOutbox(node);
  node.provide(OUTBOX, outbox);
  const ends = new AbortController();
  let running: Promise<void> | undefined;
  const ann = sender("ann", { role: "member", spaces: ["team-a"] });
  tailnet.set("user:ann@x", ann);
  return {
    ...{ node, core, sent, answers, env, tailnet, conditions, outbox, ann },
    start: () => {
      running = outbox.run(ends.signal);
    },
    call: (name: string, input: Record<string, unknown>, who: Caller = ann) => core.call(name, input, who),
    publish: (type: string, data: unknown = {}, space = "team-a") =>
      core.call("event_publish", { space, type, data }, sender("bob")),
    async [Symbol.asyncDispose]() {
      ends.abort();
      await running;
      await core[Symbol.asyncDispose]();
    },
  };
}

/** Waits until an assertion holds. */
export async function until(holds: () => unknown, withinMs = 15_000): Promise<void> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    try {
      await holds();
      return;
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await Bun.sleep(20);
    }
  }
}
