// Reads HTTP requests: bodies within bounds, query parameters by name, headers that are arguments. What a route makes
// of them is arguments.ts.

import { clientClaim } from "../lib/client-claim.ts";
import { Fault } from "../lib/fault.ts";
import { parseJson } from "../lib/json-text.ts";
import { keepNumbers } from "../lib/json-value.ts";
import { essenceOf } from "../lib/media-type.ts";
import { nearest } from "../lib/nearest.ts";
import { readBytes } from "../lib/request-body.ts";
import { refuseForeignQuery, textOfUtf8, withoutBom } from "../lib/utf8.ts";
import type { Condition, QueryParameter } from "../operation/rest-route.ts";
import type { RouteCall } from "./route.ts";

/** Throws Fault `unsupported_media_type` for a charset parameter other than UTF-8. */
function refuseCharset(contentType: string | null): void {
  const charset = /;\s*charset\s*=\s*"?([^";\s]*)/i.exec(contentType ?? "")?.[1]?.toLowerCase();
  if (charset === undefined || charset === "utf-8" || charset === "utf8") return;
  throw new Fault("unsupported_media_type", `The charset ${JSON.stringify(charset.slice(0, 40))} is not supported`, {
    hint: "Send UTF-8.",
  });
}

/**
 * Returns the body as text. Faults: `unsupported_media_type` (a content coding, another charset), `invalid_input` (not
 * UTF-8), and those of `readBytes`.
 */
export async function readText(call: RouteCall, maxBytes: number): Promise<string> {
  refuseCharset(call.request.headers.get("content-type"));
  return textOfUtf8(await readRaw(call, maxBytes), "The body");
}

/** Returns the bytes of the body. Faults: `unsupported_media_type` (a content coding), and those of `readBytes`. */
export function readRaw({ request, hold }: RouteCall, maxBytes: number): Promise<Uint8Array> {
  const coding = request.headers.get("content-encoding");
  if (coding !== null && coding !== "identity") {
    throw new Fault(
      "unsupported_media_type",
      `The content coding ${JSON.stringify(coding.slice(0, 40))} is not accepted in requests`,
      {
        hint: "Send the body as it is.",
      },
    );
  }
  return readBytes(request, hold, maxBytes);
}

/** Returns the body as JSON; only `application/json` is read. An empty body is `{}`. Faults as of `readText`. */
export async function readJson(call: RouteCall, maxBytes: number): Promise<unknown> {
  const text = withoutBom(await readText(call, maxBytes));
  const essence = essenceOf(call.request.headers.get("content-type"));
  if (text.trim() === "" && essence === "") return {};
  if (essence !== "application/json") {
    throw new Fault("unsupported_media_type", `The content type ${JSON.stringify(essence)} is not accepted here`, {
      hint: "Send Content-Type: application/json.",
    });
  }
  return text.trim() === "" ? {} : keepNumbers(text, parseJson(text, "The body"));
}

/** Values of a query by the name of their parameter. */
export type QueryValues = Readonly<Record<string, string | readonly string[]>>;

/**
 * Returns the query parameters by name, a repeated one as a list. Fault `invalid_input` for one that is unknown, is
 * given twice where once is meant, or is not UTF-8.
 */
export function readQuery(url: string, known: Readonly<Record<string, QueryParameter>>): QueryValues {
  const found: Record<string, string | readonly string[]> = {};
  const start = url.indexOf("?");
  if (start < 0) return found;
  refuseForeignQuery(url.slice(start));
  for (const [name, value] of new URL(url).searchParams) {
    const parameter = Object.hasOwn(known, name) ? known[name] : undefined;
    if (parameter === undefined) throw unknownParameter(name, Object.keys(known));
    const before = found[name];
    if (parameter.kind === "repeated") found[name] = [...(before ?? []), value];
    else if (before === undefined) found[name] = value;
    else throw new Fault("invalid_input", `The query parameter ${name} is given twice`, { hint: "Give it once." });
  }
  return found;
}

function unknownParameter(name: string, known: readonly string[]): Fault {
  const near = nearest(name, known);
  return new Fault("invalid_input", `There is no query parameter ${JSON.stringify(name.slice(0, 80))} here`, {
    hint: near === undefined ? `Known are: ${known.join(", ") || "none"}.` : `Did you mean ${near}?`,
  });
}

/**
 * Returns the conditions of a write as arguments. Fault `invalid_input` for one that this route does not judge: a
 * condition that is overlooked is a lost update.
 */
export function conditionsOf(request: Request, judged: readonly Condition[]): Record<string, string> {
  const found: Record<string, string> = {};
  for (const header of ["if-match", "if-none-match", "if-unmodified-since"] as const) {
    const value = headerOf(request, header);
    if (value === null) continue;
    if (!judged.some((name) => name === header)) {
      throw new Fault("invalid_input", `${request.method} takes no header ${header}: ${value.slice(0, 100)} here`, {
        hint: conditionHint(judged),
      });
    }
    found[header.replaceAll("-", "_")] = value;
  }
  return found;
}

function conditionHint(judged: readonly Condition[]): string {
  if (judged.length === 0) return "Leave it out, or give the condition as if_match in the body.";
  const create = judged.includes("if-none-match") ? ", or If-None-Match: * to write only what does not exist" : "";
  return `Leave it out, or send If-Match with the ETag of your last read${create}.`;
}

/** Returns the arguments common to all operations, which HTTP writes as headers (architecture.md 5). */
export function commonHeaders(request: Request): Record<string, string> {
  const found: Record<string, string> = {};
  for (const [header, name] of COMMON_HEADERS) {
    const value = headerOf(request, header);
    if (value !== null) found[name] = value;
  }
  return found;
}

/**
 * Returns what the client says of itself in `Cairn-Client`, or "". User-Agent is not read: libraries fill it in, and it
 * names them instead of the agent. Throws Fault `invalid_input` for one that is empty or not UTF-8.
 */
export function clientOf(request: Request): string {
  // Headers come with a character for each byte.
  const bytes = Buffer.from(headerOf(request, "cairn-client") ?? "", "latin1");
  return clientClaim(textOfUtf8(bytes, "The header Cairn-Client"));
}

/** Returns a header or null. Throws Fault `invalid_input` for an empty one, which would count as none further on. */
function headerOf(request: Request, header: string): string | null {
  const value = request.headers.get(header);
  if (value !== "") return value;
  throw new Fault("invalid_input", `The header ${header} is empty`, { hint: "Leave it out, or give it a value." });
}

const COMMON_HEADERS = [
  ["cairn-consistency", "consistency"],
  ["cairn-min-position", "min_position"],
  ["cairn-agent", "as"],
  ["idempotency-key", "idempotency_key"],
] as const;
