// JSON-RPC as far as the bridge looks at it: parsing a message, recognizing its protocol revision, the headers of the
// stateless revision, and failures as error responses.

import { type AttemptProof, proofOf } from "../lib/attempt-proof.ts";
import { type FailedResult, failedResult } from "../lib/failed-result.ts";
import { FAULTS, type Fault, isFaultCode } from "../lib/fault.ts";
import { factsOfDetails } from "../lib/fault-facts.ts";
import { isObject, parseObject } from "../lib/json-object.ts";
import { FAULT_META, STATELESS_REVISION } from "../lib/mcp-names.ts";

/** Longest message of a node, in characters. */
export const MAX_MESSAGE_CHARS = 16 * 1024 * 1024;
/** `_meta` key under which a message of the stateless revision names that revision. */
const VERSION_KEY = "io.modelcontextprotocol/protocolVersion";

/** Id of a request and of its response. */
export type MessageId = string | number;

/** Id of requests that the bridge makes itself; responses to it never reach the client. */
export const OWN_ID = "cairn-bridge";

/** A JSON-RPC message; the types of its members are not checked yet. */
export interface Message {
  id?: MessageId | null;
  method?: string;
  params?: Record<string, unknown>;
  result?: Record<string, unknown>;
  error?: unknown;
}

/** A failure that the client gets as the `error` of a JSON-RPC response. Our own codes are HTTP statuses. */
export class JsonRpcError extends Error {
  readonly code: number;
  readonly data: Record<string, unknown>;

  constructor(code: number, message: string, data: Record<string, unknown>) {
    super(message);
    this.code = code;
    this.data = data;
  }
}

/** Turns a Fault of the bridge into an error for the client. */
export function jsonRpcErrorOf(fault: Fault): JsonRpcError {
  const { status, retryable } = FAULTS[fault.code];
  return new JsonRpcError(status, fault.message, { code: fault.code, hint: fault.hint ?? "", retryable });
}

/**
 * Returns the result of a tool call that failed on the way; undefined for other requests, and for what the protocol
 * itself refuses.
 */
export function failedCall(asked: Message, { code, message, data }: JsonRpcError): FailedResult | undefined {
  if (asked.method !== "tools/call" || (code < 0 && code !== INTERNAL)) return undefined;
  const { code: name, hint, retryable, ...details } = data;
  const body = {
    ...details,
    code: typeof name === "string" ? name : code === INTERNAL ? "internal" : "unavailable",
    message,
    ...(typeof hint === "string" && hint !== "" && { hint }),
    retryable: retryable === true,
  };
  const result = failedResult(body);
  return statelessRevisionOf(asked) === undefined ? result : { ...result, resultType: "complete" };
}

/** JSON-RPC's code of an internal error. */
const INTERNAL = -32603;

/** Returns the message in a text, or undefined where the text is not a JSON object. */
export function parseMessage(text: string): Message | undefined {
  return parseObject(text);
}

/** Returns the id of a request; undefined for responses and notifications, which get no response. */
export function idOf(message: Message): MessageId | undefined {
  if (message.method === undefined) return undefined;
  return typeof message.id === "string" || typeof message.id === "number" ? message.id : undefined;
}

/** Returns the revision that a message of the stateless revision names in `_meta`; undefined for older clients. */
export function statelessRevisionOf(message: Message): string | undefined {
  const meta = message.params?.["_meta"];
  if (!isObject(meta) || message.method === undefined) return undefined;
  const version = meta[VERSION_KEY];
  return typeof version === "string" ? version : undefined;
}

/** Returns a request of the bridge itself, in the stateless revision. */
export function ownRequest(method: string, params: Record<string, unknown> = {}): { text: string; message: Message } {
  const message = {
    jsonrpc: "2.0",
    id: OWN_ID,
    method,
    params: {
      ...params,
      _meta: { [VERSION_KEY]: STATELESS_REVISION, "io.modelcontextprotocol/clientCapabilities": {} },
    },
  };
  return { text: JSON.stringify(message), message };
}

/** The parameter that the header `Mcp-Name` repeats, by method. */
const NAMED_BY: Record<string, string> = {
  "tools/call": "name",
  "prompts/get": "name",
  "resources/read": "uri",
  "tasks/get": "taskId",
  "tasks/update": "taskId",
  "tasks/cancel": "taskId",
};

/** Returns the headers that repeat parts of a message of the stateless revision. */
export function statelessHeaders(message: Message, revision: string): Record<string, string> {
  const method = message.method ?? "";
  const field = Object.hasOwn(NAMED_BY, method) ? NAMED_BY[method] : undefined;
  const name = field === undefined ? undefined : message.params?.[field];
  return {
    "mcp-protocol-version": headerValue(revision),
    "mcp-method": headerValue(method),
    ...(typeof name === "string" ? { "mcp-name": headerValue(name) } : {}),
  };
}

/** What a response that is a failure says of itself. */
export interface Failed {
  /** The node cannot serve the call now, while another one may. */
  isUnavailable: boolean;
  /** What it proves about a write. */
  proof: AttemptProof;
}

/** Returns what a response says of its failure; undefined for a success. */
export function failureOf({ result, error }: Message): Failed | undefined {
  const meta = isObject(result?.["_meta"]) ? result["_meta"][FAULT_META] : undefined;
  if (result?.["isError"] === true) return failedAs(isObject(meta) ? meta : {}, false);
  if (!isObject(error)) return undefined;
  return failedAs(isObject(error["data"]) ? error["data"] : {}, error["code"] === 503);
}

function failedAs(body: Record<string, unknown>, is503: boolean): Failed {
  const code = typeof body["code"] === "string" && isFaultCode(body["code"]) ? body["code"] : undefined;
  const { outcome } = factsOfDetails(code ?? "", body);
  const isUnavailable = is503 || code === "unavailable";
  return { isUnavailable, proof: code === undefined ? "unknown" : proofOf(code, outcome) };
}

/** Returns JSON text without line breaks: in JSON they only occur between tokens. */
export function oneLine(text: string): string {
  return text.replace(/[\r\n]+/g, " ");
}

/** Returns a value as a header can carry it: plain, or base64 in the form that the revision defines. */
function headerValue(value: string): string {
  const plain = /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/.test(value) && !value.startsWith("=?base64?");
  return plain ? value : `=?base64?${Buffer.from(value, "utf8").toString("base64")}?=`;
}
