// /svc/NAME/… on every full member: passes HTTP to wherever the service runs. The caller is judged here, and again by
// the member that runs it, which says to the service who it is.

import { asReader, type Caller, callerName } from "../../access/caller.ts";
import { Fault } from "../../lib/fault.ts";
import { reasonOf } from "../../lib/reason-of.ts";
import { type BodyHold, readBytes } from "../../lib/request-body.ts";
import type { Call } from "../../operation/call.ts";
import { DECLARATIONS, DECLARED_NAME } from "../../operation/declared-kind.ts";
import { CALL_AS, FULL_MEMBERS, HOLD_STREAM } from "../../operation/node-parts.ts";
import { capOf } from "../../operation/routing.ts";
import type { PassedBy, PathCall, PathServer, ServedRoute } from "../../operation/served-route.ts";
import type { Services } from "../../operation/services.ts";
import { SERVICE } from "./declared.ts";
import { answerHeaders, requestHeaders } from "./http-headers.ts";
import { fetchLoopback } from "./loopback.ts";
import { serviceOpen } from "./open.ts";
import { OpenRequests, type RequestBounds } from "./open-requests.ts";
import { SERVICE_WORKER } from "./parts.ts";
import { DEFAULT_SPACE } from "./rows.ts";

/** Time until the head of an answer of a service, in ms. */
const ANSWER_MS = 60_000;
/** Who calls, from the member that passes a request on. It is believed of full members alone. */
const CALLER_HEADER = "cairn-service-caller";
const READ_ONLY_HEADER = "cairn-service-read-only";
/** How the caller reached the fleet. Between members under names of Cairn: others say X-Forwarded-* of their own. */
const HOST_HEADER = "cairn-service-host";
const SCHEME_HEADER = "cairn-service-scheme";

/** What is served. */
export const SERVICE_ROUTE: ServedRoute = {
  methods: ["GET", "POST", "PUT", "PATCH", "DELETE"],
  path: "/svc/",
  summary: "`/svc/NAME/…` leads to the service, wherever it runs",
  right: "the role `member` in the space of the service",
};

/** The place of a request. */
interface Asked {
  name: string;
  /** What the service is asked for; "": the address lacks the slash behind the name. */
  rest: string;
}

/** Passes requests on. */
export class ServiceProxy implements PathServer {
  readonly #node: Services;
  readonly #requests: OpenRequests;

  constructor(node: Services, bounds: Partial<RequestBounds> = {}) {
    this.#node = node;
    this.#requests = new OpenRequests((caller) => node.get(HOLD_STREAM)(caller), bounds);
  }

  /** Requests that are open. */
  get open(): number {
    return this.#requests.size;
  }

