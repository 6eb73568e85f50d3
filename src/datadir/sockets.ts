// The folder of a node's sockets: private to its user, or open to one group for the local socket only (setting
// `cli.group`).

import { chmodSync, chownSync, lstatSync, mkdirSync } from "node:fs";
import type { SocketPaths } from "../config/paths.ts";
import { findGroup } from "../lib/accounts.ts";
import { Fault } from "../lib/fault.ts";
import { ensurePrivateFolder } from "../lib/private-folder.ts";

/** What chooses another place for sockets. */
const CHOICE = "XDG_RUNTIME_DIR or TMPDIR";

/** Makes the folders. Returns mode and group for the local socket. Faults `data_unsafe`, `config_invalid`. */
export function prepareSockets(
  paths: SocketPaths,
  group: string | undefined,
): { mode: number; gid: number | undefined } {
  ensurePrivateFolder(paths.folder, CHOICE);
  const gid = group === undefined ? undefined : groupId(group);
  if (gid !== undefined) chownSync(paths.folder, lstatSync(paths.folder).uid, gid);
  chmodSync(paths.folder, gid === undefined ? 0o700 : 0o710);
  mkdirSync(paths.internal, { recursive: true, mode: 0o700 });
  ensurePrivateFolder(paths.internal, CHOICE);
  chmodSync(paths.internal, 0o700);
  return { mode: gid === undefined ? 0o600 : 0o660, gid };
}

/** Gives the local socket to the group, once it exists. */
export function giveToGroup(socket: string, gid: number | undefined): void {
  if (gid !== undefined) chownSync(socket, lstatSync(socket).uid, gid);
}

/** Returns the id of the group of `cli.group`. Fault `config_invalid`. */
export function groupId(group: string): number {
  if (/^\d{1,10}$/.test(group)) return Number(group);
  const gid = findGroup(group);
  if (gid === undefined) {
    throw new Fault("config_invalid", `The group ${JSON.stringify(group)} of cli.group is not in /etc/group`, {
      hint: "Make the group, or name it by its number.",
    });
  }
  return gid;
}
