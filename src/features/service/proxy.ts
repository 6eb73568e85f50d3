// /svc/NAME/… on every full member: passes HTTP and WebSockets to wherever the service runs. The caller is judged here,
// and again by the member that runs it, which says to the service who it is.

import { asReader, type Caller, callerName } from "../../access/caller.ts";
import type { DialedSocket } from "../../lib/dialed-socket.ts";
import { Fault } from "../../lib/fault.ts";
import { reasonOf } from "../../lib/reason-of.ts";
import { type BodyHold, readBytes } from "../../lib/request-body.ts";
import { UPGRADED, type Upgrade } from "../../lib/socket.ts";
import type { Call } from "../../operation/call.ts";
import { DECLARATIONS, DECLARED_NAME } from "../../operation/declared-kind.ts";
import { CALL_AS, FULL_MEMBERS, HOLD_STREAM } from "../../operation/node-parts.ts";
import { capOf } from "../../operation/routing.ts";
import type { PassedBy, PathCall, PathServer, ServedRoute } from "../../operation/served-route.ts";
import type { Services } from "../../operation/services.ts";
import { SERVICE } from "./declared.ts";
import { answerHeaders, requestHeaders } from "./http-headers.ts";
import { fetchLoopback, socketLoopback } from "./loopback.ts";
import { serviceOpen } from "./open.ts";
import { OpenRequests, type RequestBounds } from "./open-requests.ts";
import { SERVICE_WORKER } from "./parts.ts";
import { DEFAULT_SPACE } from "./rows.ts";
import { RELAY_TIMING, type RelayTiming, SocketRelay, type SocketRelayOptions } from "./socket-relay.ts";

/** Time until the head of an answer of a service, in ms. */
const ANSWER_MS = 60_000;
const LATE = `it did not answer within ${ANSWER_MS / 1000} s`;
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
  summary: "`/svc/NAME/…` leads to the service, wherever it runs, by HTTP and WebSockets",
  right: "the role `member` in the space of the service",
};

/** Largest message of a WebSocket in bytes, as the listener takes it. */
const MESSAGE_BYTES = 2 * 1024 * 1024;

/** A handshake. */
interface Socket {
  upgrade: Upgrade;
  /** Subprotocols that the caller offers, as the header has them; "": none. */
  protocols: string;
}

