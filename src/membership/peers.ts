// This node among the others of its fleet: what they ask comes in by `server`, what it asks goes out by `call`. The tailnet that both need comes later than the product does.

import type { Caller } from "../access/caller.ts";
import { Fault } from "../lib/fault.ts";
import { PEER_PORT, type PeerCallOptions, PeerLink, type PeerTarget } from "../peer/link.ts";
import { type PeerMember, PeerServer } from "../peer/server.ts";
import type { Tailnet } from "../tailnet/index.ts";

/** Where the others of a node listen for each other. */
export { PEER_PORT };

export interface PeersOptions {
  /** The member that a device is, by the membership in the log. */
  members: (node: string) => PeerMember | undefined;
  /** Whether that is known yet. */
  ready: () => boolean;
  /** Id of the fleet that this node is of. */
  fleet?: () => string;
  /** Logs what is no Fault; answers its id. */
  onUnexpected: (error: unknown, path: string) => string;
}

/** Turns the text of a caller header into the caller that the gate judges. */
export interface CallerReader {
  of(wire: string): Caller | Promise<Caller>;
}

/** What the peers need of the tailnet. */
export interface Connected {
  tailnet: Tailnet;
  callers: CallerReader;
  /** Path of egress.sock. */
  egress: string;
  /** The secret that egress.sock requires. */
  secret: string;
}

/** The peers' surface of a node: what it serves to other members, and its way to them once `connect`ed. */
export class Peers {
  /** Answers what others ask; features register their paths. */
  readonly server: PeerServer;
  #connected: (Connected & { link: PeerLink }) | undefined;

  constructor(options: PeersOptions) {
    this.server = new PeerServer(options);
  }

  /** The tailnet is there: from now on others can be asked, once it runs. */
  connect(connected: Connected): void {
    const { tailnet, egress, secret } = connected;
    const link = new PeerLink({ directory: tailnet, egress, secret });
    tailnet.on("netmap", () => link.refresh());
    this.#connected = { ...connected, link };
  }

  /** Asks a path of a peer; ends as `PeerLink.call` does. */
  async call(target: PeerTarget, path: string, value: unknown, options: PeerCallOptions): Promise<unknown> {
    if (this.#connected !== undefined) return this.#connected.link.call(target, path, value, options);
    throw new Fault("unavailable", "This node is on no tailnet yet", {
      hint: "Wait until it has joined; `cairn status` says what it waits for.",
      facts: { outcome: "not_sent" },
      details: { retryAfterSeconds: 1 },
    });
  }

  /** The caller that a StableNodeID is in this node's own network map; undefined where it sees none that it would let in. Fault `unavailable` while that is not known. */
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