  async fetch(request: Request, { caller, scheme, hold }: PathCall): Promise<Response> {
    const asked = askedOf(request);
    const { node } = await this.#open(asked.name, { caller, signal: request.signal, surface: "rest" });
    const url = new URL(request.url);
    if (asked.rest === "") return Response.redirect(`/svc/${asked.name}/${url.search}`, 308);
    const headers = requestHeaders(request.headers);
    const members = this.#node.get(FULL_MEMBERS);
    const { signal, method } = request;
    if (node === members.self()) {
      sayWay(headers, { host: url.host, scheme, name: asked.name });
      const ask = () => this.#ask(request, asked, { caller, headers, hold });
      return this.#requests.during({ caller, member: "", signal }, ask);
    }
    headers.set(CALLER_HEADER, caller.id);
    headers.set(HOST_HEADER, url.host);
    headers.set(SCHEME_HEADER, scheme);
    if (caller.readOnly === true) headers.set(READ_ONLY_HEADER, "1");
    const path = `/svc/${asked.name}${asked.rest}${url.search}`;
    return this.#requests.during({ caller, member: node, signal }, async () => {
      const body = await bodyOf(request, hold);
      const answer = await members.open(node, path, { method, headers, body, signal, timeoutMs: ANSWER_MS });
      return new Response(answer.body, { status: answer.status, headers: answerHeaders(answer.headers) });
    });
  }

  async fetchPassed(request: Request, { node, member, hold }: PassedBy): Promise<Response> {
    const asked = askedOf(request);
    const { signal, headers: given } = request;
    const found = await this.#node.get(FULL_MEMBERS).callerOf(given.get(CALLER_HEADER) ?? "", node, signal);
    const caller = given.get(READ_ONLY_HEADER) === null ? found : asReader(found);
    await this.#open(asked.name, { caller, signal, surface: "peer", forwarded: { via: node, ...capOf(member) } });
    const headers = requestHeaders(given);
    // An older member says nothing of the way.
    const host = given.get(HOST_HEADER) ?? "";
    sayWay(headers, { host, scheme: given.get(SCHEME_HEADER) ?? "", name: asked.name });
    const ask = () => this.#ask(request, asked, { caller, headers, hold });
    return this.#requests.during({ caller, member: node, signal }, ask);
  }

  /** Judges the caller, and returns the member that has the service. Rejects with Faults. */
  async #open(
    name: string,
    call: Pick<Call, "caller" | "signal" | "surface" | "forwarded">,
  ): Promise<{ node: string; name: string }> {
    const declared = this.#node.get(DECLARATIONS).list(SERVICE);
    const space = declared.find((each) => each.name === name)?.value.space ?? DEFAULT_SPACE;
    // By the rows of this member: what it has seen last of where the service is.
    const input = { name, space, consistency: "any" };
    const asked = { ...call, operation: serviceOpen(this.#node).name, input, exact: true };
    const { output } = await this.#node.get(CALL_AS)(asked);
    return output as { node: string; name: string };
  }

  /** Asks the service that runs on this member. */
  async #ask(
    request: Request,
    { name, rest }: Asked,
    { caller, headers, hold }: { caller: Caller; headers: Headers; hold: BodyHold },
  ): Promise<Response> {
    const target = this.#node.get(SERVICE_WORKER).target(name);
    if (target === undefined) throw notReady(name, "it has just ended there");
    sayCaller(headers, caller);
    const body = await bodyOf(request, hold);
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(), ANSWER_MS);
    const signal = AbortSignal.any([request.signal, late.signal]);
    const sent = { method: request.method, headers, signal, ...(body === undefined ? {} : { body }) };
    try {
      const answer = await fetchLoopback(target.port, `${rest}${new URL(request.url).search}`, sent);
      return new Response(answer.body, { status: answer.status, headers: answerHeaders(answer.headers) });
    } catch (cause) {
      request.signal.throwIfAborted();
      const why = late.signal.aborted ? `it did not answer within ${ANSWER_MS / 1000} s` : reasonOf(cause);
      throw notReady(name, why);
    } finally {
      clearTimeout(timer);
    }
  }
}

/** Returns what a request asks for. Throws Faults. */
function askedOf(request: Request): Asked {
  if (request.headers.has("upgrade"))
    throw new Fault("invalid_input", "Connections to services cannot be upgraded: WebSockets are not passed on", {
      hint: "Ask by plain HTTP; answers may be streams.",
    });
  const { pathname } = new URL(request.url);
  const [, name = "", rest = ""] = /^\/svc\/([^/]+)(\/.*)?$/s.exec(pathname) ?? [];
  if (DECLARED_NAME.test(name)) return { name, rest };
  throw new Fault("not_found", `${pathname.slice(0, 100)} names no service`, { hint: "Ask for /svc/NAME/." });
}

async function bodyOf(request: Request, hold: BodyHold): Promise<Uint8Array | undefined> {
  if (request.method === "GET" || request.method === "HEAD" || request.body === null) return undefined;
  return readBytes(request, hold, hold.maxBytes);
}

/** Says how the caller reached the fleet. */
function sayWay(headers: Headers, { host, scheme, name }: { host: string; scheme: string; name: string }): void {
  if (host !== "") headers.set("x-forwarded-host", host);
  if (scheme !== "") headers.set("x-forwarded-proto", scheme);
  headers.set("x-forwarded-prefix", `/svc/${name}`);
}

/** Says who calls, as the tailnet proves it, in the headers of `tailscale serve` and those of Cairn. */
function sayCaller(headers: Headers, caller: Caller): void {
  headers.set("cairn-caller", encoded(callerName(caller)));
  if (caller.login !== "") headers.set("tailscale-user-login", encoded(caller.login));
  if (caller.tags.length > 0) headers.set("cairn-caller-tags", encoded(caller.tags.join(",")));
}

/** Returns a text for a header: RFC 2047 where it is not ASCII. */
function encoded(text: string): string {
  return /^[ -~]*$/.test(text) ? text : `=?utf-8?b?${Buffer.from(text, "utf8").toString("base64")}?=`;
}

function notReady(name: string, why: string): Fault {
  return new Fault("unavailable", `The service ${name} does not answer: ${why}`, {
    hint: "Try again in a moment; service_get says how it is.",
    details: { retryAfterSeconds: 2 },
  });
}
