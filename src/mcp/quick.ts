// The short way for the call that agents make all day: `tools/call` of a read or write that does not wait, in a request that is plainly right. It answers in one piece what the SDK
// would answer, without a server, a transport and a dozen schemas for each call. Whatever is not plainly right goes the SDK's way, which refuses it in the protocol's words.

import {
  PROTOCOL_VERSION_META_KEY,
  SERVER_INFO_META_KEY,
  SUPPORTED_PROTOCOL_VERSIONS,
} from "@modelcontextprotocol/server";
import { LRUCache } from "lru-cache";
import type { Caller } from "../access/caller.ts";
import { Fault } from "../lib/fault.ts";
import { isObject } from "../lib/json-object.ts";
import { toolError } from "./errors.ts";
import type { Tools } from "./tools.ts";

/** A call that nothing is wrong with, as far as it can be seen without the era's rules. */
export interface PlainCall {
  id: string | number;
  name: string;
  input: Record<string, unknown>;
  meta: Record<string, unknown>;
}

type Json = Record<string, unknown>;

const JSON_TYPE = "application/json";
const OLDER_VERSIONS: ReadonlySet<string> = new Set(SUPPORTED_PROTOCOL_VERSIONS);
/** `_meta` keys of the protocol itself: in the older eras none of them belongs on a plain call. */
const RESERVED_META = "io.modelcontextprotocol/";
const MAX_ENVELOPES = 512;
const MAX_ENVELOPE_CHARACTERS = 2048;

/** The call in a body, or undefined where it is something else or has parts that only the SDK knows. */
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

/** Whether a call is plainly of an older revision and its client takes JSON as answer. */
export function isPlainlyOlder({ headers }: Request, { meta }: PlainCall): boolean {
  const version = headers.get("mcp-protocol-version");
  if (version !== null && !OLDER_VERSIONS.has(version)) return false;
  const accept = headers.get("accept");
  if (accept?.includes(JSON_TYPE) !== true || !accept.includes("text/event-stream")) return false;
  for (const key in meta) if (key.startsWith(RESERVED_META)) return false;
  return true;
}

export class QuickCalls {
  readonly #tools: Tools;
  /** What a result of the modern revision holds besides the tool's. */
  readonly #stamp: Json;
  readonly #modernStart: string;
  /** Envelopes of modern requests that the SDK has accepted: a client sends the same one with each request. */
  readonly #envelopes = new LRUCache<string, true>({ max: MAX_ENVELOPES });

  constructor(tools: Tools, serverInfo: Json) {
    this.#tools = tools;
    this.#stamp = { resultType: "complete", _meta: { [SERVER_INFO_META_KEY]: serverInfo } };
    this.#modernStart = JSON.stringify(this.#stamp).slice(1, -1);
  }

  /** Whether the short way is for this tool: the caller may try it, and nobody will want to cancel it. */
  knows(caller: Caller, name: string): boolean {
    return this.#tools.isBrief(name) && this.#tools.isCallable(caller, name);
  }

  /** The SDK accepted this request, so its envelope is a good one. */
  accepted(body: unknown): void {
    const call = plainCall(body);
    const envelope = call === undefined ? undefined : envelopeOf(call);
    if (envelope !== undefined) this.#envelopes.set(envelope, true);
  }

  /** Whether headers and envelope of a request of the modern revision are plainly right, and alike. */
  isPlainlyModern({ headers }: Request, call: PlainCall): boolean {
    if (headers.get("mcp-method") !== "tools/call" || headers.get("mcp-name") !== call.name) return false;
    if (headers.get("mcp-protocol-version") !== call.meta[PROTOCOL_VERSION_META_KEY]) return false;
    const envelope = envelopeOf(call);
    return envelope !== undefined && this.#envelopes.has(envelope);
  }

  async modern(request: Request, call: PlainCall, caller: Caller): Promise<Response> {
    const outcome = await this.#tools.run(caller, call.name, call.input, request.signal);
    if (outcome instanceof Fault) {
      const { _meta, ...result } = toolError(outcome);
      const stamped = { ...result, ...this.#stamp, _meta: { ..._meta, ...(this.#stamp["_meta"] as Json) } };
      return answer(`{"result":${JSON.stringify(stamped)},"jsonrpc":"2.0","id":${JSON.stringify(call.id)}}`, MODERN);
    }
    return answer(resultText(call, outcome, `${this.#modernStart},`), MODERN);
  }

  /** A client of the older revisions that goes away does not cancel its call. */
  async older(call: PlainCall, caller: Caller, sessionId: string): Promise<Response> {
    const outcome = await this.#tools.run(caller, call.name, call.input, NEVER);
    const headers = { "content-type": JSON_TYPE, "mcp-session-id": sessionId };
    if (!(outcome instanceof Fault)) return answer(resultText(call, outcome, ""), { headers });
    const result = JSON.stringify(toolError(outcome));
    return answer(`{"result":${result},"jsonrpc":"2.0","id":${JSON.stringify(call.id)}}`, { headers });
  }
}

const MODERN = { headers: { "content-type": JSON_TYPE } };
const NEVER = new AbortController().signal;

function answer(text: string, init: ResponseInit): Response {
  return new Response(text, init);
}

/** The response as text; the output is made JSON once, for the structured content and its text twin. */
function resultText(call: PlainCall, outcome: Json, start: string): string {
  const text = JSON.stringify(outcome);
  const result = `{${start}"structuredContent":${text},"content":[{"type":"text","text":${JSON.stringify(text)}}]}`;
  return `{"result":${result},"jsonrpc":"2.0","id":${JSON.stringify(call.id)}}`;
}

/** An envelope as a key: all of `_meta` but the progress token; undefined where it is too long to keep. */
function envelopeOf({ meta }: PlainCall): string | undefined {
  const text = JSON.stringify("progressToken" in meta ? { ...meta, progressToken: undefined } : meta);
  return text.length <= MAX_ENVELOPE_CHARACTERS ? text : undefined;
}

function onlyKeys(object: Json, keys: ReadonlySet<string>): boolean {
  for (const key in object) if (!keys.has(key)) return false;
  return true;
}
