// Routes each request to the part that responds to it: a quick call, a session, a listen stream or a server of its own.

import { createMcpHandler, isLegacyRequest, ProtocolErrorCode } from "@modelcontextprotocol/server";
import type { Caller } from "../access/caller.ts";
import { faultBody, sentenceOf } from "../lib/failed-result.ts";
import { FAULTS, Fault } from "../lib/fault.ts";
import { isObject } from "../lib/json-object.ts";
import { type BodyHold, UNBOUNDED } from "../lib/request-body.ts";
import type { LogLine } from "../observe/logging.ts";
import { tracedBy } from "../operation/call-span.ts";
import type { ForeignBody } from "../operation/mcp-parts.ts";
import { httpError } from "./errors.ts";
import type { EventStreams } from "./event-streams.ts";
import { EVENTS_STREAM } from "./events.ts";
import { meterFlow, OPENED } from "./flow.ts";
import { accepting, answerAlone, plainMessage } from "./lenient-request.ts";
import { LISTEN, Listens } from "./listen.ts";
import { refuseParams } from "./params.ts";
import { callerByUrl, presetOf } from "./preset.ts";
import type { PresetParts } from "./preset-parts.ts";
import { isPlainlyOlder, plainCall, QuickCalls } from "./quick.ts";
import { clientOf, handleOf, isPlainlyModern, methodOf, readBody, toolOf, withAgentHeader } from "./request.ts";
import { type Incoming, inRequestSpan, recordRefused } from "./request-span.ts";
import { MCP_ROUTE } from "./route.ts";
import { buildServer, type Parts, type PartsOf, serverInfoOf } from "./server.ts";
import { Sessions } from "./sessions.ts";

/** How long `close` waits for running calls, in ms. */
const SETTLE_MS = 4000;
const ALLOW = MCP_ROUTE.methods.join(", ");

const RIGHTS_CHANGED = new Fault("unavailable", "Your rights may have changed, and the wait was ended for that", {
  hint: "Call it again with the same since.",
});
const STOPPING = new Fault("unavailable", "This node is stopping", { hint: "Call it again with the same since." });

/** Methods whose response is a stream that has no answer to wait for. */
const ENDLESS: ReadonlySet<string> = new Set([LISTEN, EVENTS_STREAM]);

type McpHandler = ReturnType<typeof createMcpHandler>;

/** A request of the modern revision that the SDK handles. */
interface Asked {
  caller: Caller;
  method: string;
  body: unknown;
}

/** What else the endpoint serves. */
export interface EndpointOptions extends Pick<Parts, "invoker" | "version" | "keepAliveMs"> {
  /** Bodies that are no message of MCP. */
  foreign?: readonly ForeignBody[];
  /** Where sessions are kept over a restart. */
  sessionsFile?: string | undefined;
}

/** The endpoint `/mcp` of a node. */
export class Endpoint {
  readonly #parts: PresetParts;
  readonly #names: readonly string[];
  readonly #partsOf: PartsOf;
  readonly #common: Pick<Parts, "invoker" | "version" | "keepAliveMs">;
  readonly #log: LogLine;
  readonly #foreign: readonly ForeignBody[];
  readonly #listens: Listens;
  readonly #eventStreams: EventStreams;
  readonly #sessions: Sessions;
  readonly #quick: QuickCalls;
  /** For the servers that the SDK asks for: it hands on the request alone. */
  readonly #asked = new WeakMap<Request, Asked>();
  readonly #modern: McpHandler;
  /** For calls that wait: they respond with a stream, whose keep-alives stop proxies from cutting it. */
  readonly #waiting: McpHandler;
  #closed = false;

  constructor(
    parts: PresetParts,
    eventStreams: EventStreams,
    log: LogLine,
    { foreign = [], sessionsFile, ...common }: EndpointOptions,
  ) {
    this.#parts = parts;
    this.#names = parts.names;
    this.#partsOf = (caller) => parts.named(presetOf(caller));
    this.#common = common;
    this.#log = log;
    this.#foreign = foreign;
    this.#listens = new Listens(this.#partsOf, log);
    this.#eventStreams = eventStreams;
    this.#sessions = new Sessions(this.#partsOf, log, { file: sessionsFile });
    this.#quick = new QuickCalls(this.#partsOf, serverInfoOf(this.#common.version));
    this.#modern = this.#handler("auto");
    this.#waiting = this.#handler("sse");
  }

  /** The streams of `subscriptions/listen`. */
  get listens(): Listens {
    return this.#listens;
  }

