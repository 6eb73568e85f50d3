// Reads a request: its body, the method it names, the tool it calls. What is not MCP is refused here.

import { Fault } from "../lib/fault.ts";
import { isObject } from "../lib/json-object.ts";
import { parseJson } from "../lib/json-text.ts";
import { keepNumbers } from "../lib/json-value.ts";
import { STATELESS_REVISION } from "../lib/mcp-names.ts";
import { textOfUtf8, withoutBom } from "../lib/utf8.ts";
import { MAX_BODY_BYTES } from "./bounds.ts";
import { httpError } from "./errors.ts";

/**
 * Returns the parsed body, or the response that refuses it: only application/json, bounded, UTF-8, and JSON that all
 * parsers read alike (security.md 14, 22).
 */
export async function readBody(request: Request): Promise<unknown> {
  const type = request.headers.get("content-type") ?? "";
  if (type.split(";", 1)[0]?.trim().toLowerCase() !== "application/json") {
    return httpError(415, -32000, `Content-Type is ${JSON.stringify(type.slice(0, 80))}; /mcp takes application/json`);
  }
  const bytes = await readBytes(request);
  if (bytes instanceof Response) return bytes;
  try {
    const text = withoutBom(textOfUtf8(bytes, "The body"));
    return keepNumbers(text, parseJson(text, "the body"));
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    return httpError(400, -32700, error.message, error.hint === undefined ? undefined : { hint: error.hint });
  }
}

async function readBytes(request: Request): Promise<Uint8Array | Response> {
  const tooLarge = () => httpError(413, -32000, `The body is larger than ${MAX_BODY_BYTES} bytes`);
  try {
    const declared = Number(request.headers.get("content-length") ?? Number.NaN);
    if (declared > MAX_BODY_BYTES) return tooLarge();
    // The server holds a body to its declared length; only one without a length is counted while it is read.
    if (declared >= 0) return await request.bytes();
    const chunks: Uint8Array[] = [];
    let size = 0;
    for await (const chunk of request.body ?? []) {
      size += chunk.byteLength;
      if (size > MAX_BODY_BYTES) return tooLarge();
      chunks.push(chunk);
    }
    return Buffer.concat(chunks);
  } catch {
    return httpError(400, -32700, "The body could not be read");
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

/** Reports whether the header alone shows that a request is modern to the SDK, which is asked about all others. */
export function isPlainlyModern(request: Request, method: string | undefined): boolean {
  const version = request.headers.get("mcp-protocol-version");
  return method !== undefined && method !== "initialize" && version === STATELESS_REVISION;
}
