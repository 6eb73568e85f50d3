// Recovers a stopped node alone from what its disk holds (replication.md 18): the last resort when its fleet, or the
// half of its data that raft needs, is lost for good.

import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AGENTS, CLEARED_BY_FORK, OPERATIONS, OWN_EVENTS, STORE_SCHEMA } from "../features/index.ts";
import { flush } from "../lib/atomic-file.ts";
import { Fault } from "../lib/fault.ts";
import { reasonOf } from "../lib/reason-of.ts";
import { RaftLog } from "../log/engine/raft/index.ts";
import { levelOf, refuseHigherLevel } from "../log/level.ts";
import { forkHistory } from "../log/new-epoch.ts";
import { stampClock } from "../log/stamp-clock.ts";
import { logFor } from "../observe/logging.ts";
import { applierOf } from "../operation/registry.ts";
import { lockDataFolder } from "../store/lock.ts";
import { Store } from "../store/store.ts";
import { openTailnet } from "../tailnet/index.ts";
import { clearRequests } from "./next-start.ts";
import { planEngine, startEngine } from "./open-engine.ts";
import { quarantineRaft } from "./quarantine.ts";
import { newestPosition, retiredCount, takeBackRetired } from "./retire.ts";
import { endJoin } from "./unfinished-join.ts";

/** How long the log may be read: seconds, unless a store has to be installed first. */
const REPLAY_MS = 600_000;

export interface Recovered {
  /** The epoch of the new history. */
  epoch: string;
  /** Where the new history begins: `<epoch>-<seq>` of the earlier history. */
  position: string;
  /** How many contexts the store holds. */
  contexts: number;
  /** Where the earlier raft folder is kept, if there was one. */
  aside: string | undefined;
  /** Why entries of the replicated log beyond the store could not be used, if there are any and they could not. */
  unread: string | undefined;
}

/**
 * Begins a new history, a fleet of one, from the store of a stopped node and its raft log. Faults `not_found`,
 * `data_locked`, `data_corrupt`, `data_newer`.
 */
export async function recoverNode(options: { dataDir: string; nowMs?: () => number }): Promise<Recovered> {
  const { dataDir, nowMs = Date.now } = options;
  const folder = join(dataDir, "store");
  if (!existsSync(join(folder, "CURRENT")) && retiredCount(dataDir) === 0) {
    throw new Fault("not_found", `There is no store in ${dataDir}`, {
      hint: "Name the data folder with --data, or restore a backup with `cairn restore`.",
    });
  }
  const lock = lockDataFolder(dataDir);
  try {
    endJoin(dataDir);
    takeBackRetired(dataDir, nowMs());
    const recovered = await beginNewHistory(dataDir, folder, nowMs);
    clearRecoveryMark(dataDir);
    return recovered;
  } finally {
    lock.release();
  }
}

async function beginNewHistory(dataDir: string, folder: string, nowMs: () => number): Promise<Recovered> {
  const store = Store.open({ folder, ...STORE_SCHEMA, log: () => {} });
  try {
    refuseEmptyStore(store);
    refuseHigherLevel(levelOf(store.reader), store.path);
    // From here on the member continues the fleet's history without the other members. A start must be refused until
    // the new history has begun.
    writeFileSync(recoveryMark(dataDir), "", { mode: 0o600 });
    flush(dataDir);
    const unread = await applyLog(dataDir, store);
    const found = positionOf(store);
    // The raft folder goes first: a start refuses a store without it, so this can be run again.
    const aside = quarantineRaft(dataDir, `a new history began from ${found.position}`, nowMs());
    const epoch = forkHistory(store, CLEARED_BY_FORK);
    clearRequests(dataDir);
    return { ...found, epoch, aside, unread };
  } finally {
    store.close();
  }
}

/**
 * Refuses a data folder in which a recovery ended between its steps: this node would continue the old history alone,
 * beside other members that may do the same. Fault `data_corrupt`.
 */
export function refuseBrokenRecovery(dataDir: string): void {
  if (!existsSync(recoveryMark(dataDir))) return;
  throw new Fault("data_corrupt", `A recovery of ${dataDir} did not end`, {
    hint: "Run cairn recover --accept-loss again: it goes on where it ended.",
  });
}

/** Removes the mark: from now on the history is this node's own. */
export function clearRecoveryMark(dataDir: string): void {
  rmSync(recoveryMark(dataDir), { force: true });
  flush(dataDir);
}

function recoveryMark(dataDir: string): string {
  return join(dataDir, "recovering");
}

/**
 * Applies what the raft log holds beyond the store, such as after a loss of power, with a member that needs no other
 * members. Returns the reason if it cannot be applied.
 */
async function applyLog(dataDir: string, store: Store): Promise<string | undefined> {
  if (!existsSync(join(dataDir, "raft", "snapshot.json"))) return undefined;
  const sockets = mkdtempSync(join(tmpdir(), "cairn-recover-"));
  const failed = Promise.withResolvers<never>();
  failed.promise.catch(() => {});
  let log: RaftLog | undefined;
  let half: Awaited<ReturnType<typeof openTailnet>> | undefined;
  try {
    const plan = { ...planEngine(dataDir, store.reader), bootstrap: false, alone: false };
    half = await openTailnet({ dataDir, runtimeDir: sockets, log: logFor("tailnet") });
    const apply = applierOf(OPERATIONS, AGENTS, OWN_EVENTS);
    const raft = new RaftLog({ store, apply, stampMs: stampClock({ nowMs: Date.now }), onFatal: failed.reject });
    log = raft;
    const signal = AbortSignal.timeout(REPLAY_MS);
    signal.addEventListener("abort", () => failed.reject(signal.reason), { once: true });
    writeFileSync(join(dataDir, "raft", "alone"), "", { mode: 0o600 });
    const socketPath = join(sockets, "raft.sock");
    await startEngine({ log: raft, host: half, plan, dataDir, socketPath, profile: "lan", members: [], signal });
    await Promise.race([new Promise<void>((resolve) => raft.onLeading(() => resolve())), failed.promise]);
    return undefined;
  } catch (error) {
    return reasonOf(error);
  } finally {
    await log?.close();
    await half?.raftClose().catch(() => {});
    await half?.close();
    rmSync(sockets, { recursive: true, force: true });
  }
}

function refuseEmptyStore({ reader, path }: Store): void {
  if (reader.get("SELECT 1 FROM epochs") !== undefined) return;
  throw new Fault("not_found", `The store ${path} is empty; there is nothing to recover`, {
    hint: "Restore a backup with `cairn restore`.",
  });
}

function positionOf({ reader }: Store): { position: string; contexts: number } {
  const count = reader.get<{ n: number }>("SELECT COUNT(*) AS n FROM contexts WHERE deleted = 0");
  return { position: newestPosition(reader) ?? "", contexts: count?.n ?? 0 };
}
