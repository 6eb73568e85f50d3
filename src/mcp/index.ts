// The MCP endpoint: both protocol eras on one URL. Reads and refuses what is not MCP, then hands the request to the era it belongs to.
// Who is calling, and whether Host and Origin are right, has been decided in front of it.

import { createMcpHandler, isLegacyRequest, ProtocolErrorCode, readRequestBody } from "@modelcontextprotocol/server";
import type { Caller } from "../access/caller.ts";
import { Fault } from "../lib/fault.ts";
import { isObject } from "../lib/json-object.ts";
import { parseJson } from "../lib/json-text.ts";
import { keepNumbers } from "../lib/json-value.ts";
import { STATELESS_REVISION } from "../lib/mcp-names.ts";
import type { LogLine } from "../observe/logging.ts";
import type { Feature } from "../operation/feature.ts";
import type { Invoker } from "../operation/invoke.ts";
import { KEEP_ALIVE_MS, MAX_BODY_BYTES } from "./bounds.ts";
import { conformanceFixtures } from "./conformance/index.ts";
import { faultBody, httpError } from "./errors.ts";
import { meterFlow, OPENED } from "./flow.ts";
import { LISTEN, Listens } from "./listen.ts";
import { callerByUrl } from "./preset.ts";
import { Prompts } from "./prompts.ts";
import { isPlainlyOlder, plainCall, QuickCalls } from "./quick.ts";
import { ResourceIndex } from "./resource-index.ts";
import { Resources } from "./resources.ts";
import { buildServer, type Parts, serverInfoOf } from "./server.ts";
import { Sessions } from "./sessions.ts";
import { Subscriptions } from "./subscriptions.ts";
import { Tools } from "./tools.ts";

const SETTLE_MS = 4000;
const METHODS: readonly string[] = ["POST", "GET", "DELETE"];
const ALLOW = METHODS.join(", ");

const RIGHTS_CHANGED = new Fault("unavailable", "Your rights may have changed, and the wait was ended for that", {
  hint: "Call it again with the same since.",
});
const STOPPING = new Fault("unavailable", "This node is stopping", { hint: "Call it again with the same since." });

export interface McpOptions {
  invoker: Invoker;
  /** The features whose operations the invoker has. */
  features: readonly Feature[];
  /** Version of this build, as clients see it. */
  version: string;
  /** Adds what the official conformance suite calls. Loopback only. */
  conformance?: boolean;
  /** Time between signs of life on quiet streams and in waits, in ms; KEEP_ALIVE_MS unless a test says otherwise. */
  keepAliveMs?: number;
  log: LogLine;
}

export interface Mcp {
  fetch(request: Request, caller: Caller): Promise<Response>;
  /** The rights of these callers (by `Caller.id`), or of all, may have changed: their sessions and streams end, and clients come back under the new rights. */
  callersChanged(ids?: readonly string[]): void;
  /** Ends streams at once and everything else when running calls have ended, at most SETTLE_MS later. New requests are refused. */
  close(): Promise<void>;
}

