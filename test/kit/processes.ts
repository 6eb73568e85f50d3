// What Linux reports about a process: its children, the TCP ports it listens on, its arguments and its environment.

import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/** Listening state in /proc/net/tcp. */
const LISTEN = "0A";

/** Returns every process that there is now. */
export function allProcesses(): number[] {
  return names("/proc").map(Number).filter(Number.isInteger);
}

/** Reports whether a process runs; one that has ended and was not waited for does not. */
export function isRunning(pid: number): boolean {
  return /^State:\s+[^ZX]/m.test(tryRead(`/proc/${pid}/status`));
}

/** Returns the process and all its descendants. */
export function processTree(pid: number): number[] {
  const parents = new Map<number, number>();
  for (const found of allProcesses()) {
    const stat = tryRead(`/proc/${found}/stat`);
    // The command in parentheses may contain anything, blanks and parentheses too.
    const parent = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
    if (Number.isInteger(parent)) parents.set(found, parent);
  }
  const tree = [pid];
  for (const member of tree) for (const [child, parent] of parents) if (parent === member) tree.push(child);
  return tree;
}

/** Returns the TCP ports of the host on which the process or a descendant listens, by the inodes of their sockets. */
export function listeningPorts(pid: number): number[] {
  const inodes = new Set(processTree(pid).flatMap(socketInodes));
  const ports: number[] = [];
  for (const file of ["/proc/net/tcp", "/proc/net/tcp6"]) {
    for (const line of tryRead(file).trim().split("\n").slice(1)) {
      const [, local = "", , state, , , , , , inode = ""] = line.trim().split(/\s+/);
      if (state === LISTEN && inodes.has(inode)) ports.push(Number.parseInt(local.split(":").at(-1) ?? "", 16));
    }
  }
  return ports.sort((one, other) => one - other);
}

/** Returns the words of the command line. */
export function commandLine(pid: number): string {
  return tryRead(`/proc/${pid}/cmdline`).replaceAll("\0", " ");
}

/** Returns the environment it was started with. */
export function environment(pid: number): Record<string, string> {
  const entries = tryRead(`/proc/${pid}/environ`).split("\0").filter(Boolean);
  return Object.fromEntries(
    entries.map((entry) => [entry.slice(0, entry.indexOf("=")), entry.slice(entry.indexOf("=") + 1)]),
  );
}

function socketInodes(pid: number): string[] {
  const folder = `/proc/${pid}/fd`;
  return names(folder).flatMap((name) => {
    const inode = /^socket:\[(\d+)\]$/.exec(link(`${folder}/${name}`))?.[1];
    return inode === undefined ? [] : [inode];
  });
}

// A process or descriptor may disappear while it is read.
function names(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function link(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}

function tryRead(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
