// Which nodes may be asked: those that were given, and those that a member names. Kept in a small private file, so that a bridge starts while the first one is down.

import { createHash } from "node:crypto";
import { lstatSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { z } from "zod";
import type { Environment } from "../config/environment.ts";
import { ensurePrivateFolder } from "../lib/private-folder.ts";
import type { LogLine } from "../observe/logging.ts";
import { reasonOf } from "./endpoint.ts";

/** Nodes that are ever considered; a fleet has a dozen. */
export const MAX_MEMBERS = 64;
const MAX_FILE_BYTES = 32 * 1024;

const kept = z.strictObject({
  fleet: z.string().max(128),
  members: z.array(z.string().max(300)).max(MAX_MEMBERS),
});

/** What is kept of a fleet: its id, and the base URLs of its members. */
export type Kept = z.infer<typeof kept>;

/** The file for the fleet that these words lead to, in the user's cache folder. */
export function memberCacheFile(words: readonly string[], env: Environment): string {
  const name = createHash("sha256").update(JSON.stringify(words)).digest("hex").slice(0, 16);
  return join(cacheFolder(env), "cairn", `fleet-${name}.json`);
}

function cacheFolder(env: Environment): string {
  const xdg = env["XDG_CACHE_HOME"];
  if (xdg?.startsWith("/")) return xdg;
  const home = env["HOME"] || homedir();
  return process.platform === "darwin" ? join(home, "Library", "Caches") : join(home, ".cache");
}

/** What was kept; nothing where there is no such file, or where somebody else could have written it: agents' words go to the nodes that it names. */
export function readKept(path: string, log: LogLine): Kept | undefined {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return undefined;
  try {
    if (!found.isFile() || found.size > MAX_FILE_BYTES) throw new Error("it is no small file");
    if (found.uid !== process.getuid?.() || (found.mode & 0o077) !== 0)
      throw new Error("it is open to others than this user");
    const parsed = kept.parse(JSON.parse(readFileSync(path, "utf8")));
    return { fleet: parsed.fleet, members: parsed.members.filter((base) => isPlainBase(base)) };
  } catch (error) {
    log("warning", `the list of members ${path} is not used: ${reasonOf(error)}; remove it`);
    return undefined;
  }
}

/** Writes it whole or not at all, for this user alone. A failure is only logged: the next start then needs a member that was given. */
export function writeKept(path: string, value: Kept, log: LogLine): void {
  const partial = `${path}.${process.pid}.partial`;
  try {
    ensurePrivateFolder(dirname(path));
    writeFileSync(partial, `${JSON.stringify(value)}\n`, { mode: 0o600, flag: "wx" });
    renameSync(partial, path);
  } catch (error) {
    rmSync(partial, { force: true });
    log("debug", `the members are not kept in ${path}: ${reasonOf(error)}`);
  }
}

/** The base URLs of the members in an answer of `node_status`. */
export function membersIn(answer: unknown, toldBy: string): string[] {
  const said = status.safeParse(answer);
  if (!said.success) return [];
  const domain = /^[^.]+\.(.+)$/.exec(said.data.tailnet.name)?.[1];
  const bases = said.data.members.flatMap((member) => {
    // The full name where it is known: a short one may be somebody else's outside of the tailnet.
    const host = domain === undefined || member.name.includes(".") ? member.name : `${member.name}.${domain}`;
    const base = member.url ?? `http://${host}`;
    return isPlainBase(base) ? [new URL(base).origin] : [];
  });
  return [...new Set(bases)].filter((base) => mayTell(toldBy, base)).slice(0, MAX_MEMBERS);
}

const status = z.object({
  tailnet: z.object({ name: z.string().max(253) }),
  members: z.array(z.object({ name: z.string().max(253), url: z.string().max(300).optional() })),
});

/** Whether a text is nothing but scheme, host and port. */
function isPlainBase(text: string): boolean {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.hostname === "") return false;
  return url.username === "" && url.password === "" && url.pathname === "/" && url.search === "" && url.hash === "";
}

/** A member may name nodes of a tailnet; only one on this machine may name others on this machine. Addresses of other networks are nobody's to name. */
function mayTell(toldBy: string, base: string): boolean {
  const { hostname } = new URL(base);
  const toldByUrl = URL.canParse(toldBy) ? new URL(toldBy).hostname : "";
  if (isLoopback(hostname)) return isLoopback(toldByUrl);
  if (/^\d+(\.\d+){3}$/.test(hostname)) return /^100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])\./.test(hostname);
  if (hostname.startsWith("[")) return hostname.startsWith("[fd7a:115c:a1e0:");
  return /^[a-z0-9-]+(\.[a-z0-9-]+)*$/.test(hostname);
}

function isLoopback(hostname: string): boolean {
  return hostname === "localhost" || hostname.endsWith(".localhost") || hostname === "[::1]" || /^127\./.test(hostname);
}
