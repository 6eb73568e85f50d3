// The TCP ports that a process listens on, read from /proc: Linux only, and only for processes of this user.

import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";

/** The state LISTEN in /proc/net/tcp. */
const LISTEN = "0A";
const LOOPBACK = new Set(["0100007F", "00000000000000000000000001000000"]);

/** Returns the ports on which a process listens, or undefined where that cannot be found out. */
export function openHostPorts(pid: number): { port: number; loopback: boolean }[] | undefined {
  if (process.platform !== "linux") return undefined;
  let inodes: Set<string>;
  try {
    const folder = `/proc/${pid}/fd`;
    inodes = new Set(readdirSync(folder).flatMap((name) => socketInode(join(folder, name))));
  } catch {
    return undefined;
  }
  return ["/proc/net/tcp", "/proc/net/tcp6"].flatMap((file) =>
    readText(file)
      .split("\n")
      .slice(1)
      .flatMap((line) => {
        const [, local = "", , state, , , , , , inode = ""] = line.trim().split(/\s+/);
        const [address = "", port = ""] = local.split(":");
        if (state !== LISTEN || !inodes.has(inode)) return [];
        return [{ port: Number.parseInt(port, 16), loopback: LOOPBACK.has(address) }];
      }),
  );
}

function socketInode(path: string): string[] {
  try {
    const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(path))?.[1];
    return inode === undefined ? [] : [inode];
  } catch {
    return [];
  }
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
