// /svc/NAME/… on an edge: it runs nothing and does not know what runs where, so it asks the member that it follows,
// which names the one that has the service. Whoever answers judges the caller, as with every forward of an edge.

import { Fault } from "../../lib/fault.ts";
import { ACCESS, FULL_MEMBERS, HOLD_STREAM } from "../../operation/node-parts.ts";
import { notReady } from "../../operation/routing-faults.ts";
import type { PathCall, PathServer } from "../../operation/served-route.ts";
import type { Services } from "../../operation/services.ts";
import { OpenRequests } from "./open-requests.ts";
import { HOLDER_HEADER, passedHeaders } from "./passed-headers.ts";
import { ANSWER_MS, type Asked, answered, askedOf, bodyOf, MESSAGE_BYTES, socketOf, withoutSlash } from "./requests.ts";
import { RELAY_TIMING, relayed } from "./socket-relay.ts";

/** Services whose member is remembered. */
const MAX_KNOWN = 256;

/** Passes requests on. */
export class EdgeServiceProxy implements Pick<PathServer, "fetch"> {
  readonly #node: Services;
  readonly #requests: OpenRequests;
  /** Which member had a service last, by its name. */
  readonly #known = new Map<string, string>();

  constructor(node: Services) {
    this.#node = node;
    this.#requests = new OpenRequests((caller) => node.get(HOLD_STREAM)(caller));
  }

  async fetch(request: Request, { caller, scheme, hold, upgrade }: PathCall): Promise<Response> {
    const asked = askedOf(request);
    const socket = socketOf(request, upgrade);
    const judge = async (): Promise<boolean> => {
      if (this.#node.get(ACCESS).rights(caller).permitsAnything()) return true;
      throw new Fault("forbidden", "You have no rights on this node", { hint: "whoami says who you are here." });
    };
    await judge();
    if (asked.rest === "") return withoutSlash(request, asked);
    const url = new URL(request.url);
    const headers = passedHeaders(request, { caller, scheme });
    const path = `/svc/${asked.name}${asked.rest}${url.search}`;
    const { signal, method } = request;
    const members = this.#node.get(FULL_MEMBERS);
    const sent = { headers, signal, timeoutMs: ANSWER_MS };
    if (socket !== undefined) {
      const { protocols } = socket;
      const dial = () =>
        this.#ask(asked, (node) => members.openSocket(node, path, { ...sent, protocols, maxBytes: MESSAGE_BYTES }));
      const release = this.#requests.hold({ caller, member: "edge" });
      return relayed(socket, { dial, judge, release, timing: RELAY_TIMING });
    }
    return this.#requests.during({ caller, member: "edge", signal }, async () => {
      const body = await bodyOf(request, hold);
      return answered(await this.#ask(asked, (node) => members.open(node, path, { ...sent, method, body })));
    });
  }

  /** Asks the member that had it last, or the one that is followed; then the one that this names. */
  async #ask<Opened>({ name }: Asked, open: (node: string) => Promise<Opened | Response>): Promise<Opened | Response> {
    const followed = this.#node.get(FULL_MEMBERS).followed();
    const known = this.#known.get(name);
    this.#known.delete(name);
    const first = known ?? followed;
    if (first === undefined) throw notReady();
    const answer = await open(first).catch((error: unknown) => {
      // The member that had it may be away: another one says where it is.
      const isSent = !(error instanceof Fault) || error.facts.outcome !== "not_sent";
      if (isSent || followed === undefined || followed === first) throw error;
      return open(followed);
    });
    const holder = answer instanceof Response ? answer.headers.get(HOLDER_HEADER) : null;
    if (holder === null) {
      this.#remember(name, first);
      return answer;
    }
    const second = await open(holder);
    if (second instanceof Response && second.headers.has(HOLDER_HEADER))
      throw new Fault("unavailable", `The service ${name} moves from one member to another`, {
        hint: "Try again in a moment; service_get says how it is.",
        details: { retryAfterSeconds: 2 },
      });
    this.#remember(name, holder);
    return second;
  }

  #remember(name: string, node: string): void {
    this.#known.set(name, node);
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= MAX_KNOWN) break;
      this.#known.delete(oldest);
    }
  }
}