/** Mounted at `/mcp`. */
export function createMcp(options: McpOptions): Mcp {
  const { invoker, log } = options;
  const index = new ResourceIndex(options.features);
  const subscriptions = new Subscriptions(invoker, index, log);
  const { keepAliveMs = KEEP_ALIVE_MS } = options;
  const tools = new Tools(invoker);
  const parts: Parts = {
    invoker,
    features: options.features,
    version: options.version,
    tools,
    index,
    resources: new Resources(invoker, index),
    prompts: new Prompts(invoker, tools, options.features),
    subscriptions,
    keepAliveMs,
    fixtures: options.conformance === true ? conformanceFixtures((event) => listens.emitToAll(event)) : undefined,
  };
  const listens = new Listens(parts, log);
  const sessions = new Sessions(parts, log);
  const asked = new WeakMap<Request, { caller: Caller; method: string; body: unknown }>();
  const quick = new QuickCalls(tools, serverInfoOf(options.version));
  const modernHandler = (responseMode: "auto" | "sse") =>
    createMcpHandler(
      ({ requestInfo }) => {
        const of = requestInfo === undefined ? undefined : asked.get(requestInfo);
        if (of === undefined) throw new Error("a request without its caller");
        quick.accepted(of.body);
        return buildServer(parts, { caller: () => of.caller, method: of.method });
      },
      { legacy: "reject", keepAliveMs, responseMode, onerror: (error) => log("debug", `MCP: ${error.message}`) },
    );
  const modern = modernHandler("auto");
  // A call that waits answers with a stream, whose signs of life keep proxies from cutting it.
  const waiting = modernHandler("sse");

  let closed = false;

  async function fetch(request: Request, known: Caller): Promise<Response> {
    if (closed)
      return httpError(503, 503, "This node is stopping", { retryable: true, hint: "Try again in a moment." });
    const caller = callerByUrl(request.url, known);
    if (!(caller instanceof Fault)) return handle(request, caller);
    return httpError(400, ProtocolErrorCode.InvalidParams, caller.message, faultBody(caller));
  }

  async function handle(request: Request, caller: Caller): Promise<Response> {
    if (!METHODS.includes(request.method)) {
      const refused = httpError(405, 405, `${request.method.slice(0, 40)} is no method of /mcp; it takes ${ALLOW}`);
      refused.headers.set("allow", ALLOW);
      return refused;
    }
    if (request.method !== "POST") return sessions.handle(request, undefined, caller);
    const body = await readBody(request);
    if (body instanceof Response) return body;
    const call = plainCall(body);
    if (call !== undefined && quick.knows(caller, call.name)) {
      if (quick.isPlainlyModern(request, call)) return quick.modern(request, call, caller);
      const sessionId = isPlainlyOlder(request, call) ? sessions.use(request, caller) : undefined;
      if (sessionId !== undefined) return quick.older(call, caller, sessionId);
    }
    const method = methodOf(body);
    if (!isPlainlyModern(request, method) && (await isLegacyRequest(request, body))) {
      return sessions.handle(request, body, caller);
    }
    if (method === LISTEN && isObject(body)) return listens.open(request, body, caller);
    asked.set(request, { caller, method: method ?? "", body });
    if (method === "tools/call" && parts.tools.waits(toolOf(body))) {
      return opened(await waiting.fetch(request, { parsedBody: body }));
    }
    return modern.fetch(request, { parsedBody: body });
  }

  return {
    fetch,
    callersChanged: (ids) => {
      const which = ids === undefined ? undefined : new Set(ids);
      parts.tools.endWaits(RIGHTS_CHANGED, which);
      const ending = Promise.all([sessions.end(which), listens.end(which)]);
      ending.catch((error: unknown) => log("warning", `MCP streams did not end cleanly: ${String(error)}`));
    },
    close: async () => {
      closed = true;
      sessions.endStreams();
      parts.tools.endWaits(STOPPING);
      await Promise.all([listens.end(), parts.tools.settled(SETTLE_MS)]);
      // One turn more, for the answers of those calls to be written.
      await new Promise((resolve) => setTimeout(resolve));
      await Promise.all([sessions.close(), modern.close(), waiting.close()]);
      subscriptions.close();
    },
  };
}

/** The tool that a call names, or "". */
function toolOf(body: unknown): string {
  const params = isObject(body) ? body["params"] : undefined;
  const name = isObject(params) ? params["name"] : undefined;
  return typeof name === "string" ? name : "";
}

/** The stream of a response, with a first comment, so that the client hears at once that it is open. */
function opened(response: Response): Response {
  if (response.body === null || response.headers.get("content-type") !== "text/event-stream") return response;
  const { body } = meterFlow(
    response.body,
    () => {},
    () => {},
    OPENED,
  );
  return new Response(body, { status: response.status, headers: response.headers });
}

/** The parsed body, or the answer that refuses it: only application/json, bounded, and JSON that all parsers read alike (security.md 14, 22). */
async function readBody(request: Request): Promise<unknown> {
  const type = request.headers.get("content-type") ?? "";
  if (type.split(";", 1)[0]?.trim().toLowerCase() !== "application/json") {
    return httpError(415, -32000, `Content-Type is ${JSON.stringify(type.slice(0, 80))}; /mcp takes application/json`);
  }
  const text = await readText(request);
  if (text instanceof Response) return text;
  try {
    return keepNumbers(text, parseJson(text, "the body"));
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    return httpError(400, -32700, error.message, error.hint === undefined ? undefined : { hint: error.hint });
  }
}

async function readText(request: Request): Promise<string | Response> {
  const tooLarge = () => httpError(413, -32000, `The body is larger than ${MAX_BODY_BYTES} bytes`);
  try {
    const declared = Number(request.headers.get("content-length") ?? Number.NaN);
    if (declared > MAX_BODY_BYTES) return tooLarge();
    // The server holds a body to its declared length; only one without is counted while it is read.
    if (declared >= 0) return await request.text();
    const read = await readRequestBody(request, MAX_BODY_BYTES);
    return read.tooLarge ? tooLarge() : read.text;
  } catch {
    return httpError(400, -32700, "The body could not be read");
  }
}

/** Whether the header alone shows that the SDK's own classification will say modern; it is asked about everything else. */
export function isPlainlyModern(request: Request, method: string | undefined): boolean {
  return (
    method !== undefined &&
    method !== "initialize" &&
    request.headers.get("mcp-protocol-version") === STATELESS_REVISION
  );
}

/** The method of a request; undefined for notifications, responses, batches and what is no message. */
function methodOf(body: unknown): string | undefined {
  if (!isObject(body) || typeof body["method"] !== "string") return undefined;
  return typeof body["id"] === "string" || typeof body["id"] === "number" ? body["method"] : undefined;
}
