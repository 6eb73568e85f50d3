// Paths of a node's data folder and sockets. lib/private-folder.ts creates and checks the folders.

import { existsSync, realpathSync, statSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { Fault } from "../lib/fault.ts";
import { sha256Hex } from "../lib/sha256.ts";
import type { Environment } from "./environment.ts";

/** Data folder of the system's service. */
export const SYSTEM_DATA = "/var/lib/cairn";
/** Where the system's service has its sockets. */
export const SYSTEM_RUNTIME = "/run/cairn";

/**
 * Returns the data folder when neither a flag nor CAIRN_DATA names one: STATE_DIRECTORY, else /var/lib/cairn as root or
 * as the account that it belongs to, else the user's own state folder.
 */
export function defaultDataDir(env: Environment): string {
  const systemd = env["STATE_DIRECTORY"]?.split(":")[0];
  if (systemd) return systemd;
  const uid = process.getuid?.();
  if (uid === 0 || statSync(SYSTEM_DATA, { throwIfNoEntry: false })?.uid === uid) return SYSTEM_DATA;
  return userStateDir(env);
}

/** Returns the user's own state folder of Cairn, whatever node is asked. */
export function userStateDir(env: Environment): string {
  const home = env["HOME"] || homedir();
  if (process.platform === "darwin") return join(home, "Library", "Application Support", "cairn");
  const state = env["XDG_STATE_HOME"];
  return state?.startsWith("/") ? join(state, "cairn") : join(home, ".local", "state", "cairn");
}

/** Absolute paths of a node's sockets and their folders. */
export interface SocketPaths {
  /** Folder of the local socket: 0700, or 0710 with `cli.group`. */
  folder: string;
  /** The local socket of the CLI. */
  cairn: string;
  /** Folder of the sockets between the Go half and the TypeScript half: always 0700. */
  internal: string;
  /** Where requests from the tailnet arrive. */
  ingress: string;
}

/** Longest path of a unix socket that every supported system accepts (macOS: 104 bytes with the final zero). */
const MAX_SOCKET_PATH_BYTES = 103;

/**
 * Returns the sockets of the node with this data folder: in XDG_RUNTIME_DIR if it is this user's, else in the temporary
 * folder, in a folder named by a short hash. Throws Fault `config_invalid` if a path is too long.
 */
export function socketPaths(dataDir: string, env: Environment): SocketPaths {
  return socketPathsIn(resolve(ownRuntimeDir(env) ?? (env["TMPDIR"] || tmpdir())), dataDir);
}

/** Returns XDG_RUNTIME_DIR; undefined for that of another user, which su and sudo -E leave in the environment. */
function ownRuntimeDir(env: Environment): string | undefined {
  const path = env["XDG_RUNTIME_DIR"] || undefined;
  const owner = path === undefined ? undefined : statSync(path, { throwIfNoEntry: false })?.uid;
  return owner === undefined || owner === process.getuid?.() ? path : undefined;
}

/**
 * Returns every path where the node with this data folder may have its local socket: the environment of the CLI may
 * differ from that of the node.
 */
export function socketCandidates(dataDir: string, env: Environment): string[] {
  // A system service has its sockets in /run/cairn, since it has a private /tmp.
  const bases = [env["XDG_RUNTIME_DIR"], env["TMPDIR"], tmpdir(), "/tmp", SYSTEM_RUNTIME].filter(
    (base) => base !== undefined && base !== "",
  );
  return [...new Set(bases)].map((base) => join(base as string, folderName(dataDir), "cairn.sock"));
}

function socketPathsIn(base: string, dataDir: string): SocketPaths {
  const folder = join(base, folderName(dataDir));
  const internal = join(folder, "node");
  const paths = { folder, cairn: join(folder, "cairn.sock"), internal, ingress: join(internal, "ingress.sock") };
  const length = Buffer.byteLength(paths.ingress);
  if (length > MAX_SOCKET_PATH_BYTES) {
    throw new Fault(
      "config_invalid",
      `The socket path ${paths.ingress} has ${length} bytes; at most ${MAX_SOCKET_PATH_BYTES} are allowed`,
      { hint: "Set XDG_RUNTIME_DIR or TMPDIR to a folder with a shorter path." },
    );
  }
  return paths;
}

function folderName(dataDir: string): string {
  const real = existsSync(dataDir) ? realpathSync(dataDir) : resolve(dataDir);
  return `cairn-${sha256Hex(real).slice(0, 10)}`;
}
