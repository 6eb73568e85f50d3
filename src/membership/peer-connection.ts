// This node's connection to the other nodes of its fleet. It exists before the tailnet does and refuses every call
// until `connect`. What other nodes ask of this one is served by peer/server.ts.

import type { Caller } from "../access/caller.ts";
import type { DialedSocket } from "../lib/dialed-socket.ts";
import { Fault } from "../lib/fault.ts";
import {
  type PassedRequest,
  type PassedSocket,
  type PeerCallOptions,
  PeerLink,
  type PeerTarget,
} from "../peer/link.ts";
import type { Tailnet } from "../tailnet/index.ts";

/** Turns the text of a caller header into the caller that the gate judges. */
export interface CallerReader {
  of(wire: string): Caller | Promise<Caller>;
}

/** What the connection needs of the tailnet. */
export interface Connected {
  tailnet: Tailnet;
  callers: CallerReader;
  /** Path of egress.sock. */
  egress: string;
  /** The secret that egress.sock requires. */
  secret: string;
}

/** Calls other nodes, and looks up who a device is. */
export class PeerConnection {
  #connected: (Connected & { link: PeerLink }) | undefined;

  /** Attaches the tailnet, once. Calls succeed as soon as it runs. */
  connect(connected: Connected): void {
    const { tailnet, egress, secret } = connected;
    const link = new PeerLink({ directory: tailnet, egress, secret });
    tailnet.on("netmap", () => link.refresh());
    this.#connected = { ...connected, link };
  }

  /** Calls a path of a peer; ends as `PeerLink.call` does. Before `connect`: Fault `unavailable`, not sent. */
  async call(target: PeerTarget, path: string, value: unknown, options: PeerCallOptions): Promise<unknown> {
    return this.#link().call(target, path, value, options);
  }

  /** Passes a request on to a peer; ends as `PeerLink.open` does, and before `connect` as `call`. */
  async open(target: PeerTarget, path: string, request: PassedRequest): Promise<Response> {
    return this.#link().open(target, path, request);
  }

  /** The same for a WebSocket, as `PeerLink.openSocket` does. */
  async openSocket(target: PeerTarget, path: string, request: PassedSocket): Promise<DialedSocket | Response> {
    return this.#link().openSocket(target, path, request);
  }

  #link(): PeerLink {
    if (this.#connected !== undefined) return this.#connected.link;
    throw new Fault("unavailable", "This node is on no tailnet yet", {
      hint: "Wait until it has joined; `cairn status` says what it waits for.",
      facts: { outcome: "not_sent" },
      details: { retryAfterSeconds: 1 },
    });
  }

  /**
   * Returns the caller that a StableNodeID is in this node's own network map; undefined where the map has no such
   * device that would be let in, and before `connect`. Fault `unavailable` while the map cannot be read.
   */
  async callerOf(id: string): Promise<Caller | undefined> {
    if (this.#connected === undefined) return undefined;
    const { tailnet, callers } = this.#connected;
    const found = await tailnet.caller(id).catch((error: unknown) => {
      if (error instanceof Fault && error.code === "not_found") return undefined;
      throw error;
    });
    return found === undefined ? undefined : callers.of(JSON.stringify(found));
  }
}
