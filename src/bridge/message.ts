// JSON-RPC as far as `cairn bridge` looks at it: reading a message, telling the eras apart, the headers of the newer one, and failures as error responses.

import { FAULTS, type Fault } from "../lib/fault.ts";
import { isObject } from "../lib/json-object.ts";

/** Longest message either way, in characters. */
export const MAX_MESSAGE = 16 * 1024 * 1024;
/** The revision without sessions, which the bridge itself speaks when it asks a node something. */
export const MODERN = "2026-07-28";
/** `_meta` key under which a message of the newer era names its revision. */
const VERSION_KEY = "io.modelcontextprotocol/protocolVersion";
/** `_meta` key under which a node repeats the error of a failed tool call for machines (mcp/errors.ts). */
const FAULT_KEY = "cairn.internal/fault";

export type MessageId = string | number;

/** A JSON-RPC message, its parts not looked at yet. */
export interface Message {
  id?: MessageId | null;
  method?: string;
  params?: Record<string, unknown>;
  result?: Record<string, unknown>;
  error?: unknown;
}

/** Gets one message as text on one line, and parsed; the next waits until it is done. */
export type Take = (text: string, message: Message) => void | Promise<void>;

/** A failure to tell the client, as the `error` of a JSON-RPC response. Codes of our own are HTTP statuses. */
export class LinkError extends Error {
  readonly code: number;
  readonly data: Record<string, unknown>;

  constructor(code: number, message: string, data: Record<string, unknown>) {
    super(message);
    this.code = code;
    this.data = data;
  }
}

/** A Fault of this side, for the client. */
export function linkErrorOf(fault: Fault): LinkError {
  const { status, retryable } = FAULTS[fault.code];
  return new LinkError(status, fault.message, { code: fault.code, hint: fault.hint ?? "", retryable });
}

/** The message in a text, or undefined where it is no JSON object. */
export function parseMessage(text: string): Message | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** The id of a request; a response or notification asks for no answer. */
export function idOf(message: Message): MessageId | undefined {
  if (message.method === undefined) return undefined;
  return typeof message.id === "string" || typeof message.id === "number" ? message.id : undefined;
}

/** The revision that a message of the newer era names in its envelope. */
export function versionOf(message: Message): string | undefined {
  const meta = message.params?.["_meta"];
  if (!isObject(meta) || message.method === undefined) return undefined;
  const version = meta[VERSION_KEY];
  return typeof version === "string" ? version : undefined;
}

/** A request of the bridge's own, in the newer era: it needs no session. */
export function ownRequest(method: string, params: Record<string, unknown> = {}): { text: string; message: Message } {
  const message = {
    jsonrpc: "2.0",
    id: "cairn-bridge",
    method,
    params: { ...params, _meta: { [VERSION_KEY]: MODERN, "io.modelcontextprotocol/clientCapabilities": {} } },
  };
  return { text: JSON.stringify(message), message };
}

/** Which parameter `Mcp-Name` mirrors. */
const NAMED_BY: Record<string, string> = {
  "tools/call": "name",
  "prompts/get": "name",
  "resources/read": "uri",
  "tasks/get": "taskId",
  "tasks/update": "taskId",
  "tasks/cancel": "taskId",
};

/** The headers that mirror a message of the newer era. */
export function modernHeaders(message: Message, version: string): Record<string, string> {
  const method = message.method ?? "";
  const field = Object.hasOwn(NAMED_BY, method) ? NAMED_BY[method] : undefined;
  const name = field === undefined ? undefined : message.params?.[field];
  return {
    "mcp-protocol-version": headerValue(version),
    "mcp-method": headerValue(method),
    ...(typeof name === "string" ? { "mcp-name": headerValue(name) } : {}),
  };
}

/** Whether a response says that this node cannot serve the call now, though another one may. */
export function isUnavailable({ result, error }: Message): boolean {
  const meta = isObject(result?.["_meta"]) ? result["_meta"][FAULT_KEY] : undefined;
  if (result?.["isError"] === true && isObject(meta)) return meta["code"] === "unavailable";
  if (!isObject(error)) return false;
  return error["code"] === 503 || (isObject(error["data"]) && error["data"]["code"] === "unavailable");
}

/** Newlines in JSON text are only ever space between tokens. */
export function oneLine(text: string): string {
  return text.replace(/[\r\n]+/g, " ");
}

/** A value as a header may carry it: plain, or base64 in the form that the revision defines. */
function headerValue(value: string): string {
  const plain = /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/.test(value) && !value.startsWith("=?base64?");
  return plain ? value : `=?base64?${Buffer.from(value, "utf8").toString("base64")}?=`;
}
