// The Tailnet over either Go engine: methods and events of native/PROTOCOL.md over a Channel. Starting and ending the
// Go half is the engine's (native.ts, sidecar.ts).

import { Fault } from "../lib/fault.ts";
import { reasonOf } from "../lib/reason-of.ts";
import { Channel, type Wire } from "./channel.ts";
import { Listeners } from "./listeners.ts";
import {
  type CallerWire,
  type ChannelEvent,
  type Peer,
  PROTOCOL_VERSION,
  type RaftState,
  type Status,
  type UpParams,
} from "./protocol.ts";
import type { RaftChange, RaftHost, RaftMember, RaftOpenParams } from "./raft-host.ts";
import type { ListenOptions, Tailnet, TailnetEvents, TailnetLog } from "./tailnet.ts";

/** Deadline of each kind of call, in ms. */
const DEADLINE_MS = {
  hello: 10_000,
  up: 60_000,
  login: 60_000,
  plain: 15_000,
  listen: 30_000,
  change: 45_000,
  close: 3_000,
};

export interface Started {
  wire: Wire;
  /** Ends the Go half for good, after its channel was closed. */
  destroy: () => Promise<void>;
}

/** Starts the carrier. It must call `receive` and `lost` for as long as it lives. */
export type Start = (to: { receive: (chunk: Uint8Array) => void; lost: (reason: string) => void }) => Promise<Started>;

export class GoHalf implements Tailnet, RaftHost {
  readonly kind: "library" | "sidecar";
  versions = { tailscale: "", go: "" };
  readonly #log: TailnetLog;
  readonly #listeners: Listeners;
  readonly #hello = Promise.withResolvers<void>();
  readonly #channel: Channel;
  #destroy: () => Promise<void> = async () => {};
  #fatal = false;
  #closing: Promise<void> | undefined;

  private constructor(kind: "library" | "sidecar", log: TailnetLog) {
    this.kind = kind;
    this.#log = log;
    this.#listeners = new Listeners(log);
    // The engine may lose its stream before anything awaits the greeting.
    this.#hello.promise.catch(() => {});
    this.#channel = new Channel({ log, onEvent: (event) => this.#take(event), onLost: (reason) => this.#lost(reason) });
  }

  /**
   * Starts the Go half and waits for its greeting. Fault `library_failed` if there is none, or if it speaks another
   * protocol.
   */
  static async open(kind: "library" | "sidecar", start: Start, log: TailnetLog): Promise<GoHalf> {
    const half = new GoHalf(kind, log);
    const channel = half.#channel;
    const { wire, destroy } = await start({
      receive: (chunk) => channel.receive(chunk),
      lost: (reason) => channel.lost(reason),
    });
    half.#destroy = destroy;
    channel.attach(wire);
    const late = greeting(kind, `no greeting within ${DEADLINE_MS.hello} ms`);
    const timer = setTimeout(() => half.#hello.reject(late), DEADLINE_MS.hello);
    try {
      await half.#hello.promise;
    } catch (error) {
      channel.end();
      await destroy();
      throw error;
    } finally {
      clearTimeout(timer);
    }
    return half;
  }

  async up(params: UpParams): Promise<void> {
    await this.#call("up", params, DEADLINE_MS.up);
  }
  async login(authKey?: string): Promise<void> {
    await this.#call("login", authKey === undefined ? {} : { authKey }, DEADLINE_MS.login);
  }
  async logout(): Promise<void> {
    await this.#call("logout", {});
  }
  status(): Promise<Status> {
    return this.#call("status", {});
  }
  async peers(): Promise<Peer[]> {
    return (await this.#call("peers", {})).peers;
  }
  async whois(addr: string): Promise<CallerWire> {
    return (await this.#call("whois", { addr })).caller;
  }
  async grants(hash: string): Promise<unknown[]> {
    return (await this.#call("grants", { hash })).grants;
  }
  async listen(port: number, { tls, to }: ListenOptions): Promise<void> {
    await this.#call("listen", { port, tls, ...to }, DEADLINE_MS.listen);
  }
  async caller(id: string): Promise<CallerWire> {
    return (await this.#call("caller", { id })).caller;
  }
  raftOpen(params: RaftOpenParams): Promise<{ server: string }> {
    return this.#call("raft-open", params);
  }
  async raftMembers(members: readonly RaftMember[]): Promise<void> {
    await this.#call("raft-members", { members });
  }
  raftState(): Promise<RaftState> {
    return this.#call("raft-state", {});
  }
  async raftChange(change: RaftChange): Promise<void> {
    await this.#call("raft-change", change, DEADLINE_MS.change);
  }
  async raftClose(): Promise<void> {
    await this.#call("raft-close", {});
  }
  ping(ip: string, timeoutMs: number) {
    // The Go half keeps the deadline of the ping; this one is for a Go half that hangs.
    return this.#call("ping", { ip, timeoutMs }, timeoutMs + 2_000);
  }
  cert() {
    return this.#call("cert", {});
  }
  serveConfig() {
    return this.#call("serve-config", {});
  }
  async drop(callers?: string[]): Promise<number> {
    return (await this.#call("drop", callers === undefined ? {} : { callers })).closed;
  }
  async notify(socket: string, state: string): Promise<void> {
    await this.#call("notify", { socket, state });
  }
  on<K extends keyof TailnetEvents>(event: K, listener: TailnetEvents[K]): () => void {
    return this.#listeners.on(event, listener);
  }
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    if (!this.#fatal) {
      await this.#call("close", {}, DEADLINE_MS.close).catch((error: unknown) => {
        this.#log("warning", `closing the tailnet node: ${reasonOf(error)}`);
      });
    }
    this.#channel.end();
    await this.#destroy();
  }

  #call<M extends Parameters<Channel["request"]>[0]>(method: M, params: object, timeoutMs = DEADLINE_MS.plain) {
    return this.#channel.request(method, params, timeoutMs);
  }

  #take({ event, body }: ChannelEvent): void {
    switch (event) {
      case "hello":
        this.versions = { tailscale: body.tailscale, go: body.go };
        if (body.protocol === PROTOCOL_VERSION) this.#hello.resolve();
        else
          this.#hello.reject(
            greeting(this.kind, `it speaks protocol ${body.protocol}, this file speaks ${PROTOCOL_VERSION}`),
          );
        break;
      case "state":
        this.#listeners.emit("state", body);
        break;
      case "login":
        this.#listeners.emit("login", body.url);
        break;
      case "auth-failed":
        this.#listeners.emit("authFailed", body.message);
        break;
      case "netmap":
        this.#listeners.emit("netmap", body.peers);
        break;
      case "revoked":
        this.#listeners.emit("revoked", body.callers, body.connections);
        break;
      case "log":
        this.#log(body.level, body.message);
        break;
      case "fatal":
        this.#fail(body.message);
        break;
    }
  }

  #lost(reason: string): void {
    this.#hello.reject(greeting(this.kind, reason));
    if (this.#closing === undefined) this.#fail(reason);
  }

  /** Fires `fatal` once, whether the Go half reports it first or its stream ends. */
  #fail(message: string): void {
    if (this.#fatal) return;
    this.#fatal = true;
    this.#listeners.emit("fatal", message);
    // After the listeners, so that they get the first reason; waiting calls reject with it too.
    this.#channel.lost(message);
  }
}

function greeting(kind: string, reason: string): Fault {
  const hint = "Start again; if it stays, the executable is damaged: replace it by a fresh copy.";
  return new Fault("library_failed", `the tailnet ${kind} did not start: ${reason}`, { hint });
}
