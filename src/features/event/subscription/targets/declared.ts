// How targets are written: the schemas of all kinds. Apart from what sends, because apply code reaches this file.

import { z } from "zod";
import { SECRET_REFERENCE } from "../../../../config/secret-reference.ts";
import { DECLARED_SPACE } from "../../../../lib/id-syntax.ts";
import { SHAPES } from "../shape-names.ts";

const MAX_URL = 2048;

/** A reference to a secret. */
export const secretReference = z
  .string()
  .regex(
    SECRET_REFERENCE,
    "is no reference to a secret: write secret:NAME, and set CAIRN_SECRET_NAME on the full nodes",
  );

/** An address on the host's network: written, or a secret where a part of it is one. */
export const outwardUrl = z
  .string()
  .max(MAX_URL)
  .refine((text) => SECRET_REFERENCE.test(text) || isPlainUrl(text), {
    message: "takes https://… or http://… without user and password, or secret:NAME",
  })
  .describe("https://…, or secret:NAME; plain http and private addresses where outbound.allow lists them");

const network = z
  .literal("tailnet")
  .optional()
  .describe("A device of the tailnet, reached by the node's own tailnet address; outbound.allow does not matter then");

/** Longest time that a target may take, in seconds. */
export const timeoutSeconds = z.number().int().min(1).max(60).optional().describe("15 by default");
/** Where nothing is said of it. */
export const DEFAULT_TIMEOUT_SECONDS = 15;

const HEADER_NAME = /^[A-Za-z0-9-]{1,64}$/;
/** Headers that belong to the connection, to signatures and to what this node proves by itself. */
const OWN_HEADERS =
  /^(?:host|connection|content-length|transfer-encoding|te|trailer|upgrade|cairn-.*|webhook-.*|ce-.*)$/i;
const MAX_HEADERS = 20;

const headerValue = z
  .string()
  .max(1024)
  .regex(/^[\t !-~]*$/, "has characters that a header cannot have");

const headersBut = (own: RegExp) =>
  z
    .record(z.string().regex(HEADER_NAME, "is no name of a header"), headerValue)
    .refine((all) => !Object.keys(all).some((name) => own.test(name)), {
      message: "has a header that is set by Cairn",
    })
    .refine((all) => Object.keys(all).length <= MAX_HEADERS, { message: `has more than ${MAX_HEADERS} headers` })
    .optional()
    .describe("Without secrets: these go into auth");
const auth = z
  .discriminatedUnion("type", [
    z.strictObject({ type: z.literal("bearer"), secret: secretReference }),
    z.strictObject({ type: z.literal("basic"), secret: secretReference.describe("USER:PASSWORD") }),
    z.strictObject({
      type: z.literal("header"),
      header: z
        .string()
        .regex(HEADER_NAME)
        .refine((name) => !OWN_HEADERS.test(name)),
      secret: secretReference,
    }),
  ])
  .optional();

/** What the interface of tas-mcp says of a target beside what is used: it is shown there again. */
export const tasNote = z.strictObject({
  type: z.string().max(20),
  name: z.string().max(200),
  config: z.record(z.string().max(40), z.union([z.string().max(2048), z.number()])),
});
const tas = tasNote.optional().describe("Set by the interface of tas-mcp");

/** Any service that takes a POST. */
export const httpTarget = z.strictObject({
  kind: z.literal("http"),
  url: outwardUrl,
  network,
  format: z
    .enum(SHAPES)
    .optional()
    .describe(
      "cloudevents: one JSON object (default); binary: attributes in headers; tas: the fields of tas-mcp; data: the data alone",
    ),
  headers: headersBut(OWN_HEADERS),
  auth,
  timeout_seconds: timeoutSeconds,
  tas,
});

/** The same for metadata of gRPC. A node of Cairn takes the space of an event in `cairn-space`. */
const OWN_METADATA =
  /^(?:host|connection|content-.*|transfer-encoding|te|trailer|upgrade|expect|accept.*|user-agent|grpc-.*|.*-bin|cairn-(?!space$).*)$/i;

