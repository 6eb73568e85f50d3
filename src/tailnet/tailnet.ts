// The interface to the tailnet. native.ts (library), sidecar.ts and loopback.ts implement it and share one contract
// suite. Shapes are those of native/PROTOCOL.md.

import type { CallerWire, LogLevel, Peer, Status, UpParams } from "./protocol.ts";

export interface TailnetEvents {
  state: (status: Status) => void;
  login: (url: string) => void;
  authFailed: (message: string) => void;
  netmap: (peers: number) => void;
  revoked: (callers: string[], connections: number) => void;
  /** The node cannot go on: the Go half ended, or reported that it must. Fires once; every later call is refused. */
  fatal: (message: string) => void;
}

/** Receives log lines, those of the Go half included. */
export type TailnetLog = (level: LogLevel, message: string) => void;

/** How a tailnet port is served. `to`: another unix socket than that of `up`, and the largest body that it accepts. */
export interface ListenOptions {
  tls: boolean;
  to?: { target: string; maxBodyBytes: number };
}

/** A tailnet node, over any engine. Calls reject with Fault `tailnet_failed`. */
export interface Tailnet {
  readonly kind: "library" | "sidecar" | "loopback";
  /** Versions of the Go half, from its greeting. */
  readonly versions: { tailscale: string; go: string };
  /** Runs the node's engine. Before it, all calls but `close` are refused as `unavailable`. State follows as events. */
  up(params: UpParams): Promise<void>;
  login(authKey?: string): Promise<void>;
  logout(): Promise<void>;
  status(): Promise<Status>;
  peers(): Promise<Peer[]>;
  whois(addr: string): Promise<CallerWire>;
  /**
   * Returns the caller of a node by its StableNodeID, as this node's network map shows it. Fault `not_found` as for
   * `whois`.
   */
  caller(id: string): Promise<CallerWire>;
  /** Returns the capability objects behind `CallerWire.grants`. */
  grants(hash: string): Promise<unknown[]>;
  /** Serves a tailnet port. */
  listen(port: number, options: ListenOptions): Promise<void>;
  ping(
    ip: string,
    timeoutMs: number,
  ): Promise<{ latencyMs: number; path: "direct" | "relay"; relay?: string | undefined }>;
  cert(): Promise<{ https: boolean; domains: string[] }>;
  serveConfig(): Promise<{ config: unknown; funnel: boolean; funnelReason?: string | undefined }>;
  /** Closes open ingress connections of these node ids, or all. */
  drop(callers?: string[]): Promise<number>;
  /** Sends one datagram to the service manager's socket, before `up` too; `@` begins an abstract name. */
  notify(socket: string, state: string): Promise<void>;
  /** Adds a listener. Returns the function that removes it. Add them before `up`: events are not repeated. */
  on<K extends keyof TailnetEvents>(event: K, listener: TailnetEvents[K]): () => void;
  /** Closes the node and the channel, within about 5 s even when the Go half hangs. Safe to call twice. */
  close(): Promise<void>;
}
