// The settings of a node, in one table; features add theirs by their manifests: flags, environment names, the file's keys, help and docs/settings.md come from it.
// load.ts finds the values; secrets are not settings (secrets.ts).

import {
  bytes,
  choice,
  count,
  flag,
  list,
  type SettingRow,
  type SettingTable,
  text,
  type ValuesOf,
} from "./setting.ts";
import {
  capabilityShape,
  controlUrlShape,
  fleetNameShape,
  hostnameShape,
  hostShape,
  originShape,
  outboundShape,
  spaceGlobShape,
  tagShape,
} from "./shapes.ts";

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;

/** The table. A key `access.admins` is the flag `--access-admins`, the variable `CAIRN_ACCESS_ADMINS`, and `admins` under `[access]` in the file. */
export const SETTINGS = {
  data: text(undefined, "DIR", "Folder for everything this node keeps, private to its user."),
  hostname: text("cairn", "NAME", "Name of this node on the tailnet.", hostnameShape),
  control_url: text(undefined, "URL", "Control server, for Headscale; without it Tailscale's own.", controlUrlShape),
  tags: list("TAG,…", "Tags to ask for, such as tag:cairn; needed with TS_CLIENT_SECRET.", tagShape),
  ephemeral: flag("Let the tailnet forget this node soon after it ends."),
  role: choice(
    ["central", "regional", "edge"],
    "central",
    "What this node is in a fleet that it joins: central votes and may lead, regional is a full replica, edge keeps a cache. A plain start is central.",
  ),
  fleet: text("cairn", "NAME", "Name of the fleet that a plain start begins, or that join looks for.", fleetNameShape),
  join: text(
    undefined,
    "HOST|auto",
    "Join the fleet of this node, or with auto the one of this name on the tailnet; a member just starts.",
  ),
  discard_local: flag(
    "Give up what this node holds of another fleet when it joins; a copy is kept in the data folder.",
  ),
  fleet_profile: choice(
    ["lan", "home", "wan"],
    "home",
    "How patient the voters of a fleet that begins here are: lan fails over fastest, wan suits slow links and SD cards.",
  ),
  "tailnet.engine": choice(
    ["auto", "library", "sidecar"],
    "auto",
    "How the tailnet half runs: inside this process, or as a child.",
  ),
  "access.admins": list("LOGIN,…", "Logins that are admin of this node without a grant."),
  "access.default_role": choice(
    ["none", "reader", "member"],
    "none",
    "What other untagged users of this tailnet get without a grant.",
  ),
  "access.shared": choice(["none", "grants"], "none", "Whether devices shared in from other tailnets may use grants."),
  "access.policy_file": text(undefined, "FILE", "Grants as JSON, for control servers without application grants."),
  "access.capability": text(
    "cairn.internal/cap/cairn",
    "NAME",
    "Application capability that carries the grants.",
    capabilityShape,
  ),
  "http.allowed_hosts": list("HOST,…", "More names under which browsers and agents may address this node.", hostShape),
  "http.allowed_origins": list("ORIGIN,…", "Web origins of other sites whose pages may call this node.", originShape),
  "http.max_body_bytes": bytes(8 * MIB, { min: 64 * 1024, max: 64 * MIB }, "Largest request body, in bytes (or 8MiB)."),
  "context.max_bytes": bytes(
    MIB,
    { min: 1024, max: 4 * MIB },
    "Largest content of one context, in bytes (or 1MiB); at most 4MiB.",
  ),
  "history.max_versions": count(
    100,
    { min: 0, max: 1_000_000 },
    "Versions kept of each context, the newest included; 0 keeps all.",
  ),
  "history.max_days": count(0, { min: 0, max: 36_500 }, "Days after which an older version goes; 0: never."),
  "history.spaces": list(
    "SPACE=VERSIONS[/DAYS],…",
    "Other history limits of single spaces, such as logs=10/30: 10 versions, 30 days.",
  ),
  "history.max_changes": count(
    1_000_000,
    { min: 0, max: 1_000_000_000 },
    "Changes kept for the feed and the audit; 0 keeps all.",
  ),
  "quota.caller_bytes": bytes(
    GIB,
    { min: 0, max: 1024 * GIB },
    "Kept bytes that one caller may have written; 0: no limit.",
  ),
  "quota.space_bytes": bytes(4 * GIB, { min: 0, max: 1024 * GIB }, "Kept bytes that one space may hold; 0: no limit."),
  "cache.max_bytes": bytes(
    64 * MIB,
    { min: MIB, max: 64 * GIB },
    "Documents that an edge keeps in memory, in bytes (or 64MiB), and as many again on disk for spaces that may be served stale.",
  ),
  "cache.max_stale": count(
    86_400,
    { min: 0, max: 31_536_000 },
    "Seconds for which an edge without a full node in reach answers from spaces that may be served stale; 0: never.",
  ),
  "cache.spaces": list(
    "SPACE,…",
    "Of the spaces that the fleet lets this edge keep, those that it does keep, such as team-a,docs-*; without it all.",
    spaceGlobShape,
  ),
  "limits.requests_per_minute": count(
    6000,
    { min: 0, max: 10_000_000 },
    "Requests a minute of one caller where its grant names no limit; 0: no limit.",
  ),
  "limits.streams_per_caller": count(
    64,
    { min: 1, max: 100_000 },
    "Streams and waits that one caller may have open at once.",
  ),
  "outbound.allow": list(
    "HOST[:PORT],…",
    "Places outside the tailnet that this node may reach though they are private, on this machine or plain http: hosts, addresses, networks.",
    outboundShape,
  ),
  "cli.group": text(undefined, "GROUP", "Unix group whose members may use the local socket as admin of this node."),
  "log.level": choice(["debug", "info", "warning", "error"], "info", "Least severe log line to write."),
  "log.format": choice(
    ["auto", "pretty", "json"],
    "auto",
    "Log lines for people or as JSON; auto: JSON unless on a terminal.",
  ),
} as const;

/** Dotted name of a setting of the node, such as `access.admins`. */
export type SettingKey = keyof typeof SETTINGS;

/** The values in force of the node's settings, by name. */
export type Settings = ValuesOf<typeof SETTINGS>;

/** All rows with their names: the node's in the order of their table, then those of the features. */
export function settingRows(features: readonly SettingTable[]): [string, SettingRow][] {
  return [SETTINGS, ...features].flatMap((table) => Object.entries(table));
}
