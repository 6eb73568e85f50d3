// Checks of the data folder: permissions, lock, free space, the extracted native files, the store. Changes nothing.

import { createReadStream, existsSync, lstatSync, readdirSync, statfsSync } from "node:fs";
import { join } from "node:path";
import type { Environment } from "../../config/environment.ts";
import { socketCandidates } from "../../config/paths.ts";
import { inspectNodeStore } from "../../datadir/index.ts";
import { nameOfUid } from "../../lib/accounts.ts";
import { counted } from "../../lib/counted.ts";
import { Fault } from "../../lib/fault.ts";
import { Sha256 } from "../../lib/sha256.ts";
import { DiskGauge } from "../../store/disk.ts";
import { lockHolder } from "../../store/lock.ts";
import { type Finding, fail, ok, warn } from "./finding.ts";

/** Most files with wrong permissions that are listed, and most files that are looked at. */
const MAX_LISTED = 5;
const MAX_LOOKED_AT = 20_000;
/** A last change this far in the future, in ms, is a warning or a failure. */
const CLOCK_WARN_MS = 5_000;
const CLOCK_FAIL_MS = 3_600_000;

/** Checks mode and owner of everything in the data folder. */
export function checkModes(dataDir: string): Finding {
  const check = "folder modes";
  if (!existsSync(dataDir)) return warn(check, `${dataDir} does not exist yet`, "Start a node: cairn serve.");
  const owner = lstatSync(dataDir).uid;
  const open: string[] = [];
  const pending = [dataDir];
  let looked = 0;
  for (let path = pending.pop(); path !== undefined && looked < MAX_LOOKED_AT; path = pending.pop()) {
    looked += 1;
    const found = lstatSync(path, { throwIfNoEntry: false });
    if (found === undefined || found.isSymbolicLink()) continue;
    if ((found.mode & 0o077) !== 0) open.push(`${path} (mode ${(found.mode & 0o777).toString(8)})`);
    else if (found.uid !== owner) open.push(`${path} (belongs to ${nameOfUid(found.uid)})`);
    if (found.isDirectory()) pending.push(...readdirSync(path).map((name) => join(path ?? "", name)));
  }
  if (open.length === 0) return ok(check, `${dataDir} is private to ${nameOfUid(owner)}`);
  const listed = open.slice(0, MAX_LISTED).join(", ");
  const more = open.length > MAX_LISTED ? ` and ${open.length - MAX_LISTED} more` : "";
  return fail(
    check,
    `others can access ${listed}${more}`,
    `Restrict it: chmod -R go= ${dataDir}. What belongs to another user than ${nameOfUid(owner)} was made by a command that ran as that user: stop the node before you give it back.`,
  );
}

/** Compares the process that holds the folder's lock with the node that answers. */
export function checkLock(dataDir: string, env: Environment, answers: boolean): Finding {
  const check = "lock";
  if (!existsSync(dataDir)) return ok(check, "free");
  const { held, pid } = lockHolder(dataDir);
  if (!held) return ok(check, "free: no node uses the folder");
  const holder = pid === undefined ? "a process" : `pid ${pid}`;
  if (answers) return ok(check, `held by ${holder}, which answers`);
  const socket = socketCandidates(dataDir, env).find((path) => existsSync(path));
  const where = socket === undefined ? " and whose socket is not found from here" : ` at ${socket}`;
  return fail(
    check,
    `held by ${holder}, which does not answer${where}`,
    pid === undefined ? "Find the process with fuser cairn.lock." : `See its log; end it with kill ${pid} if it hangs.`,
  );
}

/** Checks the free space. */
export function checkDisk(dataDir: string): Finding {
  if (!existsSync(dataDir)) return ok("disk", "no data folder yet");
  const { bsize, blocks, bavail } = statfsSync(dataDir);
  return judgeDisk(new DiskGauge(dataDir, () => 0).refusal(), {
    freeBytes: bavail * bsize,
    totalBytes: blocks * bsize,
  });
}

/** Judges free space: too little for writes is a failure, less than a tenth of the disk (2 GiB) a warning. */
export function judgeDisk(refusal: Fault | undefined, disk: { freeBytes: number; totalBytes: number }): Finding {
  const text = `${mib(disk.freeBytes)} of ${mib(disk.totalBytes)} free`;
  if (refusal !== undefined) return fail("disk", `${text}; writes are refused`, refusal.hint ?? "Free space.");
  if (disk.freeBytes < Math.min(disk.totalBytes / 10, 2 * 1024 ** 3))
    return warn("disk", text, "Free space soon: below a twentieth (at most 1 GiB) writes are refused.");
  return ok("disk", text);
}

/** Compares each extracted native file with the hash that is its name. */
export async function checkLibrary(dataDir: string): Promise<Finding> {
  const folder = join(dataDir, "lib");
  const files = existsSync(folder) ? readdirSync(folder).filter((name) => /^[0-9a-f]{64}\./.test(name)) : [];
  for (const name of files) {
    const hash = new Sha256();
    for await (const chunk of createReadStream(join(folder, name))) hash.update(chunk as Uint8Array);
    if (hash.hex() === name.slice(0, 64)) continue;
    return fail(
      "library",
      `the hash of ${join(folder, name)} is not the one in its name`,
      "Restart the node, which replaces it; then find out what changed it, or check the disk.",
    );
  }
  return ok(
    "library",
    files.length === 0
      ? "not extracted yet"
      : `${counted(files.length, "native file has the hash of its name", "native files have the hashes of their names")}`,
  );
}

/** Reads every page of the store, and compares the time of its last change with the clock. */
export function checkStore(dataDir: string, nowMs: number): Finding[] {
  try {
    const found = inspectNodeStore(dataDir);
    if (found === undefined) return [ok("store", "no store yet")];
    const { bytes, walBytes, schema, seen } = found;
    const size = `${mib(bytes)} and ${mib(walBytes)} log`;
    const text = `every page is intact; ${counted(seen.contexts, "context")}, ${size}, schema ${schema}`;
    return [ok("store", text), judgeClock(seen.lastChangeMs, nowMs)];
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    return [fail("store", error.message, error.hint ?? "Restore the last backup.")];
  }
}

/** Judges the time of the last change: if it is in the future, the clock was set back, or was wrong then. */
export function judgeClock(lastChangeMs: number, nowMs: number): Finding {
  const aheadMs = lastChangeMs - nowMs;
  const text = `the last change was written ${Math.round(aheadMs / 1000)} s in the future by this clock`;
  const hint = "Set the clock (NTP); until it has caught up, new changes carry the time of that change.";
  if (aheadMs > CLOCK_FAIL_MS) return fail("clock", text, hint);
  return aheadMs > CLOCK_WARN_MS ? warn("clock", text, hint) : ok("clock", "not behind the last change");
}

function mib(bytes: number): string {
  return bytes < 1024 ** 2 ? `${Math.ceil(bytes / 1024)} KiB` : `${Math.floor(bytes / 1024 ** 2)} MiB`;
}
