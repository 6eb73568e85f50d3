// The table of a node's settings; features add theirs in their manifests. Flags, environment variables, keys of the
// file, help and docs/settings.md are made from it. Secrets are not settings (secrets.ts).

import { MAX_DOCUMENT_BYTES } from "../lib/bounds.ts";
import { MAX_OWN_LABELS } from "../lib/machine-label.ts";
import {
  bytes,
  choice,
  count,
  flag,
  list,
  ofFleet,
  path,
  type SettingRow,
  type SettingTable,
  text,
  type ValuesOf,
} from "./setting.ts";
import {
  capabilityShape,
  controlUrlShape,
  fleetNameShape,
  forwardShape,
  hostnameShape,
  hostShape,
  labelShape,
  loginShape,
  natsShape,
  originShape,
  outboundShape,
  ownEventShape,
  proxyShape,
  secretHeaderShape,
  secretShape,
  serviceShape,
  spaceGlobShape,
  tagShape,
  traceUrlShape,
} from "./shapes.ts";

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;
/**
 * Without those that there are as many of as writes (contexts, messages), and those of subscriptions: one without rules
 * would send that it was created.
 */
const QUIET_OWN_EVENTS: readonly string[] = [
  ...[
    "cairn.agent.*",
    "cairn.backup.*",
    "cairn.condition.*",
    "cairn.declaration.*",
    "cairn.job.dead",
    "cairn.job.failed",
    "cairn.lease.*",
    "cairn.member.*",
    "cairn.probe.*",
    "cairn.rule.*",
    "cairn.service.*",
    "cairn.session.*",
  ],
  ...["cairn.settings.*", "cairn.space.*", "cairn.target.*"],
];

/**
 * The table. The key `access.admins` is the flag `--access-admins`, the variable `CAIRN_ACCESS_ADMINS`, and `admins`
 * under `[access]` in the file.
 */
