// A node goes on alone with what its disk holds (replication.md 18): the last way out when its fleet, or the half of its data that raft needs, is gone for good.

import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CLEARED_BY_FORK, MIGRATIONS, OPERATIONS } from "../features/index.ts";
import { flush } from "../lib/atomic-file.ts";
import { Fault } from "../lib/fault.ts";
import { reasonOf } from "../lib/reason-of.ts";
import { RaftLog } from "../log/engine/raft/index.ts";
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

/** Reading a log again is done in seconds; a store may have to be installed before. */
const REPLAY_MS = 600_000;

export interface Recovered {
  /** The new history. */
  epoch: string;
  /** Where it begins: `<epoch>-<seq>` of the history of before. */
  position: string;
  /** Contexts that are there. */
  contexts: number;
  /** Where the raft folder of before is kept, if there was one. */
  aside: string | undefined;
  /** Why what the replicated log held beyond the store could not be used, if there is a log and it could not. */
  unread: string | undefined;
}

/** Begins a new history, a fleet of one, from the store of a stopped node and the log beside it. Faults `not_found`, `data_locked`, `data_corrupt`, `data_newer`. */
export async function recoverNode(options: { dataDir: string; nowMs?: () => number }): Promise<Recovered> {
  const { dataDir, nowMs = Date.now } = options;
  const folder = join(dataDir, "store");
  if (!existsSync(join(folder, "CURRENT"))) {
    throw new Fault("not_found", `There is no store in ${dataDir}`, {
      hint: "Name the data folder with --data, or restore a backup with `cairn restore`.",
    });
  }
  const lock = lockDataFolder(dataDir);
  try {
    const recovered = await beginNewHistory(dataDir, folder, nowMs);
    clearRecoveryMark(dataDir);
    return recovered;
  } finally {
    lock.release();
  }
}

async function beginNewHistory(dataDir: string, folder: string, nowMs: () => number): Promise<Recovered> {
  const store = Store.open({ folder, migrations: MIGRATIONS, log: () => {} });
  try {
    refuseEmptyStore(store);
    // From here on the member goes on without the others, in what is still their history: nothing may be started from that.
    writeFileSync(recoveryMark(dataDir), "", { mode: 0o600 });
    flush(dataDir);
    const unread = await applyLog(dataDir, store);
    const found = positionOf(store);
    // The raft folder goes first: without it the store of before is refused at a start, and this can be run again.
    const aside = quarantineRaft(dataDir, `a new history began from ${found.position}`, nowMs());
    const epoch = forkHistory(store, CLEARED_BY_FORK);
    clearRequests(dataDir);
    return { ...found, epoch, aside, unread };
  } finally {
    store.close();
  }
}

/** Fault `data_corrupt` for a data folder where a recovery ended between its steps: the old history would be gone on with by this node alone, beside others that may do so too. */
export function refuseBrokenRecovery(dataDir: string): void {
  if (!existsSync(recoveryMark(dataDir))) return;
  throw new Fault("data_corrupt", `A recovery of ${dataDir} did not end`, {
    hint: "Run cairn recover --accept-loss again: it goes on where it ended.",
  });
}

/** The history that begins now is this node's own. */
export function clearRecoveryMark(dataDir: string): void {
  rmSync(recoveryMark(dataDir), { force: true });
  flush(dataDir);
}

function recoveryMark(dataDir: string): string {
  return join(dataDir, "recovering");
}

/** The log may hold more than the store, as after a loss of power: it is applied as far as it goes, by a member that counts on nobody else. Answers why not. */
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
    const apply = applierOf(OPERATIONS);
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
  const head = reader.get<{ seq: number }>("SELECT seq FROM head");
  const epoch = reader.get<{ id: string }>("SELECT id FROM epochs ORDER BY n DESC LIMIT 1");
  const count = reader.get<{ n: number }>("SELECT COUNT(*) AS n FROM contexts WHERE deleted = 0");
  return { position: `${epoch?.id ?? ""}-${head?.seq ?? 0}`, contexts: count?.n ?? 0 };
}
