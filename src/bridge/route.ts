// Which node is asked: the interface between the calls and the choice of a node, and the route to a single node.
// The route to a fleet is fleet-route.ts.

import { Fault } from "../lib/fault.ts";
import { type AddressSource, type BridgeAddress, nameOf, type Send, send } from "./endpoint.ts";
import { NotSentError } from "./errors.ts";
import { jsonRpcErrorOf } from "./json-rpc.ts";
import type { ToolList } from "./tool-list.ts";

/** A node that a route has chosen, until it is found dead. */
export interface Member {
  /** Its address as people write it. */
  readonly name: string;
  /** Aborts when the member is found dead: pending calls are then sent to another one. */
  readonly gone: AbortSignal;
  /** Who the bridge is to this node; "" where it was not asked. Idempotency keys belong to a caller. */
  readonly caller: string;
  /** Its tools, where they are known: only then calls are made repeatable. */
  readonly tools: ToolList | undefined;
  /** A position that the agent has seen and this member had not reached when it was chosen: reads must ask for it. */
  readonly behind: string | undefined;
  readonly send: Send;
  /** Returns its position now, as `<epoch>-<seq>`; undefined where it does not say. */
  position(signal: AbortSignal): Promise<string | undefined>;
}

/** A change from one member to another. */
export interface Switch {
  to: Member;
  /** Whether the new member offers other tools than the one before. */
  toolsChanged: boolean;
}

/**
 * How a member failed: `gone` it does not respond, `busy` it cannot serve calls now, `refused` it refuses this caller.
 */
export type FailureKind = "gone" | "busy" | "refused";

/** Chooses the node for each call, and another one when that node fails. */
export interface Route {
  /** Whether there may be other nodes to ask: then calls are made repeatable and are repeated. */
  readonly hasSeveral: boolean;
  /** How long a call that gets no response is retried, in ms. */
  readonly retryForMs: number;
  /**
   * Returns the member to ask. Waits up to `retryForMs` while none is live. Rejects with JsonRpcError or the signal's
   * reason.
   */
  member(signal: AbortSignal): Promise<Member>;
  /** Reports a failure of a member. */
  failed(member: Member, kind: FailureKind, why: string): void;
  /** Reports that a response of this member is awaited, until the returned function is called. */
  awaitResponse(member: Member): () => void;
  /** Records a position that a response named: members that have not reached it are not asked. */
  sawPosition(position: string): void;
  onSwitch(listener: (change: Switch) => void): void;
  close(): void;
}

/** A node that restarts is waited for this long before a call fails. */
const RECONNECT_MS = 3000;

/** While a response is awaited, it is checked this often whether one can come at all. */
const BLOCKED_CHECK_MS = 1000;

/** The route to one node, whose address is looked up for each request: it may start, or move, after the bridge. */
export class SingleNodeRoute implements Route {
  readonly hasSeveral = false;
  readonly retryForMs = RECONNECT_MS;
  readonly #address: AddressSource;
  readonly #blocked: (() => Fault | undefined) | undefined;
  #current: { member: Member; end: AbortController };

  /**
   * `blocked` returns why the node cannot be reached at all, such as a tailnet that does not take the bridge: calls
   * that wait then end at once, while connections there would stay silent.
   */
  constructor(address: AddressSource, blocked?: () => Fault | undefined) {
    this.#address = address;
    this.#blocked = blocked;
    this.#current = this.#open();
  }

  async member(): Promise<Member> {
    return this.#current.member;
  }

  failed(): void {}

  awaitResponse(member: Member): () => void {
    const { end, member: current } = this.#current;
    if (this.#blocked === undefined || member !== current) return () => {};
    const check = () => {
      const fault = this.#blocked?.();
      if (fault === undefined) return;
      if (this.#current.end === end) this.#current = this.#open();
      end.abort(fault.message);
    };
    const timer = setInterval(check, BLOCKED_CHECK_MS);
    return () => clearInterval(timer);
  }

  sawPosition(): void {}

  onSwitch(): void {}

  close(): void {}

  #open(): { member: Member; end: AbortController } {
    const end = new AbortController();
    let name = "its socket";
    const member: Member = {
      get name() {
        return name;
      },
      gone: end.signal,
      caller: "",
      tools: undefined,
      behind: undefined,
      send: async (path, options) => {
        const found = await resolveAddress(this.#address);
        name = nameOf(found);
        return send(found, path, options);
      },
      position: async () => undefined,
    };
    return { member, end };
  }
}

/** Returns the address now. Rejects with NotSentError where there may be one soon, else with JsonRpcError. */
export async function resolveAddress(address: AddressSource): Promise<BridgeAddress> {
  try {
    return await address();
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    if (error.code === "not_running") throw new NotSentError(error.message, true);
    throw jsonRpcErrorOf(error);
  }
}
