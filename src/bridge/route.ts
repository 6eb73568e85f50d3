// Which node is asked: the interface between what is carried and where it goes, and the route of one node that may come and go. A fleet's is fleet.ts.

import { Fault } from "../lib/fault.ts";
import { type BridgeAddress, type Init, NotSent, nameOf, send } from "./endpoint.ts";
import { LinkError, linkErrorOf } from "./message.ts";
import type { ToolFacts } from "./tools.ts";

/** A node as calls see it, from when it was picked until it is found dead. */
export interface Member {
  /** Its address for people. */
  readonly name: string;
  /** Aborts when it is found dead: what waits for its answers is asked elsewhere. */
  readonly gone: AbortSignal;
  /** Who the bridge is to this node: keys of repeated writes belong to a caller. "" where nobody asked. */
  readonly caller: string;
  /** Its tools, where they are known: only then a call is made repeatable. */
  readonly tools: ToolFacts | undefined;
  /** The position that it had not reached when it was picked; reads are to ask for it. */
  readonly behind: string | undefined;
  /** Rejects as `place.ts`'s `send` does. */
  send(path: string, init: Init): Promise<Response>;
  /** Where it stands now, as `<epoch>-<seq>`; undefined where it does not say. */
  position(signal: AbortSignal): Promise<string | undefined>;
}

/** What is different at the member that is used now. */
export interface Switch {
  to: Member;
  /** Its tools are others than before. */
  tools: boolean;
}

/** Sends a call to a node and may switch to another one when that node fails. */
export interface Route {
  /** Whether there may be another node to ask, so that calls are made repeatable and are repeated. */
  readonly several: boolean;
  /** How long a call that found no answer is tried again, in ms. */
  readonly patienceMs: number;
  /** The member to ask now; waits while none is live, at most `patienceMs`. Rejects with LinkError, or with the signal's reason. */
  member(signal: AbortSignal): Promise<Member>;
  /** What a member did: `gone` it does not answer, `busy` it answers that it cannot serve, `shut` it refuses this caller. */
  failed(member: Member, how: "gone" | "busy" | "shut", why: string): void;
  /** Says that an answer of this member is waited for, until the answered function is called. */
  hold(member: Member): () => void;
  /** Remembers the newest position that an answer named: a member that is behind it is not asked. */
  saw(position: string): void;
  onSwitch(listener: (change: Switch) => void): void;
  close(): void;
}

/** A node that restarts is waited for this long before a call fails. */
const CONNECT_MS = 3000;

/** The route to one node. `address` is asked for each request: the node may start, or move its socket, after the bridge. Its Fault says why there is none. */
export class OneRoute implements Route {
  readonly several = false;
  readonly patienceMs = CONNECT_MS;
  readonly #member: Member;

  constructor(address: () => BridgeAddress | Promise<BridgeAddress>) {
    let name = "its socket";
    this.#member = {
      get name() {
        return name;
      },
      gone: new AbortController().signal,
      caller: "",
      tools: undefined,
      behind: undefined,
      send: async (path, init) => {
        const found = await resolve(address);
        name = nameOf(found);
        return send(found, path, init);
      },
      position: async () => undefined,
    };
  }

  async member(): Promise<Member> {
    return this.#member;
  }

  failed(): void {}

  hold(): () => void {
    return () => {};
  }

  saw(): void {}

  onSwitch(): void {}

  close(): void {}
}

/** The address now. Rejects with NotSent where there may be one in a moment, with LinkError where there will be none. */
export async function resolve(address: () => BridgeAddress | Promise<BridgeAddress>): Promise<BridgeAddress> {
  try {
    return await address();
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    if (error.code === "not_running") throw new NotSent(error.message, true);
    throw linkErrorOf(error);
  }
}

/** Nobody answered. */
export function away(why: string): LinkError {
  return new LinkError(503, why, {
    code: "not_running",
    hint: "Start the node with `cairn serve` (from source: `npm start`), then try again.",
    retryable: true,
  });
}

/** The answer of a call that must not be made twice was lost. */
export function lost(member: Member, cause: Error): LinkError {
  return new LinkError(503, `The connection to the cairn node at ${member.name} broke (${cause.message})`, {
    code: "unavailable",
    hint: "The call may have been done. Read before you write again, or repeat it with the same idempotency_key.",
    retryable: true,
  });
}
