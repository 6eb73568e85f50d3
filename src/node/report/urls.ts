// The URLs of a node for people and agents, and the ready event that shows them.

import type { BuildInfo } from "../../config/build-info.ts";
import type { Loaded } from "../../config/load.ts";
import type { Condition } from "../../observe/conditions.ts";
import type { Status } from "../../tailnet/index.ts";
import type { Ready } from "./events.ts";

/**
 * Returns base and MCP URL: https where the tailnet gives certificates, else the MagicDNS name, else the IP, else the
 * loopback address.
 */
export function addressesOf(
  status: Status | undefined,
  localUrl: string | null,
): { url: string | null; mcpUrl: string | null } {
  const url = tailnetUrl(status) ?? localUrl;
  return { url, mcpUrl: url === null ? null : `${url}/mcp` };
}

/** Returns all base URLs, the best one first. */
export function allUrls(status: Status | undefined, localUrl: string | null): string[] {
  const plain =
    status?.state === "Running" && status.https && status.self !== null ? `http://${status.self.dnsName}` : null;
  return [tailnetUrl(status), plain, localUrl].filter((url) => url !== null);
}

function tailnetUrl(status: Status | undefined): string | null {
  const self = status?.state === "Running" ? status.self : null;
  if (status === undefined || self === null) return null;
  const domain = status.https ? status.domains[0] : undefined;
  if (domain !== undefined) return `https://${domain}`;
  const host = self.dnsName !== "" ? self.dnsName : self.ips[0];
  return host === undefined ? null : `http://${host}`;
}

export interface ReadyFacts {
  loaded: Loaded;
  status: Status | undefined;
  serving: boolean;
  localUrl: string | null;
  loginUrl: string | null;
  socket: string;
  conditions: Condition[];
  versions: BuildInfo;
}

/** Returns the event that says where the node can be reached, or what it waits for. */
export function readyEvent(facts: ReadyFacts): Ready {
  const { url, mcpUrl } = addressesOf(facts.status, facts.localUrl);
  const waiting = facts.loginUrl === null ? "waiting" : "needs_login";
  return {
    event: "ready",
    state: facts.serving ? "serving" : waiting,
    url,
    mcpUrl,
    localUrl: facts.localUrl,
    loginUrl: facts.serving ? null : facts.loginUrl,
    name: facts.status?.self?.dnsName ?? "",
    ips: facts.status?.self?.ips ?? [],
    dataDir: facts.loaded.settings.data,
    socket: facts.socket,
    pid: process.pid,
    versions: facts.versions,
    settings: Object.fromEntries(facts.loaded.origins),
    conditions: facts.conditions,
  };
}
