// The fast path for the most frequent request: `tools/call` of a read or write that does not wait. It responds exactly
// as the SDK would, without a server, a transport and a dozen schemas for each call. A request that is not plainly
// valid goes to the SDK, which refuses it by the rules of the protocol.

import {
  CLIENT_INFO_META_KEY,
  PROTOCOL_VERSION_META_KEY,
  SERVER_INFO_META_KEY,
  SUPPORTED_PROTOCOL_VERSIONS,
} from "@modelcontextprotocol/server";
import { LRUCache } from "lru-cache";
import type { Caller } from "../access/caller.ts";
import { claimOfInfo } from "../lib/client-claim.ts";
import { Fault } from "../lib/fault.ts";
import { isObject } from "../lib/json-object.ts";
import { AGENT_META } from "../lib/mcp-names.ts";
import { tracedByMeta } from "../operation/call-span.ts";
import { toolError } from "./errors.ts";
import type { PartsOf } from "./server.ts";
import type { UsedSession } from "./sessions.ts";
import type { Tools } from "./tools.ts";

/** A call that is valid as far as the body shows, in either revision. */
export interface PlainCall {
  id: string | number;
  name: string;
  input: Record<string, unknown>;
  meta: Record<string, unknown>;
}

type Json = Record<string, unknown>;

const JSON_TYPE = "application/json";
const OLDER_VERSIONS: ReadonlySet<string> = new Set(SUPPORTED_PROTOCOL_VERSIONS);
/** `_meta` keys of the protocol itself: in older revisions a plain call has none of them. */
const RESERVED_META = "io.modelcontextprotocol/";
const MAX_ENVELOPES = 512;
const MAX_ENVELOPE_CHARACTERS = 2048;

/** Returns the call in a body, or undefined where it is something else or has members that only the SDK knows. */
export function plainCall(body: unknown): PlainCall | undefined {
  if (!isObject(body) || body["method"] !== "tools/call" || body["jsonrpc"] !== "2.0") return undefined;
  const { id, params } = body;
  if ((typeof id !== "string" && !Number.isSafeInteger(id)) || !isObject(params)) return undefined;
  if (!onlyKeys(body, BODY_KEYS) || !onlyKeys(params, PARAM_KEYS)) return undefined;
  const { name, arguments: input = {}, _meta: meta = {} } = params;
  if (typeof name !== "string" || !isObject(input) || !isObject(meta)) return undefined;
  const token = meta["progressToken"];
  if (token !== undefined && typeof token !== "string" && !Number.isSafeInteger(token)) return undefined;
  return { id: id as string | number, name, input, meta };
}

const BODY_KEYS = new Set(["jsonrpc", "id", "method", "params"]);
const PARAM_KEYS = new Set(["name", "arguments", "_meta"]);

/** Reports whether a call is plainly of an older revision and its client accepts a JSON response. */
export function isPlainlyOlder({ headers }: Request, { meta }: PlainCall): boolean {
  const version = headers.get("mcp-protocol-version");
  if (version !== null && !OLDER_VERSIONS.has(version)) return false;
  const accept = headers.get("accept");
  if (accept?.includes(JSON_TYPE) !== true || !accept.includes("text/event-stream")) return false;
  for (const key in meta) if (key.startsWith(RESERVED_META)) return false;
  return true;
}

/** Responds to plain calls. */
export class QuickCalls {
  readonly #partsOf: PartsOf;
  /** What a result of the modern revision holds besides the tool's members. */
  readonly #stamp: Json;
  readonly #modernStart: string;
  /** Envelopes of modern requests that the SDK has accepted: a client sends the same envelope with each request. */
  readonly #envelopes = new LRUCache<string, true>({ max: MAX_ENVELOPES });

  constructor(partsOf: PartsOf, serverInfo: Json) {
    this.#partsOf = partsOf;
    this.#stamp = { resultType: "complete", _meta: { [SERVER_INFO_META_KEY]: serverInfo } };
    this.#modernStart = JSON.stringify(this.#stamp).slice(1, -1);
  }

  /** Reports whether the fast path is for this tool: the caller may try it, and it ends too soon to be cancelled. */
  knows(caller: Caller, name: string): boolean {
    const { tools } = this.#partsOf(caller);
    return tools.isBrief(name) && tools.isCallable(caller, name);
  }

  /** Called when the SDK accepted a request: remembers its envelope. */
  accepted(body: unknown): void {
    const call = plainCall(body);
    const envelope = call === undefined ? undefined : envelopeOf(call);
    if (envelope !== undefined) this.#envelopes.set(envelope, true);
  }

