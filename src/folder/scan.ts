// Lists the Markdown files of a folder. Symbolic links are not followed, names that begin with a dot are not looked at,
// and what cannot be looked at is named.

import { type Dirent, lstatSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Fault } from "../lib/fault.ts";
import { fileReason } from "../lib/reason-of.ts";
import type { Left } from "./left.ts";
import { EXTENSION } from "./names.ts";

/** Most files of one folder: the state of all of them is in memory. */
export const MAX_FILES = 100_000;
const MAX_LEVELS = 64;
/** Files that a sync writes before it gives them their names. A dot: nothing else looks at them. */
export const TEMPORARY = ".cairn-part-";
const OLD_MS = 3_600_000;

/** A file as the system describes it. */
export interface Seen {
  size: number;
  /** Whole nanoseconds, as text. */
  mtime: string;
  ctime: string;
  inode: string;
}

/** What is in a folder. */
export interface Scanned {
  /** By path relative to the folder, with `/`. */
  files: Map<string, Seen>;
  left: Left[];
  /** Paths of files or folders that could not be looked at: what is there is not known. */
  unknown: string[];
  /** Files that are no Markdown. */
  others: number;
}

/** Lists a folder. `wanted` judges the names of files. Throws Fault `not_found`, `too_large`. */
export function scanFolder(root: string, wanted = (name: string) => name.toLowerCase().endsWith(EXTENSION)): Scanned {
  const found: Scanned = { files: new Map(), left: [], unknown: [], others: 0 };
  const open: { path: string; level: number }[] = [{ path: "", level: 0 }];
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    let entries: Dirent[];
    try {
      entries = readdirSync(join(root, at.path), { withFileTypes: true });
    } catch (error) {
      if (at.path === "") throw noFolder(root, error);
      leave(found, at.path, `it cannot be listed: ${fileReason(error)}`, "Give this user the right to read it.");
      continue;
    }
    for (const entry of entries) {
      const path = at.path === "" ? entry.name : `${at.path}/${entry.name}`;
      if (entry.isDirectory() && isLookedAt(entry.name) && at.level >= MAX_LEVELS)
        leave(found, path, `it is more than ${MAX_LEVELS} folders deep`, "Move it up.");
      else if (entry.isDirectory() && isLookedAt(entry.name)) open.push({ path, level: at.level + 1 });
      else addFile(found, root, path, entry, wanted);
      if (found.files.size > MAX_FILES)
        throw new Fault("too_large", `${root} has more than ${MAX_FILES} Markdown files`, {
          hint: "Sync its folders one by one, each with a prefix of its own.",
        });
    }
  }
  return found;
}

/** Returns what the system says of a file; undefined where there is none, or it is no plain file. */
export function seenAt(path: string): Seen | undefined {
  const stat = lstatSync(path, { bigint: true, throwIfNoEntry: false });
  return stat?.isFile() === true ? seenOf(stat) : undefined;
}

/** Returns what is compared of a file. */
export function seenOf(stat: { size: bigint; mtimeNs: bigint; ctimeNs: bigint; ino: bigint }): Seen {
  return { size: Number(stat.size), mtime: `${stat.mtimeNs}`, ctime: `${stat.ctimeNs}`, inode: `${stat.ino}` };
}

/** Reports whether two looks at a path saw the same file with the same content. */
export function isSameSeen(one: Seen | undefined, other: Seen | undefined): boolean {
  if (one === undefined || other === undefined) return one === other;
  return one.size === other.size && one.mtime === other.mtime && one.ctime === other.ctime && one.inode === other.inode;
}

function isLookedAt(name: string): boolean {
  return !name.startsWith(".");
}

function addFile(found: Scanned, root: string, path: string, entry: Dirent, wanted: (name: string) => boolean): void {
  const { name } = entry;
  if (name.startsWith(TEMPORARY)) removeOld(join(root, path));
  if (!isLookedAt(name)) return;
  const problem = problemOf(entry);
  if (problem !== undefined) leave(found, path, ...problem);
  else if (entry.isFile() && wanted(name)) {
    const seen = seenAt(join(root, path));
    if (seen === undefined) leave(found, path, "it went away while it was looked at", "Run it again.");
    else found.files.set(path, seen);
  } else if (!entry.isDirectory()) found.others += 1;
}

/** Returns why an entry is not looked at, and what to do. Links are named whatever their name: one may be a folder. */
function problemOf(entry: Dirent): [why: string, hint: string, ignored?: true] | undefined {
  if (entry.name.includes("\uFFFD")) return ["its name is not UTF-8", "Rename it."];
  if (!entry.isSymbolicLink()) return undefined;
  return ["it is a symbolic link, which is not followed", "Put the file itself here, or sync its own folder.", true];
}

/** Removes what a run that was ended has left. One that runs still needs its own. */
function removeOld(part: string): void {
  const seen = seenAt(part);
  const ageMs = Date.now() - Number(BigInt(seen?.mtime ?? 0) / 1_000_000n);
  if (seen !== undefined && ageMs > OLD_MS) rmSync(part, { force: true });
}

function leave(found: Scanned, place: string, why: string, hint: string, ignored?: true): void {
  found.left.push({ place, why, hint, ...(ignored === undefined ? {} : { ignored }) });
  found.unknown.push(place);
}

function noFolder(root: string, cause: unknown): Fault {
  return new Fault("not_found", `Cannot list the folder ${root}: ${fileReason(cause)}`, {
    hint: "Name a folder that is there. If it is on another disk, mount that first.",
    cause,
  });
}
