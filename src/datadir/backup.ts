// Backup and restore of a node's store: what a backup contains and how it is checked, and the new history that begins
// with a restore. Never overwrites live data; the tailnet state is not part of it.

import { chmodSync, copyFileSync, existsSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { CLEARED_BY_FORK, DIGEST_TABLES, STORE_SCHEMA } from "../features/index.ts";
import { flush, renameDurably, writeAtomic } from "../lib/atomic-file.ts";
import { Fault } from "../lib/fault.ts";
import { ensurePrivateFolder } from "../lib/private-folder.ts";
import { digestOf } from "../log/digest.ts";
import { type FleetKeys, takeFleetKeys, writeFleetKey } from "../log/fleet-key.ts";
import { fleetOf } from "../log/history.ts";
import { levelOf, refuseHigherLevel } from "../log/level.ts";
import { forkHistory } from "../log/new-epoch.ts";
import { verifyChain } from "../log/verify.ts";
import {
  type Describe,
  dataExists,
  type Manifest,
  readManifest,
  type VerifiedBackup,
  verifyBackup,
  writeBackup,
} from "../store/backup.ts";
import { lockDataFolder } from "../store/lock.ts";
import { databasePath } from "../store/open.ts";
import { Store } from "../store/store.ts";
import { keysOfFolder } from "./fleet-keys.ts";
import { clearRequests } from "./next-start.ts";
import { quarantineData } from "./quarantine.ts";
import { clearRecoveryMark } from "./recover.ts";
import { endJoin } from "./unfinished-join.ts";

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
  return writeBackup({
    path: databasePath(store),
    to: options.to,
    schema: STORE_SCHEMA,
    describe,
    // A key inside the copy would let anyone who can write the copy seal it again.
    takeKey: (tx) => takeFleetKeys(tx).get(fleetOf(tx).fleet),
    nowMs: options.nowMs ?? Date.now,
  });
}

/** Checks a backup and changes nothing. Its seal is checked if `keys` has the key of its fleet. */
export function checkBackup(folder: string, keys: FleetKeys): Promise<VerifiedBackup> {
  const keyFor = ({ fleet }: Manifest["content"]): string | undefined => keys.get(String(fleet));
  return verifyBackup({ folder, schema: STORE_SCHEMA, describe, keyFor });
}

/** The result of a restore. */
export interface Restored extends VerifiedBackup {
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
  /** Keys beyond those of the data folder, as from a key file. */
  keys?: FleetKeys;
  nowMs?: () => number;
}

/**
 * Checks a backup and makes it the store of a data folder. The store appears complete or not at all, and nothing is
 * overwritten. Faults `not_found`, `data_exists`, `data_locked`, `data_corrupt`, `data_newer`.
 */
export async function restoreNode(options: RestoreOptions): Promise<Restored> {
  const { from, dataDir, aside, nowMs = Date.now } = options;
  readManifest(from);
  ensurePrivateFolder(dataDir);
  const lock = lockDataFolder(dataDir);
  try {
    const target = join(dataDir, "store");
    if (existsSync(target) && aside !== true)
      throw dataExists(
        target,
        "Restore into a data folder without a store, with --data, or keep this one with --aside.",
      );
    const keys = new Map([...keysOfFolder(dataDir), ...(options.keys ?? [])]);
    const { manifest, sealed } = await checkBackup(from, keys);
    const partial = `${target}.partial`;
    rmSync(partial, { recursive: true, force: true });
    const epoch = await buildStore(partial, join(from, manifest.file.name), keys);
    // The old store moves only now, when the new one is complete and flushed. The replicated log moves with it, since
    // it continues from another state.
    const kept = quarantineData(dataDir, `cairn restore put the backup ${from} in its place`, nowMs());
    clearRequests(dataDir);
    endJoin(dataDir);
    renameDurably(partial, target);
    clearRecoveryMark(dataDir);
    return { manifest, sealed, epoch, aside: kept };
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

/** Builds the new store from a checked file. It keeps `keys`, so that earlier backups can still be verified. */
async function buildStore(folder: string, file: string, keys: FleetKeys): Promise<string> {
  mkdirSync(join(folder, "1"), { recursive: true, mode: 0o700 });
  const copy = join(folder, "1", "cairn.db");
  copyFileSync(file, copy);
  chmodSync(copy, 0o600);
  flush(copy);
  const store = Store.open({ folder, ...STORE_SCHEMA, log: () => {} });
  try {
    store.transaction((tx) => {
      for (const [fleetId, key] of keys) writeFleetKey(tx, fleetId, key);
    });
    return forkHistory(store, CLEARED_BY_FORK);
  } finally {
    store.close();
    writeAtomic(join(folder, "CURRENT"), "1\n");
    for (const path of [copy, join(folder, "1"), folder]) flush(path);
  }
}

/**
 * Returns position, fleet and the digest of all replicated tables. Fault `data_corrupt` where the chain of changes is
 * broken, `data_newer` for a higher fleet level than this build knows.
 */
const describe: Describe = async (reader) => {
  refuseHigherLevel(levelOf(reader), "The backup");
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