  /** Responds to a request of a proved caller. Host and Origin were checked before. */
  async fetch(request: Request, known: Caller, hold: BodyHold = UNBOUNDED): Promise<Response> {
    if (this.#closed)
      return httpError(503, 503, "This node is stopping", { retryable: true, hint: "Try again in a moment." });
    const caller = callerByUrl(request.url, known, {
      known: this.#names,
      granted: this.#common.invoker.rights(known).preset,
      argumentsOf: (preset) => this.#parts.named(preset).urlArguments,
    });
    if (caller instanceof Fault)
      return httpError(
        FAULTS[caller.code].status,
        ProtocolErrorCode.InvalidParams,
        sentenceOf(caller),
        faultBody(caller),
      );
    const stranger = this.#refuseStranger(caller);
    if (stranger !== undefined) return stranger;
    if (!MCP_ROUTE.methods.includes(request.method)) {
      const refused = httpError(405, 405, `${request.method.slice(0, 40)} is no method of /mcp; it takes ${ALLOW}`);
      refused.headers.set("allow", ALLOW);
      return refused;
    }
    const asked = accepting(request);
    if (request.method === "DELETE") this.#eventStreams.endSession(request);
    if (request.method !== "POST") return this.#sessions.handle(asked, undefined, caller);
    const maxBytes = this.#partsOf(caller).tools.maxMessageBytes(caller, request.headers.get("mcp-name"));
    const read = await readBody(request, hold, maxBytes);
    if (read instanceof Response) return read;
    const foreign = this.#foreignCall(request, read, caller);
    if (foreign !== undefined) return foreign;
    const body = withAgentHeader(request, plainMessage(read));
    const response = await this.#post(asked, body, caller);
    return asked === request || ENDLESS.has(methodOf(body) ?? "") ? response : answerAlone(response);
  }

  /**
   * The rights of these callers (by `Caller.id`), or of all, may have changed: their sessions and streams end, and
   * clients come back under the new rights.
   */
  callersChanged(ids?: readonly string[]): void {
    const which = ids === undefined ? undefined : new Set(ids);
    for (const { tools } of this.#parts.made()) tools.endWaits(RIGHTS_CHANGED, which);
    this.#eventStreams.end(which);
    const ending = Promise.all([this.#sessions.end(which), this.#listens.end(which)]);
    ending.catch((error: unknown) => this.#log("warning", `MCP streams did not end cleanly: ${String(error)}`));
  }

  /**
   * Ends streams at once, and everything else when running calls have ended, at most SETTLE_MS later. New requests are
   * refused.
   */
  async close(): Promise<void> {
    const parts = this.#parts.made();
    this.#closed = true;
    this.#sessions.endStreams();
    this.#eventStreams.end();
    for (const { tools } of parts) tools.endWaits(STOPPING);
    await Promise.all([this.#listens.end(), ...parts.map(({ tools }) => tools.settled(SETTLE_MS))]);
    // One turn more, for the responses of those calls to be written.
    await new Promise((resolve) => setTimeout(resolve));
    await Promise.all([this.#sessions.close(), this.#modern.close(), this.#waiting.close()]);
    for (const { subscriptions } of parts) subscriptions.close();
  }

  /** Returns the response to a caller without any right: no session, and no body is read (security.md 14). */
  #refuseStranger(caller: Caller): Response | undefined {
    try {
      this.#common.invoker.refuseStranger(caller, "mcp");
      return undefined;
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      return httpError(403, 403, sentenceOf(error), faultBody(error));
    }
  }

  /** Responds to a body that is no message of MCP; undefined for every other one. */
  #foreignCall(request: Request, body: unknown, caller: Caller): Promise<Response> | undefined {
    for (const { operation, input, answer } of this.#foreign) {
      const given = input(body);
      if (given === undefined) continue;
      const { invoker } = this.#common;
      const call = { operation, input: given, caller, signal: request.signal, surface: "mcp", exact: true } as const;
      return invoker.invoke({ ...call, ...tracedBy(invoker.isTraced, request) }).then(
        () => Response.json(answer),
        (error: Fault) => httpError(FAULTS[error.code].status, -32000, sentenceOf(error), faultBody(error)),
      );
    }
    return undefined;
  }

  async #post(request: Request, body: unknown, caller: Caller): Promise<Response> {
    const quick = this.#quickCall(request, body, caller);
    if (quick !== undefined) return quick;
    const method = methodOf(body);
    const message = { request, body, caller, method };
    const { spans } = this.#common.invoker;
    const isOlder = !isPlainlyModern(request, method) && (await isLegacyRequest(request, body));
    const wrong = refuseParams(body, isOlder);
    if (wrong !== undefined) return recordRefused(spans, message, wrong);
    if (isOlder) this.#eventStreams.cancelled(request, body);
    if (method === EVENTS_STREAM) return this.#eventStreams.answer(request, () => this.#handle(message, isOlder));
    return inRequestSpan(spans, message, () => this.#handle(message, isOlder));
  }

  #handle({ request, body, caller, method }: Incoming, isOlder: boolean): Promise<Response> {
    if (isOlder) return this.#sessions.handle(request, body, caller);
    if (method === LISTEN && isObject(body)) return this.#listens.open(request, body, caller);
    this.#asked.set(request, { caller, method: method ?? "", body });
    if (method === "tools/call" && this.#partsOf(caller).tools.waits(toolOf(body)))
      return this.#waiting.fetch(request, { parsedBody: body }).then(opened);
    return this.#modern.fetch(request, { parsedBody: body });
  }

  /** Responds to a plain call of a brief tool without the SDK; undefined for every other request. */
  #quickCall(request: Request, body: unknown, caller: Caller): Promise<Response> | undefined {
    const call = plainCall(body);
    if (call === undefined || !this.#quick.knows(caller, call.name)) return undefined;
    if (this.#quick.isPlainlyModern(request, call)) return this.#quick.modern(request, call, caller);
    const session = isPlainlyOlder(request, call) ? this.#sessions.use(request, caller) : undefined;
    return session === undefined ? undefined : this.#quick.older(request, call, caller, session);
  }

  #handler(responseMode: "auto" | "sse"): McpHandler {
    return createMcpHandler(
      ({ requestInfo }) => {
        const asked = requestInfo === undefined ? undefined : this.#asked.get(requestInfo);
        if (asked === undefined) throw new Error("a request without its caller");
        this.#quick.accepted(asked.body);
        return buildServer(this.#partsOf(asked.caller), {
          caller: () => asked.caller,
          client: clientOf(asked.body),
          handle: handleOf(asked.body),
          method: asked.method,
        });
      },
      {
        legacy: "reject",
        keepAliveMs: this.#common.keepAliveMs,
        responseMode,
        onerror: (error) => this.#log("debug", `MCP: ${error.message}`),
      },
    );
  }
}

/** Returns the response with a first comment in its stream, so that the client sees at once that it is open. */
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
