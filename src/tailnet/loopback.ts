// A Tailnet without a network, for `dev` and tests: always Running, alone unless peers and callers are set. It only
// answers questions; requests come in by a loopback listener.

import { Fault } from "../lib/fault.ts";
import { Listeners } from "./listeners.ts";
import type { CallerWire, Peer, Status, UpParams } from "./protocol.ts";
import type { ListenOptions, Tailnet, TailnetEvents, TailnetLog } from "./tailnet.ts";

const SELF_IP = "100.64.0.1";

/** The engine without a network. */
export class LoopbackTailnet implements Tailnet {
  readonly kind = "loopback";
  readonly versions = { tailscale: "none", go: "none" };
  readonly #listeners: Listeners;
  readonly #callers = new Map<string, CallerWire>();
  readonly #grants = new Map<string, unknown[]>();
  readonly #ports = new Set<number>();
  #peers: Peer[] = [];
  #up: UpParams | undefined;
  #closed = false;

  constructor(log: TailnetLog) {
    this.#listeners = new Listeners(log);
  }

  /** Replaces the peers that `peers` and `ping` know; fires `netmap`. */
  setPeers(peers: Peer[]): void {
    this.#peers = peers;
    this.#listeners.emit("netmap", peers.length);
  }

  /** Makes `whois` of this IP return that caller, and `grants` the objects behind its hash; fires `netmap`. */
  setCaller(ip: string, caller: CallerWire, grants: unknown[] = []): void {
    this.#callers.set(ip, caller);
    if (caller.grants !== "") this.#grants.set(caller.grants, grants);
    this.#listeners.emit("netmap", this.#peers.length);
  }

  async up(params: UpParams): Promise<void> {
    this.#open("up");
    if (this.#up !== undefined) throw failed("up", "tailnet_failed", "already_up", "the node is up already");
    this.#up = params;
    this.#listeners.emit("state", this.#status(params));
  }
  async login(): Promise<void> {
    this.#running("login");
  }
  async logout(): Promise<void> {
    this.#running("logout");
  }
  async status(): Promise<Status> {
    return this.#status(this.#running("status"));
  }
  async peers(): Promise<Peer[]> {
    this.#running("peers");
    return this.#peers;
  }
  async whois(addr: string): Promise<CallerWire> {
    this.#running("whois");
    const ip = ipOf(addr);
    const found = this.#callers.get(ip);
    if (found === undefined) throw failed("whois", "not_found", "not_found", `no node has the address ${ip}`);
    return found;
  }
  async grants(hash: string): Promise<unknown[]> {
    this.#running("grants");
    const found = this.#grants.get(hash);
    if (found === undefined) throw failed("grants", "not_found", "not_found", `no grants are named ${hash}`);
    return found;
  }
  async caller(id: string): Promise<CallerWire> {
    this.#running("caller");
    const found = [...this.#callers.values()].find((known) => known.id === id);
    if (found === undefined) throw failed("caller", "not_found", "not_found", `no node has the id ${id}`);
    return found;
  }
  async listen(port: number, _options: ListenOptions): Promise<void> {
    this.#running("listen");
    if (this.#ports.has(port)) throw failed("listen", "internal", "bad_request", `port ${port} is in use`);
    this.#ports.add(port);
  }
  async ping(ip: string): Promise<{ latencyMs: number; path: "direct" | "relay" }> {
    this.#running("ping");
    if (!this.#peers.some((peer) => peer.ips.includes(ip)))
      throw failed("ping", "forbidden", "dial_refused", `no peer has the address ${ip}`);
    return { latencyMs: 0, path: "direct" };
  }
  async cert(): Promise<{ https: boolean; domains: string[] }> {
    this.#running("cert");
    return { https: false, domains: [] };
  }
  async serveConfig(): Promise<{ config: unknown; funnel: boolean; funnelReason: string }> {
    this.#running("serve-config");
    return { config: {}, funnel: false, funnelReason: "there is no tailnet: this is the loopback engine" };
  }
  async drop(): Promise<number> {
    this.#running("drop");
    return 0;
  }
  /** Does nothing: there is no Go half to send it. */
  async notify(): Promise<void> {}
  on<K extends keyof TailnetEvents>(event: K, listener: TailnetEvents[K]): () => void {
    return this.#listeners.on(event, listener);
  }
  async close(): Promise<void> {
    this.#closed = true;
  }

  #status(up: UpParams): Status {
    const self = {
      id: "loopback",
      hostname: up.hostname,
      dnsName: `${up.hostname}.loopback.ts.net`,
      ips: [SELF_IP],
      tags: up.tags ?? [],
      login: "dev@localhost",
      userId: "1",
      keyExpiry: null,
      keyExpired: false,
    };
    const off = { health: [], https: false, domains: [], funnel: false };
    return { state: "Running", control: "connected", denied: null, self, ...off };
  }

  #open(method: string): void {
    if (this.#closed) throw failed(method, "tailnet_failed", "internal", "the tailnet was closed");
  }

  #running(method: string): UpParams {
    this.#open(method);
    if (this.#up === undefined) throw failed(method, "unavailable", "not_up", "the node is not up");
    return this.#up;
  }
}

function failed(
  method: string,
  code: "forbidden" | "internal" | "not_found" | "tailnet_failed" | "unavailable",
  tailnetCode: string,
  why: string,
): Fault {
  return new Fault(code, `tailnet call "${method}" failed: ${why}`, { details: { tailnetCode } });
}

/** Returns the address of `ip`, `ip:port` or `[ip]:port`. */
function ipOf(addr: string): string {
  const bracketed = /^\[(.*)\]:\d+$/.exec(addr)?.[1];
  if (bracketed !== undefined) return bracketed;
  const [ip = "", port, more] = addr.split(":");
  return port !== undefined && more === undefined ? ip : addr;
}
