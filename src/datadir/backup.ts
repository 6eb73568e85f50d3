// Backup and restore of a node's store: what a backup contains and how it is checked, and the new history that begins
// with a restore. Never overwrites live data; the tailnet state is not part of it.

import { chmodSync, copyFileSync, existsSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { CLEARED_BY_FORK, DIGEST_TABLES, MIGRATIONS } from "../features/index.ts";
import { flush, renameDurably, writeAtomic } from "../lib/atomic-file.ts";
import { Fault } from "../lib/fault.ts";
import { ensurePrivateFolder } from "../lib/private-folder.ts";
import { digestOf } from "../log/digest.ts";
import { fleetOf } from "../log/history.ts";
import { forkHistory } from "../log/new-epoch.ts";
import { verifyChain } from "../log/verify.ts";
import { type Describe, dataExists, type Manifest, verifyBackup, writeBackup } from "../store/backup.ts";
import { lockDataFolder } from "../store/lock.ts";
import { databasePath } from "../store/open.ts";
import { Store } from "../store/store.ts";
import { clearRequests } from "./next-start.ts";
import { quarantineData } from "./quarantine.ts";
import { clearRecoveryMark } from "./recover.ts";

/** How long the check of the chain may take: a million changes take seconds, on a small machine minutes. */
const CHAIN_MS = 60 * 60_000;

/** Copies the store of a data folder into the new folder `to` and checks the copy. The node may be running. */
export async function backupNode(options: { dataDir: string; to: string; nowMs?: () => number }): Promise<Manifest> {
  const store = join(options.dataDir, "store");
  if (!existsSync(join(store, "CURRENT"))) {
    throw new Fault("not_found", `There is no store in ${options.dataDir}`, {
      hint: "Name the data folder with --data.",
    });
  }
  return writeBackup({ path: databasePath(store), to: options.to, describe, nowMs: options.nowMs ?? Date.now });
}

/** Checks a backup and changes nothing. */
export function checkBackup(folder: string): Promise<Manifest> {
  return verifyBackup(folder, describe, MIGRATIONS.length);
}

/** The result of a restore. */
export interface Restored {
  manifest: Manifest;
  /** The new history that begins with it. */
  epoch: string;
  /** Where the earlier store and raft folder are kept, if there were any. */
  aside: string | undefined;
}

export interface RestoreOptions {
  /** Folder of the backup. */
  from: string;
  dataDir: string;
  /** Moves an existing store to aside/; without it an existing store is refused. */
  aside?: boolean;
  nowMs?: () => number;
}

/**
 * Checks a backup and makes it the store of a data folder. The store appears complete or not at all, and nothing is
 * overwritten. Faults `data_exists`, `data_locked`, `data_corrupt`, `data_newer`.
 */
export async function restoreNode({ from, dataDir, aside, nowMs = Date.now }: RestoreOptions): Promise<Restored> {
  ensurePrivateFolder(dataDir);
  const lock = lockDataFolder(dataDir);
  try {
    const target = join(dataDir, "store");
    if (existsSync(target) && aside !== true)
      throw dataExists(
        target,
        "Restore into a data folder without a store, with --data, or keep this one with --aside.",
      );
    const manifest = await checkBackup(from);
    const partial = `${target}.partial`;
    rmSync(partial, { recursive: true, force: true });
    const epoch = buildStore(partial, join(from, manifest.file.name));
    // The old store moves only now, when the new one is complete and flushed. The replicated log moves with it, since
    // it continues from another state.
    const kept = quarantineData(dataDir, `cairn restore put the backup ${from} in its place`, nowMs());
    clearRequests(dataDir);
    renameDurably(partial, target);
    clearRecoveryMark(dataDir);
    return { manifest, epoch, aside: kept };
  } finally {
    lock.release();
  }
}

/**
 * Refuses a data folder in which a restore ended between its last two steps, since a start would make an empty store.
 * Fault `data_corrupt`.
 */
export function refuseBrokenRestore(dataDir: string): void {
  const target = join(dataDir, "store");
  if (existsSync(target) || !existsSync(`${target}.partial`)) return;
  throw new Fault("data_corrupt", `A restore into ${dataDir} did not end`, {
    hint: "Run cairn restore again; the earlier store is in aside/.",
  });
}

function buildStore(folder: string, file: string): string {
  mkdirSync(join(folder, "1"), { recursive: true, mode: 0o700 });
  const copy = join(folder, "1", "cairn.db");
  copyFileSync(file, copy);
  chmodSync(copy, 0o600);
  flush(copy);
  const store = Store.open({ folder, migrations: MIGRATIONS, log: () => {} });
  try {
    return forkHistory(store, CLEARED_BY_FORK);
  } finally {
    store.close();
    writeAtomic(join(folder, "CURRENT"), "1\n");
    for (const path of [copy, join(folder, "1"), folder]) flush(path);
  }
}

/**
 * Returns position, fleet and the digest of all replicated tables. Fault `data_corrupt` where the chain of changes is
 * broken.
 */
const describe: Describe = async (reader) => {
  const head = reader.get<{ seq: number; hash: Uint8Array }>("SELECT seq, hash FROM head");
  const { fleet, epoch } = fleetOf(reader);
  const count = reader.get<{ n: number }>("SELECT COUNT(*) AS n FROM contexts WHERE deleted = 0");
  const known = { seq: head?.seq ?? 0, hash: head?.hash ?? new Uint8Array(32) };
  const { problem } = await verifyChain(reader, known, AbortSignal.timeout(CHAIN_MS));
  if (problem !== undefined) {
    throw new Fault("data_corrupt", `The audit of the copy does not hold: ${problem}`, {
      hint: "See `cairn audit --verify`; if it says the same of the node, restore an earlier backup.",
    });
  }
  return {
    position: `${epoch}-${head?.seq ?? 0}`,
    head: Buffer.from(head?.hash ?? []).toString("hex"),
    fleet,
    contexts: count?.n ?? 0,
    digest: digestOf(reader, DIGEST_TABLES),
  };
};