/** A server of the gRPC service mcp.v1.MCPService: tas-mcp, or a node of Cairn. */
export const grpcTarget = z.strictObject({
  kind: z.literal("grpc"),
  url: outwardUrl
    .refine((text) => SECRET_REFERENCE.test(text) || /^\/?$/.test(pathOf(text)), { message: "takes no path" })
    .describe("https://HOST:PORT, or http://HOST:PORT where outbound.allow lists it"),
  network,
  metadata: headersBut(OWN_METADATA),
  auth,
  timeout_seconds: timeoutSeconds,
  tas,
});

/** Standard Webhooks. */
export const webhookTarget = z.strictObject({
  kind: z.literal("webhook"),
  url: outwardUrl,
  network,
  secret: secretReference.describe("whsec_… (symmetric) or whsk_… (ed25519)"),
  previous_secret: secretReference.optional().describe("Signs too, while receivers change from it to the new one"),
  format: z
    .enum(["standard", "cloudevents"])
    .optional()
    .describe("standard: type, timestamp, data and what tells the event (default); cloudevents: one JSON object"),
  timeout_seconds: timeoutSeconds,
});

/** Where Telegram is. */
export const TELEGRAM = "https://api.telegram.org";

/** Least time between two messages of a target, most messages of an hour, and most events that one shows. */
export const DEFAULT_GROUP_SECONDS = 30;
export const DEFAULT_PER_HOUR = 30;
export const MAX_IN_MESSAGE = 20;
/** How often at most what is down is told again. */
export const DEFAULT_REMIND_TIMES = 5;

const common = {
  kind: z.literal("notify"),
  timeout_seconds: timeoutSeconds,
  group_seconds: z
    .number()
    .int()
    .min(0)
    .max(3600)
    .optional()
    .describe("Events that come within so many seconds of a message are sent together (default 30; 0: by themselves)."),
  per_hour: z
    .number()
    .int()
    .min(1)
    .max(1000)
    .optional()
    .describe("Most messages of an hour (default 30); the next one says how many events were left out."),
  remind_seconds: z
    .number()
    .int()
    .min(300)
    .max(7 * 86_400)
    .optional()
    .describe("Tells what is still down again after so many seconds, and then each time (default: it does not)."),
  remind_times: z.number().int().min(1).max(100).optional().describe("So often at most (default 5)."),
};

const mailAddress = z
  .string()
  .max(320)
  .regex(/^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/, "is no mail address");
const smtpUrl = z
  .string()
  .max(MAX_URL)
  .regex(
    /^smtps?:\/\/(?:[A-Za-z0-9.-]{1,253}|\[[0-9a-fA-F:.]{2,45}\])(?::[1-9][0-9]{0,4})?$/,
    "takes smtps://HOST:PORT or smtp://HOST:PORT",
  )
  .refine((text) => URL.canParse(text), { message: "takes smtps://HOST:PORT or smtp://HOST:PORT" });

/** Mail by SMTP. */
const emailTarget = z
  .strictObject({
    ...common,
    service: z.literal("email"),
    url: smtpUrl.describe(
      "smtps:// is TLS from the first byte (port 465 by default); smtp:// changes to TLS by STARTTLS (587), and the server must be in outbound.allow",
    ),
    login: secretReference.optional().describe("USER:PASSWORD"),
    from: mailAddress,
    to: z.array(mailAddress).min(1).max(20),
    starttls: z
      .literal(false)
      .optional()
      .describe("smtp:// alone: mail leaves without TLS, as to a relay of your own network; without login"),
  })
  .refine(({ url, starttls }) => starttls === undefined || url.startsWith("smtp:"), {
    path: ["starttls"],
    message: "is for smtp:// alone",
  })
  .refine(({ login, starttls }) => login === undefined || starttls === undefined, {
    path: ["login"],
    message: "cannot be sent without TLS: leave starttls out",
  });

