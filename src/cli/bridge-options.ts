// Options that `cairn bridge` and `cairn simulate` share: turns them into a route to nodes, or into a tailnet node of
// our own.

import { join, resolve } from "node:path";
import {
  type BridgeAddress,
  BridgeNode,
  FleetRoute,
  type FleetRouteOptions,
  memberCacheFile,
} from "../bridge/index.ts";
import { loadSettings } from "../config/load.ts";
import { eachSecret, readSecrets, SECRET_NAMES } from "../config/secrets.ts";
import { hostnameShape } from "../config/shapes.ts";
import { SETTING_TABLES } from "../features/index.ts";
import { Fault } from "../lib/fault.ts";
import { logFor } from "../observe/logging.ts";
import { registerSecret } from "../observe/redact.ts";
import { dataDirOf, localNodeAddress, urlsOf } from "./client.ts";
import { type Invocation, isSet, textOption } from "./command.ts";
import { say } from "./output.ts";

/**
 * Time limit for joining the tailnet, in ms. With state or a fresh key it takes a second or two; a client is waiting.
 */
export const JOIN_MS = 45_000;

/**
 * Returns a route to the members that `--url` or CAIRN_URL names, and to the node of this machine.
 * Without URLs the local node says which fleet it is; beside URLs it is used only if it belongs to their fleet.
 */
export function localFleetRoute(invocation: Invocation, signal: AbortSignal): FleetRoute {
  const urls = urlsOf(invocation);
  const byUrl = urls.map((url) => ({ name: url, address: () => ({ url }) }));
  const local = {
    name: "the node of this machine",
    optional: urls.length > 0,
    // Looked up for each request: the node may start after the bridge.
    address: () => localNodeAddress(invocation),
  };
  return openFleetRoute(invocation, signal, {
    given: [...byUrl, local],
    cacheKey: urls.length > 0 ? urls : [dataDirOf(invocation)],
    memberAddress: (url) => ({ url }),
  });
}

/** Returns an address with the preset of MCP that `--preset` names; undefined: that of `/mcp`. */
export function withPreset(address: BridgeAddress, preset: string | undefined): BridgeAddress {
  return preset === undefined ? address : { ...address, preset };
}

/** Returns a route to the members at these base URLs, through the bridge's own tailnet node. */
export function tailnetFleetRoute(
  invocation: Invocation,
  node: BridgeNode,
  bases: readonly string[],
  signal: AbortSignal,
): FleetRoute {
  const memberAddress = async (base: string): Promise<BridgeAddress> => ({ ...(await node.address()), base });
  return openFleetRoute(invocation, signal, {
    given: bases.map((base) => ({ name: base, address: () => memberAddress(base) })),
    cacheKey: ["tailnet", ...bases],
    memberAddress,
    blocked: () => node.denial,
  });
}

function openFleetRoute(
  invocation: Invocation,
  signal: AbortSignal,
  { cacheKey, ...options }: Pick<FleetRouteOptions, "given" | "memberAddress" | "blocked"> & { cacheKey: string[] },
): FleetRoute {
  const { given, memberAddress } = options;
  const preset = textOption(invocation, "preset");
  return new FleetRoute({
    ...options,
    given: given.map((one) => ({ ...one, address: async () => withPreset(await one.address(), preset) })),
    memberAddress: async (base) => withPreset(await memberAddress(base), preset),
    cacheFile: memberCacheFile(cacheKey, invocation.env),
    preferEdges: isSet(invocation, "preferEdges"),
    signal,
    log: logFor("bridge"),
  });
}

/**
 * Returns a tailnet node of our own that leads to `base`; it joins when its address is first asked for.
 * `hostname` is its name where `--hostname` gives none. Removes secrets from the environment. Faults of the settings.
 */
export function bridgeNode(
  invocation: Invocation,
  { base, hostname, joinMs }: { base: string; hostname: string; joinMs: number },
): BridgeNode {
  const data = textOption(invocation, "data");
  const { settings } = loadSettings({
    tables: SETTING_TABLES,
    flags: data === undefined ? {} : { data },
    env: invocation.env,
  });
  const secrets = readSecrets(invocation.env);
  eachSecret(secrets, registerSecret);
  for (const secret of SECRET_NAMES) delete process.env[secret];
  process.umask(0o077);
  const dataDir = resolve(settings.data);
  return new BridgeNode({
    folder: join(dataDir, `bridge-${new URL(base).hostname.replaceAll(/[^a-z0-9.-]/g, "_")}`),
    dataDir,
    base,
    hostname: hostnameOf(textOption(invocation, "hostname") ?? hostname),
    settings,
    secrets,
    env: invocation.env,
    privateTailnet: isSet(invocation, "privateTailnet"),
    joinMs,
    log: logFor("bridge"),
    onLoginUrl: (url) => say(`log this bridge in: open ${url}`),
  });
}

function hostnameOf(text: string): string {
  if (hostnameShape.fits(text)) return text;
  throw new Fault("invalid_input", `--hostname ${JSON.stringify(text)} is not a valid name of a node`, {
    hint: `Give ${hostnameShape.wanted}.`,
  });
}
