// Schemas of the channel (native/PROTOCOL.md, version 1): everything from the Go half is parsed by them. Framing, ids
// and deadlines are channel.ts.

import { z } from "zod";

export const PROTOCOL_VERSION = 1;
/** Longest line in either direction, in bytes, without its LF. */
export const MAX_LINE_BYTES = 1024 * 1024;

/** What is known of every device. */
const device = {
  id: z.string(),
  hostname: z.string(),
  dnsName: z.string(),
  ips: z.array(z.string()),
  tags: z.array(z.string()),
  login: z.string(),
  userId: z.string(),
};

export const self = z.object({
  ...device,
  keyExpiry: z.string().nullable(),
  keyExpired: z.boolean(),
});

/** Control's "no" to the node key of this device, in its own words, which may be empty. */
export const denied = z.object({ reason: z.enum(["removed", "expired", "refused"]), message: z.string() });

export const status = z.object({
  state: z.enum(["NoState", "NeedsLogin", "NeedsMachineAuth", "Stopped", "Starting", "Running"]),
  control: z.enum(["connected", "unreachable", "unknown"]),
  denied: denied.nullable(),
  self: self.nullable(),
  health: z.array(z.string()),
  https: z.boolean(),
  domains: z.array(z.string()),
  funnel: z.boolean(),
});

export const peer = z.object({
  ...device,
  os: z.string(),
  online: z.boolean(),
  lastSeen: z.string().nullable(),
  path: z.enum(["direct", "relay", "none"]),
  relay: z.string(),
  expired: z.boolean(),
  shared: z.boolean(),
});

/** Schema of `Cairn-Internal-Caller`. */
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

/** State of the tailnet node. */
export type Status = z.infer<typeof status>;
/** Another node of the tailnet. */
export type Peer = z.infer<typeof peer>;
/** The caller of a request, as in the header `Cairn-Internal-Caller`. */
export type CallerWire = z.infer<typeof caller>;

/** State of this node's raft member. */
export const raftState = z.object({
  server: z.string(),
  leading: z.boolean(),
  /** Server id of the leader; "" while none is known. */
  leader: z.string(),
  term: z.number().int(),
  /**
   * Indexes in the raft log: the last entry, the last committed, the last applied to the store, the last that a
   * snapshot covers.
   */
  last: z.number().int(),
  commit: z.number().int(),
  applied: z.number().int(),
  snapshot: z.number().int(),
  /** Index of the entry that holds `members`; a change names it as `previous`. */
  configuration: z.number().int(),
  members: z.array(z.object({ server: z.string(), voter: z.boolean() })),
  /** 99th percentile of the last 512 writes to the log, in ms; 0 before the first. */
  fsyncP99Ms: z.number(),
  fsyncSamples: z.number().int(),
  /** Term changes that this member saw in the last ten minutes. */
  electionsIn10Min: z.number().int(),
  /**
   * The last refusal by each member that does not accept our connections; the reason begins with a code and a colon.
   */
  refused: z.array(z.object({ server: z.string(), reason: z.string(), atMs: z.number() })),
});
/** State of the raft member, as `raftState` returns it. */
export type RaftState = z.infer<typeof raftState>;

export const level = z.enum(["debug", "info", "warning", "error"]);
export type LogLevel = z.infer<typeof level>;

/** The schema of each method's result. */
export const results = {
  up: z.object({}),
  login: z.object({}),
  logout: z.object({}),
  status,
  peers: z.object({ peers: z.array(peer) }),
  whois: z.object({ caller }),
  caller: z.object({ caller }),
  "raft-open": z.object({ server: z.string() }),
  "raft-members": z.object({}),
  "raft-state": raftState,
  "raft-change": z.object({}),
  "raft-close": z.object({}),
  grants: z.object({ grants: z.array(z.unknown()) }),
  listen: z.object({}),
  ping: z.object({ latencyMs: z.number(), path: z.enum(["direct", "relay"]), relay: z.string().optional() }),
  cert: z.object({ https: z.boolean(), domains: z.array(z.string()) }),
  "serve-config": z.object({ config: z.unknown(), funnel: z.boolean(), funnelReason: z.string().optional() }),
  drop: z.object({ closed: z.number().int() }),
  notify: z.object({}),
  close: z.object({}),
};
export type Method = keyof typeof results;
export type Result<M extends Method> = z.infer<(typeof results)[M]>;

export const errorCode = z.enum([
  "bad_request",
  "unknown_method",
  "not_up",
  "already_up",
  "auth_key",
  "not_found",
  "dial_refused",
  "not_leader",
  "changed",
  "timeout",
  "internal",
]);

export const reply = z.union([
  z.object({
    id: z.number().int(),
    error: z.object({ code: errorCode.catch("internal"), message: z.string(), hint: z.string().optional() }),
  }),
  z.object({ id: z.number().int(), result: z.unknown() }),
]);
export type ReplyError = Extract<z.infer<typeof reply>, { error: unknown }>["error"];

/** The schema of each event that this side knows. Other events are ignored, so that a newer Go half may send more. */
export const events = {
  hello: z.object({ protocol: z.number().int(), tailscale: z.string(), go: z.string() }),
  state: status,
  login: z.object({ url: z.string() }),
  "auth-failed": z.object({ message: z.string() }),
  netmap: z.object({ peers: z.number().int() }),
  revoked: z.object({ callers: z.array(z.string()), connections: z.number().int() }),
  log: z.object({ level, message: z.string() }),
  fatal: z.object({ message: z.string() }),
};
export type EventName = keyof typeof events;
/** An event as `{event, body}`, so that the name narrows the type of the body. */
export type ChannelEvent = { [K in EventName]: { event: K; body: z.infer<(typeof events)[K]> } }[EventName];

/** Parameters of `up` (native/PROTOCOL.md). */
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
  /** Addresses outside the tailnet that egress may reach though they are not public (security.md 19). */
  outboundAllow?: string[];
  /** Proxy for https to what `outboundAllow` does not list, as `http://host:port`, and its USER:PASSWORD. */
  outboundProxy?: string;
  outboundProxyAuth?: string;
  /** Test tailnet only: DERP over self-signed TLS, netns off. */
  testMode?: boolean;
}
