// The one interface to the tailnet: native.ts (library), sidecar.ts and loopback.ts implement it and share one contract suite.
// Shapes are those of native/PROTOCOL.md.

import type { CallerWire, Peer, Status, UpParams } from "./protocol.ts";

export interface TailnetEvents {
  state: (status: Status) => void;
  login: (url: string) => void;
  authFailed: (message: string) => void;
  netmap: (peers: number) => void;
  revoked: (callers: string[], connections: number) => void;
  log: (level: "debug" | "info" | "warning" | "error", message: string) => void;
  fatal: (message: string) => void;
}

export interface Tailnet {
  readonly kind: "library" | "sidecar" | "loopback";
  /** Versions of the Go half, as its `hello` said. */
  readonly versions: { tailscale: string; go: string };
  up(params: UpParams): Promise<void>;
  login(authKey?: string): Promise<void>;
  logout(): Promise<void>;
  status(): Promise<Status>;
  peers(): Promise<Peer[]>;
  whois(addr: string): Promise<CallerWire>;
  /** The capability objects behind `CallerWire.grants`. */
  grants(hash: string): Promise<unknown[]>;
  listen(port: number, options: { tls: boolean }): Promise<void>;
  ping(ip: string, timeoutMs: number): Promise<{ latencyMs: number; path: "direct" | "relay"; relay?: string | undefined }>;
  cert(): Promise<{ https: boolean; domains: string[] }>;
  serveConfig(): Promise<{ config: unknown; funnel: boolean; funnelReason?: string | undefined }>;
  /** Closes open ingress connections of these node ids, or all. */
  drop(callers?: string[]): Promise<number>;
  on<K extends keyof TailnetEvents>(event: K, listener: TailnetEvents[K]): () => void;
  close(): Promise<void>;
}
