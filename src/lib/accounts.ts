// Accounts of this machine, from /etc/passwd and /etc/group: names for uids, gids of groups, and the groups that decide
// what an account may read. What only a directory service knows is not found.

import { readFileSync } from "node:fs";

/** An account with the groups that decide what it may read. */
export interface Account {
  name: string;
  uid: number;
  /** Its own group and those that list it. */
  gids: readonly number[];
  home: string;
}

/** Returns the account of a name or uid; undefined where the files have none. */
export function findAccount(wanted: string | number): Account | undefined {
  const row = rowsOf("/etc/passwd").find(([name, , uid]) => name === wanted || uid === String(wanted));
  if (row === undefined) return undefined;
  const [name = "", , uid, gid, , home = "/"] = row;
  const others = rowsOf("/etc/group").filter(([, , , members = ""]) => members.split(",").includes(name));
  return { name, uid: Number(uid), gids: [Number(gid), ...others.map(([, , other]) => Number(other))], home };
}

/** Returns the gid of a group by its name; undefined where the file has none. */
export function findGroup(wanted: string): number | undefined {
  const gid = Number(rowsOf("/etc/group").find(([name]) => name === wanted)?.[2]);
  return Number.isSafeInteger(gid) ? gid : undefined;
}

/** Returns a uid as people know it: `cairn (uid 999)`. */
export function nameOfUid(uid: number): string {
  const name = findAccount(uid)?.name;
  return name === undefined ? `uid ${uid}` : `${name} (uid ${uid})`;
}

/** Returns how to run cairn as the owner of something: `sudo -u cairn cairn …`. */
export function asOwner(uid: number): string {
  return `sudo -u ${findAccount(uid)?.name ?? `'#${uid}'`} cairn …`;
}

function rowsOf(file: string): string[][] {
  try {
    return readFileSync(file, "utf8")
      .split("\n")
      .filter((line) => line !== "" && !line.startsWith("#"))
      .map((line) => line.split(":"));
  } catch {
    return [];
  }
}