  /** Reports whether headers and envelope of a request of the modern revision are valid and agree. */
  isPlainlyModern({ headers }: Request, call: PlainCall): boolean {
    if (headers.get("mcp-method") !== "tools/call" || headers.get("mcp-name") !== call.name) return false;
    if (headers.get("mcp-protocol-version") !== call.meta[PROTOCOL_VERSION_META_KEY]) return false;
    const envelope = envelopeOf(call);
    return envelope !== undefined && this.#envelopes.has(envelope);
  }

  /** Responds in the modern revision; a client that disconnects cancels its call. */
  async modern(request: Request, call: PlainCall, caller: Caller): Promise<Response> {
    const client = claimOfInfo(call.meta[CLIENT_INFO_META_KEY]);
    const { tools, invoker } = this.#partsOf(caller);
    const traced = tracedByMeta(invoker.isTraced, call.meta, request.headers);
    const asking = { caller, client, handle: call.meta[AGENT_META], signal: request.signal, ...traced };
    const outcome = await tools.run(asking, call.name, call.input);
    if (outcome instanceof Fault) {
      const { _meta, ...result } = toolError(outcome);
      const stamped = { ...result, ...this.#stamp, _meta: { ..._meta, ...(this.#stamp["_meta"] as Json) } };
      return answer(`{"result":${JSON.stringify(stamped)},"jsonrpc":"2.0","id":${JSON.stringify(call.id)}}`, MODERN);
    }
    return answer(resultText(tools, call, outcome, `${this.#modernStart},`), MODERN);
  }

  /** Responds in an older revision, in which a client that disconnects does not cancel its call. */
  async older(request: Request, call: PlainCall, caller: Caller, session: UsedSession): Promise<Response> {
    const { id, ...who } = session;
    const { tools, invoker } = this.#partsOf(caller);
    const traced = tracedByMeta(invoker.isTraced, call.meta, request.headers);
    const asking = { caller, ...who, handle: call.meta[AGENT_META], signal: NEVER, ...traced };
    const outcome = await tools.run(asking, call.name, call.input);
    const headers = { "content-type": JSON_TYPE, "mcp-session-id": id };
    if (!(outcome instanceof Fault)) return answer(resultText(tools, call, outcome, ""), { headers });
    const result = JSON.stringify(toolError(outcome));
    return answer(`{"result":${result},"jsonrpc":"2.0","id":${JSON.stringify(call.id)}}`, { headers });
  }
}

/** Returns the response as text. The output is serialized once, for structuredContent and for the text block. */
function resultText(tools: Tools, call: PlainCall, outcome: Json, start: string): string {
  const text = JSON.stringify(outcome);
  const structured = tools.isSentOnce(call.name, text) ? "" : `"structuredContent":${text},`;
  const result = `{${start}${structured}"content":[{"type":"text","text":${JSON.stringify(text)}}]}`;
  return `{"result":${result},"jsonrpc":"2.0","id":${JSON.stringify(call.id)}}`;
}

const MODERN = { headers: { "content-type": JSON_TYPE } };
const NEVER = new AbortController().signal;

function answer(text: string, init: ResponseInit): Response {
  return new Response(text, init);
}

/** Members of `_meta` that belong to one request: the last three say of which trace it is part (SEP-414). */
const OF_ONE_REQUEST = ["progressToken", AGENT_META, "traceparent", "tracestate", "baggage"] as const;
/** As `JSON.stringify` leaves them out. */
const LEFT_OUT = Object.fromEntries(OF_ONE_REQUEST.map((name) => [name, undefined]));

/**
 * Returns the envelope as a key: all of `_meta` but what belongs to one request, such as the handle of an agent, which
 * is a secret; undefined where it is too long to keep, or has a trace that is no text, which the SDK judges.
 */
function envelopeOf({ meta }: PlainCall): string | undefined {
  const { traceparent = "", tracestate = "", baggage = "" } = meta;
  if (typeof traceparent !== "string" || typeof tracestate !== "string" || typeof baggage !== "string")
    return undefined;
  const isWhole = !OF_ONE_REQUEST.some((name) => name in meta);
  const text = JSON.stringify(isWhole ? meta : { ...meta, ...LEFT_OUT });
  return text.length <= MAX_ENVELOPE_CHARACTERS ? text : undefined;
}

function onlyKeys(object: Json, keys: ReadonlySet<string>): boolean {
  for (const key in object) if (!keys.has(key)) return false;
  return true;
}
