// What a node learns while it starts and while it runs: its tailnet, its local URL, whether it serves. Made first and
// handed to the parts that ask about it; each phase of a start attaches its result once. Every question has an answer
// before that.

import type { Caller } from "../access/caller.ts";
import type { Status, Tailnet } from "../tailnet/index.ts";
import { allUrls } from "./report/urls.ts";

/** The tailnet, and how its caller headers are read. */
export interface TailnetConnection {
  tailnet: Tailnet;
  callers: { of(wire: string): Caller | Promise<Caller> };
}

/** What the tailnet session knows (tailnet/tailnet-session.ts). */
export interface SessionState {
  status(): Status | undefined;
  loginUrl(): string | undefined;
}

/** The state of one start of a node. */
export class NodeState {
  /** When the start began, in ms of the wall clock. */
  readonly startedMs: number;
  #connection: TailnetConnection | undefined;
  #session: SessionState | undefined;
  #localUrl: string | null = null;
  #serving = false;
  #draining = false;

  constructor(startedMs: number) {
    this.startedMs = startedMs;
  }

  /** The Go half, or another tailnet, is loaded. Not in the conformance suite. */
  attachTailnet(connection: TailnetConnection): void {
    this.#connection = connection;
  }

  /** The node begins to join its tailnet. */
  attachSession(session: SessionState): void {
    this.#session = session;
  }

  /** A port on 127.0.0.1 is open, for development. */
  attachLocalUrl(url: string): void {
    this.#localUrl = url;
  }

  /** The node is reached: from its tailnet, or in the conformance suite by its port. */
  startServing(): void {
    this.#serving = true;
  }

  /** The node stops: new requests are refused from now on. */
  startDraining(): void {
    this.#draining = true;
  }

  get serving(): boolean {
    return this.#serving;
  }

  get draining(): boolean {
    return this.#draining;
  }

  /** Base URL on 127.0.0.1; null without one. */
  get localUrl(): string | null {
    return this.#localUrl;
  }

  /** Reports whether requests are accepted: the node serves and does not stop. */
  acceptsRequests(): boolean {
    return this.#serving && !this.#draining;
  }

  /** Returns the tailnet; undefined before it is loaded. */
  connection(): TailnetConnection | undefined {
    return this.#connection;
  }

  /** Returns the tailnet's newest state; undefined before it reported one. */
  status(): Status | undefined {
    return this.#session?.status();
  }

  /**
   * As `status`, where others can reach the node: the loopback engine has a name and an address too, and leads nowhere.
   */
  reachable(): Status | undefined {
    return this.#connection?.tailnet.kind === "loopback" ? undefined : this.status();
  }

  /** Returns the URL at which somebody has to log the node in, if there is one. */
  loginUrl(): string | undefined {
    return this.#session?.loginUrl();
  }

  /** Returns the base URLs that work now, the best one first. */
  urls(): string[] {
    return allUrls(this.#serving ? this.reachable() : undefined, this.#localUrl);
  }
}
