// A node with events, subscriptions and callbacks behind MCP, whose way out and tailnet the test plays.

import { agentFeature } from "../../src/features/agent/index.ts";
import { contextFeature } from "../../src/features/context/index.ts";
import { callbackFeature, eventFeature, subscriptionFeature } from "../../src/features/event/index.ts";
import { callbacksExpiring } from "../../src/features/event/mcp/callback/writes.ts";
import { Retention } from "../../src/features/event/retention.ts";
import { CALLBACK_KEYS, CallbackKeys } from "../../src/features/event/subscription/callback-keys.ts";
import { OUTBOX, openOutbox } from "../../src/features/event/subscription/open-outbox.ts";
import { createMcp } from "../../src/mcp/index.ts";
import { operationsOf } from "../../src/operation/derive.ts";
import type { Outbound } from "../../src/operation/node-parts.ts";
import { Services } from "../../src/operation/services.ts";
import { type Core, startCore } from "./core.ts";
import { sender } from "./events.ts";
import { DEFAULT_WRITE_LIMITS } from "./limits.ts";
import { providePlayed } from "./played-parts.ts";

/** A request that a callback got. */
export interface Got {
  url: string;
  headers: Record<string, string>;
  text: string;
  body: Record<string, unknown>;
}

/** Starts the node. Its callbacks prove themselves, and take everything, unless the test says otherwise. */
export function startCallbacks() {
  const node = new Services();
  const features = [agentFeature, contextFeature, eventFeature, subscriptionFeature, callbackFeature];
  let elapsedMs = 0;
  const nowMs = () => 1_700_000_000_000 + elapsedMs;
  const limits = { ...DEFAULT_WRITE_LIMITS, events: { ...DEFAULT_WRITE_LIMITS.events } };
  const core: Core = startCore({ features, limits, nowMs, operations: operationsOf(features, node) });
  const got: Got[] = [];
  const answer: { next: (got: Got) => Response | Promise<Response> } = { next: proving };
  const outbound: Outbound = async (url, { headers, body }) => {
    const text = Buffer.from(body ?? []).toString("utf8");
    const one = { url: url.href, headers, text, body: JSON.parse(text) };
    got.push(one);
    return answer.next(one);
  };
  const { tailnet, conditions } = providePlayed(node, core, { limits: () => limits, nowMs, outbound, env: {} });
  const ann = sender("ann", { role: "member", spaces: ["team-a"] });
  tailnet.set("user:ann@x", ann);
  let keys = new CallbackKeys(nowMs);
  node.provide(CALLBACK_KEYS, {
    keep: (...given: Parameters<CallbackKeys["keep"]>) => keys.keep(...given),
    of: (subscription: string) => keys.of(subscription),
    isProved: (caller: string, url: string) => keys.isProved(caller, url),
    prove: (caller: string, url: string) => keys.prove(caller, url),
  } as CallbackKeys);
  const mcp = createMcp({ invoker: core.invoker, features, version: "0", log: () => {} });
  let ends = new AbortController();
  let running: Promise<void> | undefined;
  const outbox = openOutbox(node);
  node.provide(OUTBOX, outbox);
  const lead = () => {
    ends = new AbortController();
    running = outbox.run(ends.signal);
  };
  const stop = async () => {
    ends.abort();
    await running;
  };
  return {
    ...{ core, got, answer, tailnet, mcp, ann, limits, conditions, lead },
    pass: (ms: number) => {
      elapsedMs += ms;
    },
    /** Another node leads: what was in memory is gone. */
    async change() {
      await stop();
      keys = new CallbackKeys(nowMs);
      lead();
    },
    /** Lets the leader end what is over. */
    expire: () => {
      const { name, v } = callbacksExpiring.write;
      return core.log.propose({ name, v, input: {}, caller: "node", via: "", key: "" });
    },
    retain: () =>
      new Retention({
        ...{ reader: core.store.reader, log: () => core.log, limits: () => limits },
        onError: (error) => {
          throw error;
        },
      }).look(new AbortController().signal),
    publish: (type: string, data: unknown = {}, who = sender("bob"), space = "team-a") =>
      core.call("event_publish", { space, type, data }, who),
    async [Symbol.asyncDispose]() {
      await stop();
      await mcp.close();
      await core[Symbol.asyncDispose]();
    },
  };
}

/** Answers a verification with its challenge, and takes everything else. */
export function proving({ body }: Got): Response {
  return body["type"] === "verification" ? Response.json({ challenge: body["challenge"] }) : new Response("ok");
}
