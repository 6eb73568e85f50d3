// Reads a request: its body, the method it names, the tool it calls. What is not MCP is refused here.

import { CLIENT_INFO_META_KEY } from "@modelcontextprotocol/server";
import { claimOfInfo } from "../lib/client-claim.ts";
import { faultBody } from "../lib/failed-result.ts";
import { FAULTS, Fault } from "../lib/fault.ts";
import { isObject } from "../lib/json-object.ts";
import { parseJson } from "../lib/json-text.ts";
import { keepNumbers } from "../lib/json-value.ts";
import { AGENT_HEADER, AGENT_META, STATELESS_REVISION } from "../lib/mcp-names.ts";
import { type BodyHold, readBytes } from "../lib/request-body.ts";
import { textOfUtf8, withoutBom } from "../lib/utf8.ts";
import { httpError } from "./errors.ts";

/**
 * Returns the parsed body, or the response that refuses it: only application/json, bounded, UTF-8, and JSON that all
 * parsers read alike (security.md 14, 22).
 */
export async function readBody(request: Request, hold: BodyHold, maxBytes: number): Promise<unknown> {
  const type = request.headers.get("content-type") ?? "";
  if (type.split(";", 1)[0]?.trim().toLowerCase() !== "application/json") {
    return httpError(415, -32000, `Content-Type is ${JSON.stringify(type.slice(0, 80))}; /mcp takes application/json`);
  }
  try {
    const bytes = await readBytes(request, hold, maxBytes);
    const text = withoutBom(textOfUtf8(bytes, "The body"));
    return keepNumbers(text, parseJson(text, "the body"));
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    const { status } = FAULTS[error.code];
    return status === 400
      ? httpError(400, -32700, error.message, error.hint === undefined ? undefined : { hint: error.hint })
      : httpError(status, -32000, error.message, faultBody(error));
  }
}

/** Returns the method of a request; undefined for notifications, responses, batches and what is no message. */
export function methodOf(body: unknown): string | undefined {
  if (!isObject(body) || typeof body["method"] !== "string") return undefined;
  return typeof body["id"] === "string" || typeof body["id"] === "number" ? body["method"] : undefined;
}

/** Returns the tool that a `tools/call` names, or "". */
export function toolOf(body: unknown): string {
  const params = isObject(body) ? body["params"] : undefined;
  const name = isObject(params) ? params["name"] : undefined;
  return typeof name === "string" ? name : "";
}

/**
 * Puts the header `Cairn-Agent` of a request into the `_meta` of its message, where handles are looked for. One that is
 * there already wins.
 */
export function withAgentHeader(request: Request, body: unknown): unknown {
  const handle = request.headers.get(AGENT_HEADER);
  if (handle === null || !isObject(body) || methodOf(body) === undefined) return body;
  const params = isObject(body["params"]) ? body["params"] : {};
  const meta = isObject(params["_meta"]) ? params["_meta"] : {};
  return { ...body, params: { ...params, _meta: { [AGENT_META]: handle, ...meta } } };
}

/** Returns the handle in the `_meta` of a request, not judged; undefined where there is none. */
export function handleOf(body: unknown): unknown {
  return metaOf(body)?.[AGENT_META];
}

/** Returns the `_meta` of a message; undefined where there is none. */
export function metaOf(body: unknown): Record<string, unknown> | undefined {
  const params = isObject(body) ? body["params"] : undefined;
  const meta = isObject(params) ? params["_meta"] : undefined;
  return isObject(meta) ? meta : undefined;
}

/** Returns what the client said of itself in the `_meta` of a request of the modern revision, or "". */
export function clientOf(body: unknown): string {
  return claimOfInfo(metaOf(body)?.[CLIENT_INFO_META_KEY]);
}

/** Reports whether the header alone shows that a request is modern to the SDK, which is asked about all others. */
export function isPlainlyModern(request: Request, method: string | undefined): boolean {
  const version = request.headers.get("mcp-protocol-version");
  return method !== undefined && method !== "initialize" && version === STATELESS_REVISION;
}
