// /svc/NAME/… on full members: passes HTTP and WebSockets to wherever the service runs. The caller is judged here,
// and again by the member that runs it, which says to the service who it is.

import { asReader, type Caller, callerName } from "../../access/caller.ts";
import { Fault } from "../../lib/fault.ts";
import { reasonOf } from "../../lib/reason-of.ts";
import type { BodyHold } from "../../lib/request-body.ts";
import type { Call } from "../../operation/call.ts";
import { DECLARATIONS } from "../../operation/declared-kind.ts";
import { CALL_AS, FULL_MEMBERS, HOLD_STREAM } from "../../operation/node-parts.ts";
import { capOf } from "../../operation/routing.ts";
import type { PassedBy, PathCall, PathServer, ServedRoute } from "../../operation/served-route.ts";
import type { Services } from "../../operation/services.ts";
import { SERVICE } from "./declared.ts";
import { requestHeaders } from "./http-headers.ts";
import { fetchLoopback, socketLoopback } from "./loopback.ts";
import { serviceOpen } from "./open.ts";
import { OpenRequests, type RequestBounds } from "./open-requests.ts";
import { SERVICE_WORKER } from "./parts.ts";
import {
  CALLER_HEADER,
  HOLDER_HEADER,
  HOST_HEADER,
  passedHeaders,
  READ_ONLY_HEADER,
  SCHEME_HEADER,
} from "./passed-headers.ts";
import {
  ANSWER_MS,
  type Asked,
  answered,
  askedOf,
  bodyOf,
  LATE,
  MESSAGE_BYTES,
  type Socket,
  socketOf,
  withoutSlash,
} from "./requests.ts";
import { DEFAULT_SPACE } from "./rows.ts";
import { RELAY_TIMING, type RelayTiming, relayed, type SocketRelayOptions } from "./socket-relay.ts";

/** What is served. */
export const SERVICE_ROUTE: ServedRoute = {
  methods: ["GET", "POST", "PUT", "PATCH", "DELETE"],
  path: "/svc/",
  summary: "`/svc/NAME/…` leads to the service, wherever it runs, by HTTP and WebSockets",
  right: "the role `member` in the space of the service",
};

/** A socket whose caller was judged. */
interface Judged {
  caller: Caller;
  /** The member that it goes to or comes from; "": neither. */
  member: string;
  judge: SocketRelayOptions["judge"];
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
    if (asked.rest === "") return withoutSlash(request, asked);
    const members = this.#node.get(FULL_MEMBERS);
    const { signal, method } = request;
    if (node === members.self()) {
      const headers = requestHeaders(request.headers);
      sayWay(headers, { host: url.host, scheme, name: asked.name });
      if (socket !== undefined) {
        const judge = async (ends: AbortSignal) => (await find(ends)).node === node;
        return this.#relayHere(socket, request, asked, { caller, headers, member: "", judge });
      }
      const ask = () => this.#ask(request, asked, { caller, headers, hold });
      return this.#requests.during({ caller, member: "", signal }, ask);
    }
    const headers = passedHeaders(request, { caller, scheme });
    const path = `/svc/${asked.name}${asked.rest}${url.search}`;
    if (socket !== undefined) {
      const ends = { headers, signal, timeoutMs: ANSWER_MS };
      const dial = () =>
        members.openSocket(node, path, { ...ends, protocols: socket.protocols, maxBytes: MESSAGE_BYTES });
      const judge = async (ends: AbortSignal) => (await find(ends)).node === node;
      const release = this.#requests.hold({ caller, member: node });
      return relayed(socket, { dial, judge, release, timing: this.#timing });
    }
    return this.#requests.during({ caller, member: node, signal }, async () => {
      const body = await bodyOf(request, hold);
      return answered(await members.open(node, path, { method, headers, body, signal, timeoutMs: ANSWER_MS }));
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
      const { node: holder } = await this.#open(asked.name, { caller, signal: ends, surface: "peer", forwarded });
      return { caller, holder };
    };
    const { caller, holder } = await find(signal);
    // An edge does not know where it is, and asks there itself: the member that has it must know whose caller it is.
    if (member.role === "edge" && holder !== this.#node.get(FULL_MEMBERS).self())
      return new Response(null, { status: 421, headers: { [HOLDER_HEADER]: holder } });
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
  async #relayHere(
    socket: Socket,
    request: Request,
    { name, rest }: Asked,
    { headers, caller, member, judge }: Judged & { headers: Headers },
  ): Promise<Response> {
    sayCaller(headers, caller);
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
    const release = this.#requests.hold({ caller, member });
    return relayed(socket, { dial, judge, release, timing: this.#timing });
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
      return answered(await fetchLoopback(target.port, `${rest}${new URL(request.url).search}`, sent));
    } catch (cause) {
      request.signal.throwIfAborted();
      const why = late.signal.aborted ? LATE : reasonOf(cause);
      throw notReady(name, why);
    } finally {
      clearTimeout(timer);
    }
  }
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