export const SETTINGS = {
  data: path("DIR", "Folder with all data of this node, accessible only to its user."),
  hostname: text("cairn", "NAME", "Name of this node on the tailnet.", hostnameShape),
  control_url: text(
    undefined,
    "URL",
    "URL of the control server, such as a Headscale server. Default: Tailscale's own.",
    controlUrlShape,
  ),
  tags: list("TAG,…", "Tags to request, such as tag:cairn; required with TS_CLIENT_SECRET.", tagShape),
  ephemeral: flag("Register as an ephemeral node, which the tailnet removes soon after it stops."),
  role: choice(
    ["central", "regional", "edge"],
    "central",
    "Role of this node in a fleet that it joins: central votes and may lead, regional is a full replica without a vote, edge keeps a cache. A node that starts a new fleet is central.",
  ),
  labels: {
    ...list(
      "LABEL,…",
      "Labels of this machine, by which work finds it: always-on for one that does not sleep, and own ones such as scanner, at most 16. Its system, architecture and GPU are found and added.",
      labelShape,
    ),
    max: MAX_OWN_LABELS,
  },
  fleet: text(
    "cairn",
    "NAME",
    "Name of the fleet that this node starts, or that --join auto looks for.",
    fleetNameShape,
  ),
  join: text(
    undefined,
    "HOST|auto",
    "Join the fleet of this node; auto finds the fleet by its name on the tailnet. A node that is already a member just starts.",
  ),
  discard_local: flag(
    "When joining, discard what this node holds of another fleet; a copy is kept in the data folder.",
  ),
  fleet_profile: choice(
    ["lan", "home", "wan"],
    "home",
    "Election timing of a fleet that this node starts: lan fails over fastest, wan suits slow links and SD cards.",
  ),
  "tailnet.engine": choice(
    ["auto", "library", "sidecar"],
    "auto",
    "How the tailnet code runs: inside this process (library) or as a child process (sidecar).",
  ),
  "access.admins": list("LOGIN,…", "Logins that are admins of this node without a grant.", loginShape),
  "access.default_role": choice(
    ["none", "reader", "member"],
    "none",
    "Role of other untagged users of this tailnet who have no grant.",
  ),
  "access.shared": choice(["none", "grants"], "none", "Whether devices shared in from other tailnets may use grants."),
  "access.policy_file": path("FILE", "File with grants as JSON, for control servers without application grants."),
  "access.max_stale": count(
    3600,
    { min: 0, max: 31_536_000 },
    "Seconds for which an edge that reaches neither a full node nor the control server serves anything: rights that are taken away meanwhile would not be noticed; 0: never.",
  ),
  "access.capability": text(
    "cairn.internal/cap/cairn",
    "NAME",
    "Application capability in the tailnet policy that carries the grants.",
    capabilityShape,
  ),
  "http.allowed_hosts": list(
    "HOST,…",
    "Further names under which browsers and agents may address this node.",
    hostShape,
  ),
  "http.allowed_origins": list("ORIGIN,…", "Web origins of other sites whose pages may call this node.", originShape),
  "http.max_body_bytes": bytes(
    8 * MIB,
    { min: 64 * 1024, max: 64 * MIB },
    "Largest request body, in bytes or as 8MiB.",
  ),
  "context.max_bytes": ofFleet(
    bytes(
      MIB,
      { min: 1024, max: MAX_DOCUMENT_BYTES },
      "Largest content of one context, in bytes or as 1MiB; at most 4MiB.",
    ),
  ),
  "history.max_versions": ofFleet(
    count(100, { min: 0, max: 1_000_000 }, "Versions kept of each context, the newest included; 0 keeps all."),
  ),
  "history.max_days": ofFleet(
    count(0, { min: 0, max: 36_500 }, "Days after which a version that is not the newest is removed; 0: never."),
  ),
  "history.keep_hours": ofFleet(
    count(
      24,
      { min: 0, max: 8760 },
      "Hours for which no version that was the newest is removed, whatever the other history limits say; 0: none.",
    ),
  ),
  "history.spaces": ofFleet(
    list(
      "SPACE=VERSIONS[/DAYS[/HOURS]],…",
      "History limits of single spaces, such as logs=10/30/1 for 10 versions, 30 days, and all of the last hour.",
    ),
  ),
  "history.max_changes": ofFleet(
    count(1_000_000, { min: 0, max: 1_000_000_000 }, "Changes kept for the feed and the audit; 0 keeps all."),
  ),
  "quota.caller_bytes": ofFleet(
    bytes(GIB, { min: 0, max: 1024 * GIB }, "Bytes of kept versions that one caller may have written; 0: no limit."),
  ),
  "quota.space_bytes": ofFleet(
    bytes(4 * GIB, { min: 0, max: 1024 * GIB }, "Bytes of kept versions that one space may hold; 0: no limit."),
  ),
  "quota.outcome_bytes": ofFleet(
    bytes(
      512 * MIB,
      { min: 0, max: 1024 * GIB },
      "Bytes of outcomes of idempotency keys that are kept for one caller; 0: no limit.",
    ),
  ),
  "events.max_bytes": ofFleet(
    bytes(MIB, { min: 1024, max: MAX_DOCUMENT_BYTES }, "Largest event, in bytes or as 1MiB; at most 4MiB."),
  ),
  "events.keep_hours": ofFleet(
    count(24, { min: 0, max: 876_000 }, "Hours for which events are kept; 0: whatever their age."),
  ),
  "events.keep_count": ofFleet(
    count(1_000_000, { min: 0, max: 1_000_000_000 }, "Events that are kept; 0: whatever their number."),
  ),
  "events.keep_bytes": ofFleet(bytes(GIB, { min: 0, max: 1024 * GIB }, "Bytes of events that are kept; 0: no limit.")),
  "events.caller_bytes": ofFleet(
    bytes(256 * MIB, { min: 0, max: 1024 * GIB }, "Bytes of kept events that one caller may have; 0: no limit."),
  ),
  "events.space_bytes": ofFleet(
    bytes(512 * MIB, { min: 0, max: 1024 * GIB }, "Bytes of kept events that one space may have; 0: no limit."),
  ),
  "events.dedupe_seconds": ofFleet(
    count(
      3600,
      { min: 0, max: 2_592_000 },
      "Seconds within which an event of the same caller, source and id is the same event; 0: none is.",
    ),
  ),
  "events.own": ofFleet({
    ...list(
      "TYPE,…",
      "Types of the events that Cairn publishes of what it does; * at the end stands for any rest, and a * alone for all.",
      ownEventShape,
    ),
    default: QUIET_OWN_EVENTS,
  }),
  "events.log": ofFleet(
    choice(
      ["fleet", "jetstream"],
      "fleet",
      "Which log of events a new fleet has, in which nothing was published yet: the replicated one, or NATS JetStream. `cairn events move` moves it later.",
    ),
  ),
  "events.nats_url": ofFleet(
    text(
      "none",
      "URL|none",
      "Where NATS is, for a log of events in JetStream: nats://HOST:PORT, or tls://HOST:PORT to insist on TLS.",
      natsShape,
    ),
  ),
  "events.nats_credentials": ofFleet(
    text(
      "none",
      "secret:NAME|none",
      "What lets the fleet into NATS, as the name of a secret of each full member: a credentials file, USER:PASSWORD or a token.",
      secretShape,
    ),
  ),
  "events.nats_ca": ofFleet(
    text(
      "none",
      "secret:NAME|none",
      "Who signs the certificate of NATS, as the name of a secret of each full member: certificates as PEM; none: who the system trusts.",
      secretShape,
    ),
  ),
  "events.nats_replicas": ofFleet(
    count(1, { min: 1, max: 5 }, "Servers of NATS that keep each event: of the stream that a move makes."),
  ),
  "events.forward_to": list(
    "URL,…",
    "Addresses to which the leader sends all events of the space default, in the form of tas-mcp: each becomes a target and a subscription, forward-…, which admins end.",
    forwardShape,
  ),
  "events.forward_timeout": count(15, { min: 1, max: 60 }, "Seconds that an address of events.forward_to may take."),
  "blobs.max_bytes": ofFleet(
    bytes(GIB, { min: 1024, max: 64 * GIB }, "Largest blob, in bytes or as 1GiB; at most 64GiB."),
  ),
  "blobs.caller_bytes": ofFleet(
    bytes(8 * GIB, { min: 0, max: 1024 * GIB }, "Bytes of blobs that one caller may have put; 0: no limit."),
  ),
  "blobs.space_bytes": ofFleet(
    bytes(16 * GIB, { min: 0, max: 1024 * GIB }, "Bytes of blobs that one space may hold; 0: no limit."),
  ),
  "blobs.copies": ofFleet(
    count(
      2,
      { min: 1, max: 5 },
      "Full members that hold each blob before it counts as stored, where the call does not say; a smaller fleet holds as many as it has members.",
    ),
  ),
  "blobs.keep_hours": ofFleet(
    count(24, { min: 1, max: 87_600 }, "Hours for which a blob is kept, at least, while no context refers to it."),
  ),
  "cache.max_bytes": bytes(
    64 * MIB,
    { min: MIB, max: 64 * GIB },
    "Memory for the documents that an edge caches, in bytes or as 64MiB; spaces that may be served stale use as much again on disk.",
  ),
  "cache.max_stale": count(
    86_400,
    { min: 0, max: 31_536_000 },
    "Seconds for which an edge that reaches no full node serves stale documents, in spaces that allow it; 0: never.",
  ),
  "cache.spaces": list(
    "SPACE,…",
    "Spaces that this edge caches, of those it is enrolled for, such as team-a,docs-*. Default: all of them.",
    spaceGlobShape,
  ),
  "limits.requests_per_minute": count(
    6000,
    { min: 0, max: 10_000_000 },
    "Requests per minute of one caller whose grant sets no limit; a costly one counts as several. 0: no limit.",
  ),
  "limits.streams_per_caller": count(
    256,
    { min: 1, max: 100_000 },
    "Streams and waits that one caller may have open at the same time; above it the oldest wait gives way.",
  ),
  "limits.streams": count(
    32_768,
    { min: 1, max: 32_768 },
    "Streams and WebSockets of REST that all callers together may have open at the same time.",
  ),
  "limits.socket_events": count(
    256,
    { min: 1, max: 10_000 },
    "Events that a WebSocket sends ahead of what its client has acknowledged.",
  ),
  "outbound.allow": list(
    "HOST[:PORT],…",
    "Hosts, addresses or networks outside the tailnet that this node may reach although they are private, on this machine, or use plain HTTP.",
    outboundShape,
  ),
  "outbound.proxy": text(
    undefined,
    "URL",
    "HTTP proxy for https to what is outside the tailnet and outbound.allow does not list, such as http://proxy.lan:3128. Its user and password come from CAIRN_OUTBOUND_PROXY_CREDENTIALS.",
    proxyShape,
  ),
  "traces.url": text(
    undefined,
    "URL",
    "Collector that gets traces as OTLP over HTTP (JSON), such as https://otel.example.com; /v1/traces is added to an address without it. Default: no traces.",
    traceUrlShape,
  ),
  "traces.tailnet": flag(
    "The host of traces.url is a device of the tailnet, by its name there, over plain HTTP within it. Otherwise it is reached over the host's network, if need be by outbound.allow.",
  ),
  "traces.headers": list(
    "NAME=secret:NAME,…",
    "Headers of requests to traces.url, such as authorization=Bearer secret:OTLP, with the value of CAIRN_SECRET_OTLP.",
    secretHeaderShape,
  ),
  "traces.service": text("cairn", "NAME", "The name (service.name) under which traces show this node.", serviceShape),
  "traces.sample_percent": count(
    100,
    { min: 0, max: 100 },
    "Share of the traces that begin at this node and are recorded, in percent; one that a caller began is recorded as its caller says.",
  ),
  "traces.timeout": count(10, { min: 1, max: 60 }, "Seconds that a request to traces.url may take."),
  "cli.group": text(undefined, "GROUP", "Unix group whose members may use the local socket as admins of this node."),
  "log.level": choice(["debug", "info", "warning", "error"], "info", "Lowest level of log lines to write."),
  "log.format": choice(
    ["auto", "pretty", "json"],
    "auto",
    "Format of log lines: pretty for people, or json. auto is pretty on a terminal and json otherwise.",
  ),
} as const;

/** Dotted name of one of the node's settings, such as `access.admins`. */
export type SettingKey = keyof typeof SETTINGS;

/** Values of the node's settings, by name. */
export type Settings = ValuesOf<typeof SETTINGS>;

/** Returns all rows with their names: first the node's in table order, then those of the features. */
export function settingRows(features: readonly SettingTable[]): [string, SettingRow][] {
  return [SETTINGS, ...features].flatMap((table) => Object.entries(table));
}
