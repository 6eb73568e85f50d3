// Responses with stored bytes: whole or one range (RFC 9110 14), as a stream of parts. Each part is a call of the
// operation, so rights and limits hold for each, and no more than one part is in memory.

import { matchesStrongly, matchesWeakly, parseCondition } from "../lib/etag.ts";
import { Fault } from "../lib/fault.ts";
import { Outlet } from "../lib/outlet.ts";
import { pause } from "../lib/pause.ts";
import type { Answer } from "../operation/answer.ts";
import { tracedBy } from "../operation/call-span.ts";
import type { Invoker } from "../operation/invoke.ts";
import type { BytesPart, RestRoute } from "../operation/rest-route.ts";
import { argumentsOf } from "./arguments.ts";
import { freshnessOf } from "./content.ts";
import { problemResponse, SAFE_HEADERS } from "./problem.ts";
import { clientOf } from "./request.ts";
import type { RouteCall } from "./route.ts";

type BytesResponse = Extract<RestRoute["response"], { kind: "bytes" }>;

/** Where bytes begin and end; `last` is included. */
interface Range {
  first: number;
  last: number;
}

/** Calls that a limit refused are repeated so often, each after so many ms. */
const LIMIT_TRIES = 8;
const LIMIT_MS = 2000;

/** Returns the response to a GET or HEAD. Throws Faults of the operation. */
export async function respondBytes(
  row: RestRoute,
  { partBytes, partOf }: BytesResponse,
  call: RouteCall,
  invoker: Invoker,
): Promise<Response> {
  const { request } = call;
  const { input } = await argumentsOf(row, call);
  const ask = (offset: number, length: number): Promise<Answer> =>
    invoker.invoke({
      operation: row.operation,
      input: { ...input, offset, length },
      caller: call.caller,
      client: clientOf(request),
      signal: request.signal,
      surface: "rest",
      exact: true,
      ...tracedBy(invoker.isTraced, request),
    });
  const known = await ask(0, 0);
  const { bytes, etag, mediaType, modifiedAt } = partOf(known.output);
  const headers: Record<string, string> = {
    ...SAFE_HEADERS,
    ...freshnessOf(known),
    ETag: `"${etag}"`,
    "Accept-Ranges": "bytes",
    "Last-Modified": new Date(modifiedAt).toUTCString(),
    "Cairn-Content-Type": mediaType,
  };
  const ifMatch = request.headers.get("if-match");
  if (ifMatch !== null && !matchesStrongly(parseCondition(ifMatch, "If-Match"), etag)) {
    throw new Fault("version_mismatch", `The bytes have the ETag "${etag}", which is none of If-Match`, {
      hint: "Bytes of this address never change: leave If-Match out, or ask for the hash that you mean.",
    });
  }
  const ifNoneMatch = request.headers.get("if-none-match");
  if (ifNoneMatch !== null && matchesWeakly(parseCondition(ifNoneMatch, "If-None-Match"), etag))
    return new Response(null, { status: 304, headers });
  // A browser must save them, never show them (security.md 15).
  headers["Content-Type"] = "application/octet-stream";
  headers["Content-Disposition"] = "attachment";
  const ifRange = request.headers.get("if-range");
  // Range is for GET alone (RFC 9110 14.2).
  const isRanged = request.method === "GET" && (ifRange === null || ifRange === `"${etag}"`);
  const range = isRanged ? rangeOf(request.headers.get("range"), bytes) : undefined;
  if (range === "none") {
    const fault = new Fault("range_unknown", `The range begins behind the last of ${bytes} bytes`, {
      hint: "Ask for bytes that there are, or leave Range out.",
    });
    return problemResponse(fault, { "Content-Range": `bytes */${bytes}` });
  }
  const { first, last } = range ?? { first: 0, last: bytes - 1 };
  const status = range === undefined ? 200 : 206;
  if (range !== undefined) headers["Content-Range"] = `bytes ${first}-${last}/${bytes}`;
  if (request.method === "HEAD" || last < first) {
    headers["Content-Length"] = String(last - first + 1);
    return new Response(null, { status, headers });
  }
  // The first part before the head: where no member has the bytes, the answer is a problem.
  const begin = partOf((await ask(first, Math.min(partBytes, last - first + 1))).output);
  const more = (offset: number) => askWithin(() => ask(offset, Math.min(partBytes, last - offset + 1)), request.signal);
  const body =
    first + begin.data.byteLength > last
      ? begin.data
      : streamOf(begin, { first, last }, async (offset) => partOf((await more(offset)).output));
  return new Response(body, { status, headers });
}

/** Returns the range that is asked for; undefined: the whole; "none": nothing of it is there. */
function rangeOf(header: string | null, bytes: number): Range | "none" | undefined {
  const [, from = "", to = ""] = /^bytes=(\d{0,15})-(\d{0,15})$/i.exec(header ?? "") ?? [];
  if (from === "" && to === "") return undefined;
  if (from === "") {
    const length = Math.min(Number(to), bytes);
    return length === 0 ? "none" : { first: bytes - length, last: bytes - 1 };
  }
  const range = { first: Number(from), last: Math.min(to === "" ? bytes - 1 : Number(to), bytes - 1) };
  // A range whose end is before its beginning is none (RFC 9110 14.1.1).
  if (to !== "" && Number(to) < range.first) return undefined;
  return range.first >= bytes ? "none" : range;
}

/** Returns the parts as a stream, which asks for the next one when the client has taken the one before. */
function streamOf(
  begin: BytesPart,
  { first, last }: Range,
  next: (offset: number) => Promise<BytesPart>,
): ReadableStream<Uint8Array> {
  let offset = first + begin.data.byteLength;
  const send = async (): Promise<void> => {
    const { data } = await next(offset);
    if (data.byteLength === 0) throw new Error("the bytes ended too early");
    offset += data.byteLength;
    if (offset > last) outlet.end(data);
    else outlet.write(data);
  };
  const outlet = new Outlet({
    preface: begin.data,
    // The head is out: all that is left is to break off, so that the client asks for the rest.
    onIdle: () => void send().catch(() => outlet.cut()),
    onEnd: () => {},
  });
  return outlet.body;
}

async function askWithin(ask: () => Promise<Answer>, signal: AbortSignal): Promise<Answer> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof Fault) || error.code !== "rate_limited" || tries >= LIMIT_TRIES) throw error;
      await pause(LIMIT_MS, signal);
    }
  }
}
