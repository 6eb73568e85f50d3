// Keeps a data folder to one process. The lock is SQLite's own file lock, which the kernel frees however the process
// ends; the pid file only names the holder.

import { Database } from "bun:sqlite";
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Fault } from "../lib/fault.ts";
import { refuseOtherOwner } from "../lib/private-folder.ts";
import { fullAtStart, isStorageFull } from "./damage.ts";

/** A data folder that this process holds. */
export interface DataLock {
  release(): void;
}

/**
 * Locks a file that exists, until it is released or this process ends; undefined: another process holds it. `inode` is
 * that of the locked file, which may have lost its name meanwhile.
 */
export function tryLockFile(path: string): (DataLock & { inode: number }) | undefined {
  const before = statSync(path, { throwIfNoEntry: false })?.ino ?? 0;
  const lock = new Database(path, { create: true, readwrite: true });
  try {
    lock.run("PRAGMA busy_timeout = 0");
    lock.run("BEGIN EXCLUSIVE");
    return { inode: before, release: () => lock.close() };
  } catch (error) {
    lock.close();
    if (isBusy(error)) return undefined;
    throw error;
  }
}

/** Reports whether a process holds the folder, and its pid as it wrote it. Changes nothing. */
export function lockHolder(dataDir: string): { held: boolean; pid: number | undefined } {
  const path = join(dataDir, "cairn.lock");
  const pid = readPid(join(dataDir, "cairn.pid"));
  if (!existsSync(path)) return { held: false, pid };
  const lock = new Database(path, { readwrite: true });
  try {
    lock.run("PRAGMA busy_timeout = 0");
    lock.run("BEGIN EXCLUSIVE");
    return { held: false, pid };
  } catch (error) {
    return { held: isBusy(error), pid };
  } finally {
    lock.close();
  }
}

/**
 * Locks the folder for this process. Faults: `data_locked`, which names the holder's pid,
 * `data_unsafe` for another user's folder, `storage_full`.
 */
export function lockDataFolder(dataDir: string): DataLock {
  refuseOtherOwner(dataDir, statSync(dataDir));
  const pidFile = join(dataDir, "cairn.pid");
  const lock = new Database(join(dataDir, "cairn.lock"), { create: true, readwrite: true });
  try {
    lock.run("PRAGMA busy_timeout = 0");
    lock.run("PRAGMA locking_mode = EXCLUSIVE");
    lock.run("BEGIN EXCLUSIVE");
    writeFileSync(pidFile, `${process.pid}\n`, { mode: 0o600 });
  } catch (error) {
    lock.close();
    // Taking a lock writes; any other failure has nothing to do with another process.
    if (!isBusy(error)) throw isStorageFull(error) ? fullAtStart(dataDir, error) : error;
    const pid = readPid(pidFile);
    throw new Fault(
      "data_locked",
      `Another cairn process${pid === undefined ? "" : ` (pid ${pid})`} uses the data folder ${dataDir}`,
      {
        hint:
          pid === undefined
            ? "Stop it, or name another folder with --data."
            : `Stop it with kill ${pid}, or name another folder with --data.`,
        details: pid === undefined ? {} : { pid },
      },
    );
  }
  return {
    release: () => {
      rmSync(pidFile, { force: true });
      lock.close();
    },
  };
}

function isBusy(error: unknown): boolean {
  return error instanceof Error && "code" in error && String(error.code).startsWith("SQLITE_BUSY");
}

function readPid(file: string): number | undefined {
  try {
    const pid = Number(readFileSync(file, "utf8").trim());
    return Number.isSafeInteger(pid) && pid > 0 ? pid : undefined;
  } catch {
    return undefined;
  }
}
