// Finds the address of a node for a client on this machine: a URL that a person gave, or the local socket of a data
// folder.

import { accessSync, constants, existsSync, lstatSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { asOwner, nameOfUid } from "../lib/accounts.ts";
import { Fault } from "../lib/fault.ts";
import type { Environment } from "./environment.ts";
import { SYSTEM_RUNTIME, socketCandidates } from "./paths.ts";

/** Returns the owner of a folder; undefined where there is none, or none that this user can see. */
function ownerOfFolder(path: string): number | undefined {
  try {
    const found = lstatSync(path);
    return found.isDirectory() ? found.uid : undefined;
  } catch {
    return undefined;
  }
}

function mayEnter(folder: string): boolean {
  try {
    accessSync(folder, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Returns the Fault for a socket, or the folder of one, that belongs to another user. */
export function closedToUser(path: string, owner: number): Fault {
  return new Fault("forbidden", `The node's socket ${path} is open to ${nameOfUid(owner)} only`, {
    hint: `Run this as that user (${asOwner(owner)}), or open it to a group of yours with the node's setting cli.group.`,
  });
}

/** A node's local socket, or its origin such as `http://cairn`. */
export type NodeAddress = { socketPath: string } | { url: string };

/** Returns the origin of a URL that a person gave for a node. Throws Fault `invalid_input` for anything else. */
export function nodeOrigin(url: string): string {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed === undefined || !/^https?:$/.test(parsed.protocol) || parsed.username !== "" || parsed.password !== "") {
    throw new Fault("invalid_input", `${JSON.stringify(url)} is not the address of a node`, {
      hint: "Write it as http://cairn or https://cairn.your-tailnet.ts.net.",
    });
  }
  return parsed.origin;
}

/**
 * Returns the local socket of the node with this data folder. Throws Fault `not_running` when there is none, and
 * `forbidden` where there may be one that this user cannot see.
 */
export function localAddress(dataDir: string, env: Environment): { socketPath: string } {
  const owner = existsSync(dataDir) ? statSync(dataDir).uid : process.getuid?.();
  const candidates = socketCandidates(dataDir, env);
  // The socket's folder must have the same owner as the data folder: in /tmp anyone can make a folder of that name.
  const folders = candidates.filter((path) => ownerOfFolder(dirname(path)) === owner);
  const found = folders.find((path) => existsSync(path));
  if (found !== undefined) return { socketPath: found };
  const closed = folders.map(dirname).find((folder) => !mayEnter(folder));
  if (closed !== undefined && owner !== undefined) throw closedToUser(closed, owner);
  const service = ownerOfFolder(SYSTEM_RUNTIME);
  const other =
    service === undefined || service === owner ? "" : `, or ask this machine's service: ${asOwner(service)}`;
  throw new Fault("not_running", `No cairn node runs with the data folder ${dataDir}`, {
    hint: `Start one with \`cairn serve\`, name its data folder with --data, or name another node with --url${other}.`,
  });
}