/** People. */
export const notifyTarget = z.discriminatedUnion("service", [
  z.strictObject({
    ...common,
    service: z.literal("ntfy"),
    url: outwardUrl.describe("Of the server, such as https://ntfy.sh"),
    network,
    topic: secretReference.describe("Whoever knows a topic can read it, so it is a secret"),
    token: secretReference.optional(),
  }),
  z.strictObject({ ...common, service: z.literal("slack"), url: secretReference.describe("Of the incoming webhook") }),
  z.strictObject({ ...common, service: z.literal("discord"), url: secretReference.describe("Of the webhook") }),
  z.strictObject({
    ...common,
    service: z.literal("telegram"),
    token: secretReference.describe("Of the bot"),
    chat_id: z.string().regex(/^(?:-?\d{1,20}|@[A-Za-z0-9_]{1,64})$/, "is a number or @name"),
    url: outwardUrl.optional().describe(`${TELEGRAM} by default`),
  }),
  emailTarget,
]);

/** Another fleet. */
export const peerTarget = z.strictObject({
  kind: z.literal("peer"),
  host: z
    .string()
    .max(253)
    .regex(/^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$/, "takes the name of a device of the tailnet")
    .describe("A full node of the other fleet, by its name on the tailnet"),
  space: z
    .string()
    .regex(DECLARED_SPACE, "takes the name of a space")
    .optional()
    .describe("Of the other fleet; that of the event by default"),
  fleet: z
    .string()
    .regex(/^[0-9a-f]{32}$/, "takes the id of a fleet")
    .optional()
    .describe("Id of the other fleet: what it has passed on itself is not sent back to it"),
  timeout_seconds: timeoutSeconds,
});

/** Addresses that clients of MCP Events choose, on hosts that an admin chose. */
export const callbackTarget = z.strictObject({
  kind: z.literal("callback"),
  hosts: z
    .array(
      z
        .string()
        .max(253)
        .regex(
          /^(?:\*\.)?[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?$/,
          "takes the name of a host in lower case, or *. and a domain",
        ),
    )
    .min(1)
    .max(50)
    .describe("Hosts of the addresses; *.example.com stands for all below example.com"),
  timeout_seconds: timeoutSeconds,
});

/** A document of this fleet. */
export const contextTarget = z.strictObject({
  kind: z.literal("context"),
  mode: z.enum(["put", "append"]).describe("put: a document for each event, below id; append: a list in one document"),
  id: z
    .string()
    .min(1)
    .max(200)
    .describe("put: what the ids begin with, as team-a/builds; append: the id of the document"),
});

/** Targets outside of the fleet: admins declare them by name (security.md 19). */
export const outwardTarget = z
  .discriminatedUnion("kind", [httpTarget, webhookTarget, grpcTarget, notifyTarget, peerTarget, callbackTarget])
  .meta({
    type: "object",
    description: "Its kind, and what that kind takes. Declaring sends nothing: try it with event_target_test.",
  });
/** A target outside of the fleet, as declared. */
export type OutwardTarget = z.infer<typeof outwardTarget>;

/** Every target. */
export type TargetConfig = OutwardTarget | z.infer<typeof contextTarget>;

/** A callback, with what its subscription says: where its events go, and as occurrences of which type. */
export type CallbackConfig = z.infer<typeof callbackTarget> & { url?: string; name?: string };

/** Reports whether a target for callbacks allows addresses on a host. */
export function allowsHost({ hosts }: Pick<CallbackConfig, "hosts">, host: string): boolean {
  return hosts.some((allowed) => (allowed.startsWith("*.") ? host.endsWith(allowed.slice(1)) : host === allowed));
}

/** Returns path and query of an address; "" where it is none, which is refused as such. */
function pathOf(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  return url === undefined ? "" : `${url.pathname}${url.search}`;
}

/** Reports whether a text is an address without user, password and fragment. */
export function isPlainUrl(text: string): boolean {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || (url.protocol !== "https:" && url.protocol !== "http:")) return false;
  return url.username === "" && url.password === "" && url.hash === "";
}
