// The channel's shapes on the TypeScript side (native/PROTOCOL.md, version 1): everything from the Go half is parsed here before use.

import { z } from "zod";

export const PROTOCOL_VERSION = 1;

export const self = z.object({
  id: z.string(),
  hostname: z.string(),
  dnsName: z.string(),
  ips: z.array(z.string()),
  tags: z.array(z.string()),
  login: z.string(),
  userId: z.string(),
  keyExpiry: z.string().nullable(),
  keyExpired: z.boolean(),
});

export const status = z.object({
  state: z.enum(["NoState", "NeedsLogin", "NeedsMachineAuth", "Stopped", "Starting", "Running"]),
  control: z.enum(["connected", "unreachable", "unknown"]),
  self: self.nullable(),
  health: z.array(z.string()),
  https: z.boolean(),
  domains: z.array(z.string()),
  funnel: z.boolean(),
});

export const peer = z.object({
  id: z.string(),
  hostname: z.string(),
  dnsName: z.string(),
  ips: z.array(z.string()),
  tags: z.array(z.string()),
  login: z.string(),
  userId: z.string(),
  os: z.string(),
  online: z.boolean(),
  lastSeen: z.string().nullable(),
  path: z.enum(["direct", "relay", "none"]),
  relay: z.string(),
  expired: z.boolean(),
  shared: z.boolean(),
});

export const caller = z.object({
  v: z.literal(1),
  id: z.string().min(1),
  kind: z.enum(["user", "tagged", "shared"]),
  node: z.string(),
  login: z.string(),
  userId: z.string(),
  tags: z.array(z.string()),
  own: z.boolean(),
  /** Empty, or 32 hex digits naming a list of capability objects (`grants`). */
  grants: z.string().regex(/^([0-9a-f]{32})?$/),
});

export type Status = z.infer<typeof status>;
export type Peer = z.infer<typeof peer>;
/** The caller as it stands in `Cairn-Internal-Caller`. */
export type CallerWire = z.infer<typeof caller>;

export interface UpParams {
  stateDir: string;
  hostname: string;
  controlUrl?: string;
  authKey?: string;
  clientSecret?: string;
  tags?: string[];
  ephemeral?: boolean;
  capability: string;
  socketDir: string;
  /** Unix socket that Bun.serve already listens on. */
  target: string;
  ingressSecret: string;
  egressSecret: string;
  shared: "none" | "grants";
  allowedHosts: string[];
  allowedOrigins: string[];
  maxBodyBytes: number;
  /** Test tailnet only: DERP over self-signed TLS, netns off. */
  testMode?: boolean;
}
