// Backup and restore of a node's store: which file, what it must hold, and a new history after a restore. Never over live data; the tailnet state is no part of it.

import { chmodSync, copyFileSync, existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CONTEXT_TABLES } from "../context/index.ts";
import { Fault } from "../lib/fault.ts";
import { ensurePrivateFolder } from "../lib/private-folder.ts";
import { digestOf, LOG_TABLES } from "../log/digest.ts";
import { beginEpoch } from "../log/new-epoch.ts";
import { type Describe, exists, type Manifest, sync, verifyBackup, writeBackup } from "../store/backup.ts";
import { lockDataFolder } from "../store/lock.ts";
import { databasePath } from "../store/open.ts";
import { Store } from "../store/store.ts";
import { MIGRATIONS } from "./schema.ts";

/** Copies the store of a data folder, of a running node too, into the new folder `to`, and checks the copy. */
export async function backupNode(options: { dataDir: string; to: string; nowMs?: () => number }): Promise<Manifest> {
  const store = join(options.dataDir, "store");
  if (!existsSync(join(store, "CURRENT"))) {
    throw new Fault("not_found", `There is no store in ${options.dataDir}`, {
      hint: "Name the data folder with --data.",
    });
  }
  return writeBackup({ path: databasePath(store), to: options.to, describe, nowMs: options.nowMs ?? Date.now });
}

/** Only checks a backup. */
export function checkBackup(folder: string): Promise<Manifest> {
  return verifyBackup(folder, describe, MIGRATIONS.length);
}

export interface Restored {
  manifest: Manifest;
  /** The new history that begins with it. */
  epoch: string;
}

/** Checks a backup and makes the store of a data folder out of it, which must have none; the store appears whole or not at all. Faults `data_exists`, `data_locked`, `data_corrupt`, `data_newer`. */
export async function restoreNode(options: { from: string; dataDir: string }): Promise<Restored> {
  ensurePrivateFolder(options.dataDir);
  const lock = lockDataFolder(options.dataDir);
  try {
    const target = join(options.dataDir, "store");
    if (existsSync(target)) throw exists(target, "Restore into a data folder without a store, with --data.");
    const manifest = await checkBackup(options.from);
    const partial = `${target}.partial`;
    rmSync(partial, { recursive: true, force: true });
    const epoch = buildStore(partial, join(options.from, manifest.file.name));
    renameSync(partial, target);
    sync(options.dataDir);
    return { manifest, epoch };
  } finally {
    lock.release();
  }
}

function buildStore(folder: string, file: string): string {
  mkdirSync(join(folder, "1"), { recursive: true, mode: 0o700 });
  const copy = join(folder, "1", "cairn.db");
  copyFileSync(file, copy);
  chmodSync(copy, 0o600);
  sync(copy);
  const store = Store.open({ folder, migrations: MIGRATIONS, log: () => {} });
  try {
    return beginEpoch(store);
  } finally {
    store.close();
    writeFileSync(join(folder, "CURRENT"), "1\n", { mode: 0o600 });
    for (const path of [copy, join(folder, "CURRENT"), join(folder, "1"), folder]) sync(path);
  }
}

/** Position, fleet and the digest of everything that counts. */
const describe: Describe = (reader) => {
  const head = reader.get<{ seq: number; hash: Uint8Array }>("SELECT seq, hash FROM head");
  const epoch = reader.get<{ id: string }>("SELECT id FROM epochs ORDER BY n DESC LIMIT 1");
  const fleet = reader.get<{ value: string }>("SELECT value FROM meta WHERE key = 'fleet_id'");
  const count = reader.get<{ n: number }>("SELECT COUNT(*) AS n FROM contexts WHERE deleted = 0");
  return {
    position: `${epoch?.id ?? ""}-${head?.seq ?? 0}`,
    head: Buffer.from(head?.hash ?? []).toString("hex"),
    fleet: fleet?.value ?? "",
    contexts: count?.n ?? 0,
    digest: digestOf(reader, [...LOG_TABLES, ...CONTEXT_TABLES]),
  };
};
