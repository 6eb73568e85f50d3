// callback_verify: the leader proves the address of a subscription and keeps its secret in memory, which it needs to
// send anything. It also says how deliveries go.

import { z } from "zod";
import { counted } from "../../../../lib/counted.ts";
import { Fault } from "../../../../lib/fault.ts";
import { timeOf } from "../../../../lib/time-of.ts";
import { TokenBuckets } from "../../../../lib/token-bucket.ts";
import { type ReadOperation, read } from "../../../../operation/define.ts";
import { HOST, NODE } from "../../../../operation/node-parts.ts";
import type { Services } from "../../../../operation/services.ts";
import { refuseBelowLevel } from "../../../../operation/versions.ts";
import type { Reader } from "../../../../store/store.ts";
import { cursorText, logNameOf } from "../../cursor.ts";
import { CALLBACK_KEYS } from "../../subscription/callback-keys.ts";
import { OUTBOX } from "../../subscription/open-outbox.ts";
import { SUBSCRIPTION_LEVEL, type SubscriptionRow, subscriptionRow } from "../../subscription/rows.ts";
import { clientIdOf } from "../../subscription/targets/callback.ts";
import { ANY_EVENT } from "../event-type.ts";
import { proved, reasonOf } from "./handshake.ts";
import { callbackArguments, callbackId, hostOf, targetFor, ttlArgument, ttlOf } from "./subscription.ts";

/** Addresses of one host that are asked in a minute. */
const ASKED_PER_MINUTE = 20;
const MAX_HOSTS = 1000;
const MIN_SECRET = 24;
const MAX_SECRET = 64;
const PREFIX = "whsec_";
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

const input = z.object({
  ...callbackArguments,
  secret: z.string().max(1024).describe("What signs its messages: whsec_ and 24 to 64 bytes as base64."),
  ttl_ms: ttlArgument,
});

/** How the deliveries of a subscription go. */
export const callbackStatus = z.object({
  active: z.boolean(),
  lastDeliveryAt: z.string().nullable(),
  lastError: z.string().nullable(),
  failedSince: z.string().optional(),
});

const output = z.object({
  id: z.string().describe("Of the subscription, as its client knows it."),
  verified: z.boolean(),
  reason: z.string().optional().describe("Why not: target and host mean that no admin has allowed it."),
  exists: z.boolean(),
  cursor: z.string().optional().describe("Of a subscription that exists: everything up to here is done with."),
  status: callbackStatus.optional(),
});
/** What the operation returns. */
export const callbackProof = output;

/** Returns the operation. */
export function callbackVerify(node: Services): ReadOperation<typeof input, typeof output> {
  let buckets: TokenBuckets | undefined;
  return read({
    name: "callback_verify",
    atLeader: true,
    isTool: false,
    title: "Prove the address of a subscription",
    description:
      "Asks the address of a subscription of MCP Events for its proof, and keeps the secret in the memory of the leader. A step of callback_subscribe.",
    input,
    example: {
      ...{ name: ANY_EVENT, arguments: { space: "team-a" }, url: "https://example.com/hook" },
      secret: "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX",
    },
    samples: { ttl_ms: 600_000 },
    output,
    access: { verb: "write", spaces: ({ arguments: { space } }) => [space] },
    hints: { idempotent: true },
    async run(reader, { secret, ttl_ms, ...key }, context) {
      refuseBelowLevel(reader, SUBSCRIPTION_LEVEL, "callback_verify");
      refuseSecret(secret);
      const { nowMs } = node.get(NODE);
      const keys = node.get(CALLBACK_KEYS);
      const host = hostOf(key.url) ?? "";
      const row = callbackId(context.author, key);
      const found = existing(node, reader, row);
      const told = { id: clientIdOf(row), ...found };
      const allowed = targetFor(reader, key.arguments.space, host);
      if ("none" in allowed) return { ...told, verified: false, reason: allowed.none };
      if (!keys.isProved(context.author, key.url)) {
        buckets ??= new TokenBuckets({ maxKeys: MAX_HOSTS, nowMs });
        if (buckets.take(host, ASKED_PER_MINUTE) > 0) throw tooOften(host);
        const asked = { url: key.url, secret, subscription: told.id };
        const reason = await proved(node.get(HOST).outbound, asked, nowMs(), context.signal);
        if (reason !== undefined) return { ...told, verified: false, reason };
      }
      keys.prove(context.author, key.url);
      keys.keep(row, secret, ttlOf(ttl_ms));
      return { ...told, verified: true };
    },
  });
}

function existing(
  node: Services,
  reader: Reader,
  id: string,
): Pick<z.output<typeof output>, "exists" | "cursor" | "status"> {
  const row = subscriptionRow(reader, id);
  if (row === undefined) return { exists: false };
  const queue = node.find(OUTBOX)?.queue(id);
  const cursor = cursorText(logNameOf(reader), Math.max(row.cursor, queue?.at ?? 0));
  return { exists: true, cursor, status: statusOf(row, queue?.attempts ?? []) };
}

type Attempts = readonly { at: number; result: string; status: number; detail: string }[];

function statusOf({ state }: SubscriptionRow, attempts: Attempts): z.output<typeof callbackStatus> {
  const delivered = attempts.findLast(({ result }) => result === "delivered");
  const failed = attempts.slice(delivered === undefined ? 0 : attempts.lastIndexOf(delivered) + 1);
  const [first, last] = [failed.at(0), failed.at(-1)];
  return {
    active: state === "active",
    lastDeliveryAt: delivered === undefined ? null : timeOf(delivered.at),
    lastError: last === undefined ? null : reasonOf(last),
    ...(first === undefined ? {} : { failedSince: timeOf(first.at) }),
  };
}

/** The secret is in no message. */
function refuseSecret(secret: string): void {
  const text = secret.startsWith(PREFIX) ? secret.slice(PREFIX.length) : "";
  const bytes = BASE64.test(text) ? Buffer.from(text, "base64").length : 0;
  if (bytes >= MIN_SECRET && bytes <= MAX_SECRET) return;
  throw new Fault("invalid_input", "The secret is no secret of Standard Webhooks", {
    hint: `Give ${PREFIX} and ${MIN_SECRET} to ${MAX_SECRET} random bytes as base64.`,
    details: { field: "secret" },
  });
}

function tooOften(host: string): Fault {
  const often = counted(ASKED_PER_MINUTE, "time");
  return new Fault("rate_limited", `${host} was asked for proofs of its addresses ${often} in a minute`, {
    hint: "Subscribe again in a minute.",
  });
}
