// The members of a fleet as a node names them, and the small private file that keeps them: with it a bridge starts
// although the nodes it was given are down.

import { lstatSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { z } from "zod";
import type { Environment } from "../../config/environment.ts";
import { writeAtomic } from "../../lib/atomic-file.ts";
import { ensurePrivateFolder } from "../../lib/private-folder.ts";
import { reasonOf } from "../../lib/reason-of.ts";
import { sha256Hex } from "../../lib/sha256.ts";
import type { LogLine } from "../../observe/logging.ts";

/** Most members that are considered; a fleet has a dozen. */
export const MAX_MEMBERS = 64;
const MAX_FILE_BYTES = 32 * 1024;

const cacheShape = z.strictObject({
  fleet: z.string().max(128),
  members: z.array(z.string().max(300)).max(MAX_MEMBERS),
});

/** What the file holds: the id of a fleet, and the base URLs of its members. */
export type CachedFleet = z.infer<typeof cacheShape>;

/** Returns the cache file of the fleet that was reached by these URLs or folders, in the user's cache folder. */
export function memberCacheFile(key: readonly string[], env: Environment): string {
  const name = sha256Hex(JSON.stringify(key)).slice(0, 16);
  return join(cacheFolder(env), "cairn", `fleet-${name}.json`);
}

function cacheFolder(env: Environment): string {
  const xdg = env["XDG_CACHE_HOME"];
  if (xdg?.startsWith("/")) return xdg;
  const home = env["HOME"] || homedir();
  return process.platform === "darwin" ? join(home, "Library", "Caches") : join(home, ".cache");
}

/**
 * Reads the file. Returns undefined where it does not exist, or where another user could have written it: what agents
 * say is sent to the nodes that it names.
 */
export function readCache(path: string, log: LogLine): CachedFleet | undefined {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return undefined;
  try {
    if (!found.isFile() || found.size > MAX_FILE_BYTES) throw new Error("it is not a small file");
    if (found.uid !== process.getuid?.() || (found.mode & 0o077) !== 0)
      throw new Error("it is open to others than this user");
    const parsed = cacheShape.parse(JSON.parse(readFileSync(path, "utf8")));
    return { fleet: parsed.fleet, members: parsed.members.filter((base) => isPlainBase(base)) };
  } catch (error) {
    log("warning", `the list of members ${path} is not used: ${reasonOf(error)}; remove it`);
    return undefined;
  }
}

/** Writes the file atomically, readable by this user alone. A failure is only logged: the file is an optimization. */
export function writeCache(path: string, value: CachedFleet, log: LogLine): void {
  try {
    ensurePrivateFolder(dirname(path), "XDG_CACHE_HOME");
    writeAtomic(path, `${JSON.stringify(value)}\n`, { shared: true });
  } catch (error) {
    log("debug", `the members are not cached in ${path}: ${reasonOf(error)}`);
  }
}

/** Returns the base URLs of the members in a response of `node_status` by the node at `namedBy`. */
export function membersIn(status: unknown, namedBy: string): string[] {
  const parsed = statusShape.safeParse(status);
  if (!parsed.success) return [];
  const domain = /^[^.]+\.(.+)$/.exec(parsed.data.tailnet.name)?.[1];
  const bases = parsed.data.members.flatMap((member) => {
    // The full name where it is known: outside the tailnet a short one may belong to another host.
    const host = domain === undefined || member.name.includes(".") ? member.name : `${member.name}.${domain}`;
    const base = member.url ?? `http://${host}`;
    return isPlainBase(base) ? [new URL(base).origin] : [];
  });
  return [...new Set(bases)].filter((base) => mayName(namedBy, base)).slice(0, MAX_MEMBERS);
}

const statusShape = z.object({
  tailnet: z.object({ name: z.string().max(253) }),
  members: z.array(z.object({ name: z.string().max(253), url: z.string().max(300).optional() })),
});

/** Reports whether a text consists of scheme, host and port only. */
function isPlainBase(text: string): boolean {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.hostname === "") return false;
  return url.username === "" && url.password === "" && url.pathname === "/" && url.search === "" && url.hash === "";
}

/**
 * Reports whether a member may name this node: nodes of a tailnet yes, nodes of this machine only if it runs here
 * itself, addresses of other networks never.
 */
function mayName(namedBy: string, base: string): boolean {
  const { hostname } = new URL(base);
  const namedByHost = URL.canParse(namedBy) ? new URL(namedBy).hostname : "";
  if (isLoopback(hostname)) return isLoopback(namedByHost);
  if (/^\d+(\.\d+){3}$/.test(hostname)) return /^100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])\./.test(hostname);
  if (hostname.startsWith("[")) return hostname.startsWith("[fd7a:115c:a1e0:");
  return /^[a-z0-9-]+(\.[a-z0-9-]+)*$/.test(hostname);
}

function isLoopback(hostname: string): boolean {
  return hostname === "localhost" || hostname.endsWith(".localhost") || hostname === "[::1]" || /^127\./.test(hostname);
}
