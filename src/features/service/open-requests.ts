// Requests to services that are open at the same time, until the end of their answers: they count among the streams of
// their caller, and are bounded for each caller and in all on the way between two members, and for the node.

import { type Caller, callerName } from "../../access/caller.ts";
import { counted } from "../../lib/counted.ts";
import { Fault } from "../../lib/fault.ts";
import { Outlet } from "../../lib/outlet.ts";
import { Slots } from "../../lib/slots.ts";

/** Bounds. The way between two members carries the log too. */
export interface RequestBounds {
  /** Of all callers, on this node. */
  ofNode: number;
  /** Of all callers, to or from one other member. */
  ofMember: number;
  /** The same of one caller. */
  ofCaller: number;
  /** WebSockets of all callers, on this node: each holds a connection for as long as it is open. */
  sockets: number;
}

const BOUNDS: RequestBounds = { ofNode: 2048, ofMember: 256, ofCaller: 64, sockets: 256 };
const RETRY_SECONDS = 2;

/** Counts open requests. */
export class OpenRequests {
  readonly #slots = new Slots();
  readonly #bounds: RequestBounds;
  readonly #holdStream: (caller: Caller) => () => void;

  /** `holdStream` counts a stream of a caller until the function that it returns is called. */
  constructor(holdStream: (caller: Caller) => () => void, bounds: Partial<RequestBounds> = {}) {
    this.#holdStream = holdStream;
    this.#bounds = { ...BOUNDS, ...bounds };
  }

  /** Requests that are open, WebSockets among them. */
  get size(): number {
    return this.#slots.held("node");
  }

  /**
   * Counts a request until its answer has ended or its caller is gone. `member`: the one that it goes to or comes from;
   * "": neither. Rejects with Fault `rate_limited` or `unavailable`.
   */
  async during(
    { caller, member, signal }: { caller: Caller; member: string; signal: AbortSignal },
    answer: () => Promise<Response>,
  ): Promise<Response> {
    const release = this.#take(caller, member);
    try {
      const given = await answer();
      return held(given, signal, release);
    } catch (error) {
      release();
      throw error;
    }
  }

  /** Counts a WebSocket until the returned function is called. Throws as `during` rejects. */
  hold({ caller, member }: { caller: Caller; member: string }): () => void {
    const { sockets } = this.#bounds;
    const free = this.#slots.take("sockets", sockets);
    if (free === undefined) throw full(`${counted(sockets, "WebSocket")} to services are open on this node`);
    try {
      const release = this.#take(caller, member);
      return () => {
        free();
        release();
      };
    } catch (error) {
      free();
      throw error;
    }
  }

  #take(caller: Caller, member: string): () => void {
    const taken: (() => void)[] = [];
    const release = () => {
      for (const free of taken.splice(0)) free();
    };
    const take = (key: string, max: number): boolean => {
      const free = this.#slots.take(key, max);
      if (free !== undefined) taken.push(free);
      return free !== undefined;
    };
    try {
      taken.push(this.#holdStream(caller));
      const { ofNode, ofMember, ofCaller } = this.#bounds;
      if (!take("node", ofNode)) throw full(`${counted(ofNode, "request")} to services are open on this node`);
      if (member === "") return release;
      const name = callerName(caller);
      if (!take(`of ${member} ${name}`, ofCaller)) throw tooMany(`${name} has ${counted(ofCaller, "request")} open`);
      if (!take(`of ${member}`, ofMember)) throw full(`${counted(ofMember, "request")} to or from one member are open`);
      return release;
    } catch (error) {
      release();
      throw error;
    }
  }
}

/** Returns an answer that releases what it holds once its body has ended, from either side. */
function held(answer: Response, signal: AbortSignal, release: () => void): Response {
  if (answer.body === null) {
    release();
    return answer;
  }
  const reader = answer.body.getReader();
  const next = async (): Promise<void> => {
    try {
      const { done, value } = await reader.read();
      if (done) outlet.close();
      else outlet.write(value);
    } catch (error) {
      outlet.cut(error);
    }
  };
  const outlet: Outlet = new Outlet({
    onIdle: () => void next(),
    onEnd: (reason) => {
      signal.removeEventListener("abort", gone);
      release();
      reader.cancel(reason).catch(() => {});
    },
  });
  const gone = () => outlet.cut(signal.reason);
  if (signal.aborted) gone();
  else signal.addEventListener("abort", gone, { once: true });
  return new Response(outlet.body, { status: answer.status, headers: answer.headers });
}

function tooMany(what: string): Fault {
  return new Fault("rate_limited", `${what} to services on one other member`, {
    hint: "Wait for their answers, or ask the member that has the service: `cairn service get NAME` shows it.",
    details: { retryAfterSeconds: RETRY_SECONDS },
  });
}

function full(what: string): Fault {
  return new Fault("unavailable", `${what}, and no more are taken`, {
    hint: "Try again in a moment, or ask the member that has the service: `cairn service get NAME` shows it.",
    details: { retryAfterSeconds: RETRY_SECONDS },
  });
}
