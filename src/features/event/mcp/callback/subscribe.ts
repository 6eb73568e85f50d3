// callback_subscribe: what events/subscribe of MCP Events does, by steps: the leader proves the address and keeps the
// secret, the place to begin is found, the subscription is written.

import { z } from "zod";
import { Fault } from "../../../../lib/fault.ts";
import { macro } from "../../../../operation/define.ts";
import { ANY_EVENT } from "../event-type.ts";
import { placeArguments } from "../place.ts";
import { callbackArguments, hostOf, ttlArgument } from "./subscription.ts";
import { callbackProof, callbackStatus } from "./verify.ts";
import { callbackGrant, notAllowed } from "./writes.ts";

const begun = z.object({ cursor: z.string(), truncated: z.boolean() });

/** Subscribes, or goes on. */
export const callbackSubscribe = macro({
  name: "callback_subscribe",
  isTool: false,
  title: "Send events to a callback",
  search: "MCP events, webhook, events/subscribe",
  description:
    "Sends the events of a type to an https address that you choose, on a host that an admin has allowed, as events/subscribe of MCP Events: the address is asked for its proof first. It ends unless you call it again in time. The steps are callback_verify, event_poll and callback_grant.",
  input: z.object({
    ...callbackArguments,
    secret: z.string().max(1024).describe("What signs its messages: whsec_ and 24 to 64 bytes as base64."),
    ...placeArguments,
    ttl_ms: ttlArgument,
  }),
  example: {
    ...{ name: ANY_EVENT, arguments: { space: "team-a" }, url: "https://example.com/hook" },
    secret: "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX",
  },
  samples: { cursor: "1f3a9c0b22-e7", max_age_ms: 300_000, ttl_ms: 600_000 },
  output: z.object({
    id: z.string().describe("Each message has it in X-MCP-Subscription-Id."),
    refresh_before: z.string().describe("It ends then, unless you call it again."),
    cursor: z.string().describe("Everything up to here is delivered or given up."),
    truncated: z.boolean().describe("It begins later than the given cursor: events may have been passed over."),
    status: callbackStatus.optional().describe("How its deliveries go; left out for a new one."),
  }),
  access: { verb: "write", spaces: ({ arguments: { space } }) => [space] },
  hints: { idempotent: true },
  async run({ secret, cursor, max_age_ms, ttl_ms, ...key }, { ask }) {
    const { space } = key.arguments;
    const ttl = ttl_ms === undefined ? {} : { ttl_ms };
    const proof = callbackProof.parse(await ask("callback_verify", { ...key, secret, ...ttl }));
    if (!proof.verified) throw notProved(proof.reason ?? "", space, hostOf(key.url) ?? "");
    // Of one that exists the type was known once.
    const what = proof.exists
      ? { name: ANY_EVENT, arguments: { space } }
      : { name: key.name, arguments: key.arguments };
    const place = {
      ...(cursor === undefined ? {} : { since: cursor }),
      ...(max_age_ms === undefined ? {} : { max_age_ms }),
    };
    const begins = begun.parse(await ask("event_poll", { ...what, ...place, limit: 0 }));
    const granted = await ask(callbackGrant.name, { ...key, cursor: begins.cursor, ...ttl });
    const { refresh_before } = callbackGrant.output.parse(granted);
    const { id, status } = proof;
    const at = { cursor: proof.cursor ?? begins.cursor, truncated: begins.truncated };
    return { id, refresh_before, ...at, ...(status === undefined ? {} : { status }) };
  },
});

function notProved(reason: string, space: string, host: string): Fault {
  if (reason === "target" || reason === "host") {
    const fault = notAllowed(reason, space, host);
    return new Fault(fault.code, fault.message, { hint: fault.hint, facts: { callback: `no_${reason}` } });
  }
  return new Fault("unavailable", `${host} has not proved that it wants these events: ${reason}`, {
    hint: "It has to answer the signed verification with 2xx and the same challenge as JSON.",
    facts: { callback: reason },
  });
}
