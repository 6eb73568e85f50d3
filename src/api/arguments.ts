// Makes the arguments of an operation of a request, as its row declares: path, query, headers, body.

import { splitCommaList } from "../lib/comma-list.ts";
import { Fault } from "../lib/fault.ts";
import { isObject } from "../lib/json-object.ts";
import { essenceOf } from "../lib/media-type.ts";
import type { DecodedBody, QueryParameter, RestRoute, RouteBody } from "../operation/rest-route.ts";
import { commonHeaders, conditionsOf, type QueryValues, readJson, readQuery, readRaw, readText } from "./request.ts";
import type { RouteCall } from "./route.ts";

/** Arguments as the operation's schema will judge them. */
export type Arguments = Record<string, unknown>;

/** What a request asks for. */
export interface Asked {
  input: Arguments;
  /** Returns the output in the form that the body asks for. */
  shape?: DecodedBody["shape"];
}

/** Returns the arguments of a call. Faults: `invalid_input`, `unsupported_media_type`, `too_large`, `cancelled`. */
export async function argumentsOf(route: RestRoute, call: RouteCall): Promise<Asked> {
  const { request, params } = call;
  const query = queryArguments(route, readQuery(request.url, route.query ?? {}));
  const common = { ...commonHeaders(request), ...route.constants, ...query };
  if (route.method === "GET") return { input: { ...common, ...params } };
  const conditions = conditionsOf(request, route.conditions ?? []);
  const { input, ...form } = route.body === undefined ? { input: {} } : await readBody(call, route.body);
  return { ...form, input: { ...common, ...input, ...conditions, ...params } };
}

/** Returns the arguments that the query makes. */
export function queryArguments({ query = {} }: RestRoute, values: QueryValues): Arguments {
  const made = Object.entries(values).map(([name, value]) => {
    const parameter = query[name];
    return [parameter?.argument ?? name, typed(parameter?.kind ?? "text", value)] as const;
  });
  return Object.fromEntries(made);
}

/** What is no whole number, or neither true nor false, goes on as text, for the operation's schema to refuse. */
function typed(kind: QueryParameter["kind"], value: string | readonly string[]): unknown {
  if (typeof value !== "string") return value;
  if (kind === "list") return splitCommaList(value);
  if (kind === "flag" && (value === "true" || value === "false")) return value === "true";
  return kind === "count" && /^[0-9]{1,15}$/.test(value) ? Number(value) : value;
}

async function readBody(call: RouteCall, body: RouteBody): Promise<DecodedBody> {
  const contentType = call.request.headers.get("content-type");
  switch (body.kind) {
    case "document": {
      if (contentType === null || essenceOf(contentType) === "") throw typeMissing();
      return { input: { [body.argument]: await readText(call, body.maxBytes), [body.typeArgument]: contentType } };
    }
    case "patch": {
      const type = patchType(essenceOf(contentType), body.types);
      return { input: { [body.argument]: await readText(call, body.maxBytes), [body.typeArgument]: type } };
    }
    case "json":
      return { input: membersOf(await readJson(call, body.maxBytes), body) };
    case "decoded": {
      const headers = Object.fromEntries(call.request.headers);
      return body.decode({ bytes: await readRaw(call, body.maxBytes), contentType, headers });
    }
  }
}

/** To guess a type would store the body of a form as text. */
function typeMissing(): Fault {
  return new Fault("unsupported_media_type", "The request has no Content-Type", {
    hint: "Send application/json, or a text type such as text/markdown.",
  });
}

function patchType(essence: string, types: Readonly<Record<string, string>>): string {
  const type = Object.hasOwn(types, essence) ? types[essence] : undefined;
  if (type !== undefined) return type;
  const accepted = Object.keys(types).join(", ");
  throw new Fault("unsupported_media_type", `A patch cannot be of type ${JSON.stringify(essence.slice(0, 80))}`, {
    hint: `Send one of ${accepted}.`,
    details: { accept_patch: accepted },
  });
}

function membersOf(value: unknown, { members, refusal }: Extract<RouteBody, { kind: "json" }>): Arguments {
  if (isObject(value) && Object.keys(value).every((name) => members.includes(name))) return { ...value };
  throw new Fault("invalid_input", refusal, { hint: "The id stands in the path, the condition in If-Match." });
}
