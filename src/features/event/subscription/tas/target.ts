// A target as tas-mcp writes it: read into a declared target with the rules of its subscription, and shown again.
// Durations are text or nanoseconds, and are shown in nanoseconds, as its server does.

import { z } from "zod";
import { SECRET_REFERENCE } from "../../../../config/secret-reference.ts";
import { Fault } from "../../../../lib/fault.ts";
import { isObject, memberOf } from "../../../../lib/json-object.ts";
import { parseJson } from "../../../../lib/json-text.ts";
import { keepNumbers } from "../../../../lib/json-value.ts";
import { type Rule, shownTasRule, tasDuration, tasRules } from "../../rules/index.ts";
import { targetName } from "../arguments.ts";
import { DEFAULT_TIMEOUT_SECONDS, type grpcTarget, type httpTarget } from "../targets/declared.ts";

/** Targets that the interface of tas-mcp has. */
export type TasConfig = z.infer<typeof httpTarget> | z.infer<typeof grpcTarget>;

const NS_OF_MS = 1e6;
const MAX_TIMEOUT_SECONDS = 60;
const API_KEY_HEADER = "X-API-Key";

const authentication = z.strictObject({
  type: z.string().max(20).describe("bearer, basic or api-key"),
  token: z.string().max(256).optional().describe("secret:NAME, read from CAIRN_SECRET_NAME on the full nodes"),
  header: z.string().max(64).optional().describe("Of an api-key; X-API-Key by default"),
  params: z.record(z.string(), z.string()).optional(),
});
const config = z.strictObject({
  timeout: tasDuration.optional(),
  retry_attempts: z.int().min(0).optional().describe("Is shown again; the policy of the target decides"),
  retry_delay: tasDuration.optional(),
  health_check_url: z.string().max(2048).optional(),
  headers: z.record(z.string(), z.string()).optional(),
  authentication: authentication.optional(),
  batch_size: z.int().min(0).optional(),
  batch_timeout: tasDuration.optional(),
});

/** The schema of a target of tas-mcp. */
export const tasTarget = z.strictObject({
  id: targetName.optional(),
  name: z.string().max(200).optional(),
  type: z.string().max(20).describe("http, webhook, grpc or argo-events"),
  endpoint: z
    .string()
    .min(1)
    .max(2048)
    .describe("https://…, http://… where outbound.allow lists it, or HOST:PORT of gRPC"),
  config: config.optional(),
  rules: tasRules,
  status: z.string().max(20).optional().describe("disabled: it is declared, and gets nothing; others are ignored"),
  last_healthy: z.string().max(64).optional().describe("Ignored, as are last_error, error_count and metrics"),
  last_error: z.string().max(2048).optional(),
  error_count: z.number().optional(),
  metrics: z.record(z.string(), z.union([z.string(), z.number()])).optional(),
});
export type TasTarget = z.output<typeof tasTarget>;

/** Returns the target of a JSON text. Throws Fault `invalid_input` with the field as tas-mcp names it. */
export function targetIn(text: string): TasTarget {
  const value = keepNumbers(text, parseJson(text, "The target"));
  if (!isObject(value))
    throw new Fault("invalid_input", "The target must be a JSON object", { details: { field: "target" } });
  const read = tasTarget.safeParse(withoutNulls(value));
  if (read.success) return read.data;
  const [issue] = read.error.issues;
  const field = issue === undefined || issue.path.length === 0 ? "target" : issue.path.join(".");
  const isMissing = issue !== undefined && issue.path.reduce<unknown>(memberOf, value) === undefined;
  const what = isMissing ? "is missing" : (issue?.message ?? "is wrong");
  throw wrong(field, what, "docs/operations.md has a whole target under tas_target_create.");
}

/** Its clients write null for what they leave out: in the target, in `config` and in what is in that. */
function withoutNulls(object: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const left = Object.entries(object).filter(([, value]) => value !== null);
  return Object.fromEntries(left.map(([key, value]) => [key, isObject(value) ? withoutNulls(value) : value]));
}