/** A socket whose caller was judged. */
interface Judged {
  caller: Caller;
  /** The member that it goes to or comes from; "": neither. */
  member: string;
  judge: SocketRelayOptions["judge"];
}

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
  readonly #timing: RelayTiming;

  constructor(node: Services, bounds: Partial<RequestBounds> = {}, timing: Partial<RelayTiming> = {}) {
    this.#node = node;
    this.#timing = { ...RELAY_TIMING, ...timing };
    this.#requests = new OpenRequests((caller) => node.get(HOLD_STREAM)(caller), bounds);
  }

  /** Requests that are open. */
  get open(): number {
    return this.#requests.size;
  }

  async fetch(request: Request, { caller, scheme, hold, upgrade }: PathCall): Promise<Response> {
    const asked = askedOf(request);
    const socket = socketOf(request, upgrade);
    const find = (ends: AbortSignal) => this.#open(asked.name, { caller, signal: ends, surface: "rest" });
    const { node } = await find(request.signal);
    const url = new URL(request.url);
    if (asked.rest === "") return Response.redirect(`/svc/${asked.name}/${url.search}`, 308);
    const headers = requestHeaders(request.headers);
    const members = this.#node.get(FULL_MEMBERS);
    const { signal, method } = request;
    if (node === members.self()) {
      sayWay(headers, { host: url.host, scheme, name: asked.name });
      if (socket !== undefined) {
        const judge = async (ends: AbortSignal) => (await find(ends)).node === node;
        return this.#relayHere(socket, request, asked, { caller, headers, member: "", judge });
      }
      const ask = () => this.#ask(request, asked, { caller, headers, hold });
      return this.#requests.during({ caller, member: "", signal }, ask);
    }
    headers.set(CALLER_HEADER, caller.id);
    headers.set(HOST_HEADER, url.host);
    headers.set(SCHEME_HEADER, scheme);
    if (caller.readOnly === true) headers.set(READ_ONLY_HEADER, "1");
    const path = `/svc/${asked.name}${asked.rest}${url.search}`;
    if (socket !== undefined) {
      const ends = { headers, signal, timeoutMs: ANSWER_MS };
      const dial = () =>
        members.openSocket(node, path, { ...ends, protocols: socket.protocols, maxBytes: MESSAGE_BYTES });
      const judge = async (ends: AbortSignal) => (await find(ends)).node === node;
      return this.#relay(socket, { caller, member: node, dial, judge });
    }
    return this.#requests.during({ caller, member: node, signal }, async () => {
      const body = await bodyOf(request, hold);
      const answer = await members.open(node, path, { method, headers, body, signal, timeoutMs: ANSWER_MS });
      return new Response(answer.body, { status: answer.status, headers: answerHeaders(answer.headers) });
    });
  }

  async fetchPassed(request: Request, { node, member, hold, upgrade, stays }: PassedBy): Promise<Response> {
    const asked = askedOf(request);
    const socket = socketOf(request, upgrade);
    const { signal, headers: given } = request;
    const id = given.get(CALLER_HEADER) ?? "";
    const isReader = given.get(READ_ONLY_HEADER) !== null;
    const find = async (ends: AbortSignal) => {
      const found = await this.#node.get(FULL_MEMBERS).callerOf(id, node, ends);
      const caller = isReader ? asReader(found) : found;
      const forwarded = { via: node, ...capOf(member) };
      await this.#open(asked.name, { caller, signal: ends, surface: "peer", forwarded });
      return caller;
    };
    const caller = await find(signal);
    const headers = requestHeaders(given);
    // An older member says nothing of the way.
    const host = given.get(HOST_HEADER) ?? "";
    sayWay(headers, { host, scheme: given.get(SCHEME_HEADER) ?? "", name: asked.name });
    if (socket !== undefined) {
      const judge = async (ends: AbortSignal) => {
        await find(ends);
        return stays() && this.#node.get(SERVICE_WORKER).target(asked.name) !== undefined;
      };
      return this.#relayHere(socket, request, asked, { caller, headers, member: node, judge });
    }
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

  /** Opens a socket to the service that runs on this member. */
  #relayHere(
    socket: Socket,
    request: Request,
    { name, rest }: Asked,
    { headers, ...judged }: Judged & { headers: Headers },
  ): Promise<Response> {
    sayCaller(headers, judged.caller);
    const dial = async () => {
      const target = this.#node.get(SERVICE_WORKER).target(name);
      if (target === undefined) throw notReady(name, "it has just ended there");
      const late = new AbortController();
      const timer = setTimeout(() => late.abort(), ANSWER_MS);
      const signal = AbortSignal.any([request.signal, late.signal]);
      const path = `${rest}${new URL(request.url).search}`;
      try {
        const sent = { path, headers, protocols: socket.protocols, maxBytes: MESSAGE_BYTES, signal };
        return await socketLoopback(target.port, sent);
      } catch (cause) {
        request.signal.throwIfAborted();
        throw notReady(name, late.signal.aborted ? LATE : reasonOf(cause));
      } finally {
        clearTimeout(timer);
      }
    };
    return this.#relay(socket, { ...judged, dial });
  }

  async #relay(
    { upgrade, protocols }: Socket,
    { caller, member, judge, dial }: Judged & { dial: () => Promise<DialedSocket | Response> },
  ): Promise<Response> {
    const release = this.#requests.hold({ caller, member });
    try {
      const far = await dial();
      if (far instanceof Response) {
        release();
        return new Response(far.body, { status: far.status, headers: answerHeaders(far.headers) });
      }
      const relay = new SocketRelay({ far, judge, onGone: release, timing: this.#timing });
      const isOffered = protocols.split(",").some((each) => each.trim() === far.protocol);
      if (upgrade(relay, isOffered ? far.protocol : "")) return UPGRADED;
      relay.closed(1006, "");
      throw notUpgraded();
    } catch (error) {
      release();
      throw error;
    }
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
      const why = late.signal.aborted ? LATE : reasonOf(cause);
      throw notReady(name, why);
    } finally {
      clearTimeout(timer);
    }
  }
}

/** Returns what a request asks for. Throws Faults. */
function askedOf(request: Request): Asked {
  const { pathname } = new URL(request.url);
  const [, name = "", rest = ""] = /^\/svc\/([^/]+)(\/.*)?$/s.exec(pathname) ?? [];
  if (DECLARED_NAME.test(name)) return { name, rest };
  throw new Fault("not_found", `${pathname.slice(0, 100)} names no service`, { hint: "Ask for /svc/NAME/." });
}

/** Returns how a request becomes a WebSocket; undefined where it asks for none. Throws Fault `invalid_input`. */
function socketOf({ method, headers }: Request, upgrade: Upgrade | undefined): Socket | undefined {
  const wanted = headers.get("upgrade");
  if (wanted === null) return undefined;
  const isSocket =
    wanted.toLowerCase() === "websocket" && method === "GET" && headers.get("sec-websocket-key") !== null;
  if (upgrade !== undefined && isSocket && headers.get("sec-websocket-version") === "13")
    return { upgrade, protocols: headers.get("sec-websocket-protocol") ?? "" };
  throw notUpgraded();
}

function notUpgraded(): Fault {
  return new Fault("invalid_input", "Connections to services become WebSockets and nothing else", {
    hint: "Use a WebSocket client of RFC 6455, version 13, or ask by plain HTTP.",
    details: { field: "upgrade" },
  });
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