/** Returns what a target of tas-mcp declares. Throws Fault `invalid_input` with the field as tas-mcp names it. */
export function declaredOf({ type, name = "", endpoint, config: given }: TasTarget): Record<string, unknown> {
  const { timeout = 0, headers, authentication: auth, ...rest } = given ?? {};
  const shared = {
    ...authOf(auth),
    ...(timeout === 0 ? {} : { timeout_seconds: secondsOf(timeout) }),
    tas: { type, name, config: kept(rest) },
  };
  switch (type) {
    case "http":
    case "webhook":
    case "argo-events": {
      const format = type === "argo-events" ? "cloudevents" : "tas";
      return { kind: "http", url: endpoint, format, ...(headers ? { headers } : {}), ...shared };
    }
    case "grpc": {
      const isWhole = endpoint.includes("://") || SECRET_REFERENCE.test(endpoint);
      const url = isWhole ? endpoint : `http://${endpoint}`;
      return { kind: "grpc", url, ...(headers ? { metadata: headers } : {}), ...shared };
    }
    default:
      throw wrong(
        "type",
        `is ${JSON.stringify(type)}, which is not served`,
        "Take http, webhook, grpc or argo-events.",
      );
  }
}

function kept(rest: Omit<NonNullable<TasTarget["config"]>, "timeout" | "headers" | "authentication">) {
  const durations = { retry_delay: rest.retry_delay, batch_timeout: rest.batch_timeout };
  const ns = Object.entries(durations).map(([key, ms]) => [key, ms === undefined ? undefined : ms * NS_OF_MS]);
  const all = { ...rest, ...Object.fromEntries(ns) };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}

function authOf(auth: z.output<typeof authentication> | undefined): Record<string, unknown> {
  if (auth === undefined || auth.type === "" || auth.type === "none") return {};
  const { type, token = "", header = API_KEY_HEADER } = auth;
  if (type !== "bearer" && type !== "basic" && type !== "api-key")
    throw wrong("config.authentication.type", `is ${JSON.stringify(type)}`, "Take bearer, basic or api-key.");
  if (!SECRET_REFERENCE.test(token))
    throw wrong(
      "config.authentication.token",
      "must be a reference to a secret",
      "Write secret:NAME, and set CAIRN_SECRET_NAME on the full nodes; for basic it is USER:PASSWORD.",
    );
  return { auth: type === "api-key" ? { type: "header", header, secret: token } : { type, secret: token } };
}

function secondsOf(ms: number): number {
  return Math.min(MAX_TIMEOUT_SECONDS, Math.max(1, Math.ceil(ms / 1000)));
}

function wrong(field: string, what: string, hint: string): Fault {
  return new Fault("invalid_input", `${field} ${what}`, { hint, details: { field } });
}

/** Returns a declared target as tas-mcp shows it, without its state. */
export function shownTarget(id: string, target: TasConfig, rules: readonly Rule[]): Record<string, unknown> {
  const type = target.kind === "grpc" ? "grpc" : target.format === "cloudevents" ? "argo-events" : "http";
  const headers = target.kind === "grpc" ? target.metadata : target.headers;
  const timeout = (target.timeout_seconds ?? DEFAULT_TIMEOUT_SECONDS) * 1000 * NS_OF_MS;
  return {
    id,
    name: target.tas?.name ?? id,
    type: target.tas?.type ?? type,
    endpoint: target.url,
    config: {
      ...{ timeout, retry_attempts: 0, retry_delay: 0, ...target.tas?.config },
      ...(headers === undefined ? {} : { headers }),
      ...(target.auth === undefined ? {} : { authentication: shownAuth(target.auth) }),
    },
    rules: rules.map(shownTasRule),
  };
}

function shownAuth(auth: NonNullable<TasConfig["auth"]>): Record<string, unknown> {
  if (auth.type !== "header") return { type: auth.type, token: auth.secret };
  return { type: "api-key", token: auth.secret, header: auth.header };
}
