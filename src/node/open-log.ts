// Opens the store and the log of a full member, before anything is started over them.

import { join } from "node:path";
import type { Settings } from "../config/settings.ts";
import { archiveForks, archiveRetired } from "../datadir/index.ts";
import { isJumpConfirmed } from "../fleet/index.ts";
import { lastClockSyncMs } from "../lib/clock-sync.ts";
import type { Closers } from "../lib/closers.ts";
import { Fault } from "../lib/fault.ts";
import { reasonOf } from "../lib/reason-of.ts";
import { DirectLog } from "../log/engine/direct/index.ts";
import { RaftLog } from "../log/engine/raft/index.ts";
import type { Apply } from "../log/log.ts";
import { stampClock } from "../log/stamp-clock.ts";
import type { Membership } from "../membership/index.ts";
import type { Conditions } from "../observe/conditions.ts";
import { logFor } from "../observe/logging.ts";
import { cleanCopyOf, schemaOf } from "../operation/derive.ts";
import type { Feature } from "../operation/feature.ts";
import { Store } from "../store/store.ts";

export interface OpenStoreOptions {
  settings: Settings & { readonly data: string };
  /** What orders writes: `direct` only in tests of what lies above. */
  engine: "raft" | "direct";
  features: readonly Feature[];
  closers: Closers;
}

export interface OpenLogOptions extends OpenStoreOptions {
  store: Store;
  apply: Apply;
  conditions: Conditions;
  membership: Pick<Membership, "clockOffMs" | "clocks" | "successor" | "mayErase">;
  nowMs: () => number;
  /** The store can no longer be trusted, or raft has ended: the process must end. */
  onFatal: (fault: Fault) => void;
}

/** Opens the store of a full member. Throws Faults of the store. */
export function openStore({ settings, engine, closers, features }: OpenStoreOptions): Store {
  const store = Store.open({
    folder: join(settings.data, "store"),
    ...schemaOf(features),
    log: logFor("store"),
    // Under raft, raft's log is the durable one.
    sync: engine === "raft" ? "checkpoint" : "commit",
  });
  closers.add("store", () => store.close());
  return store;
}

/** Opens the log of a full member. A raft log is readable now and takes writes once it is started. */
export function openLog(options: OpenLogOptions): RaftLog | DirectLog {
  return options.engine === "raft" ? openRaft(options) : openDirect(options);
}

function openRaft(options: OpenLogOptions): RaftLog {
  const raft = raftLogOf(options);
  // The process may have ended right after the fleet's copy was installed.
  if (raft.ready()) archiveReplacedStores(options.settings.data, options.store, options.nowMs());
  return raft;
}

function raftLogOf(options: OpenLogOptions): RaftLog {
  const { settings, store, apply, conditions, membership, nowMs, features, onFatal } = options;
  return new RaftLog({
    store,
    apply,
    stampMs: stampClock({
      nowMs,
      onJump: (aheadMs) => reportClockJump(conditions, aheadMs),
      offMs: () => membership.clockOffMs(),
      isConfirmed: (jump) => isJumpConfirmed(jump, membership.clocks(), lastClockSyncMs()),
      lastMs: () => store.reader.get<{ log_time: number }>("SELECT log_time FROM head")?.log_time ?? 0,
    }),
    onFatal,
    successor: () => membership.successor(),
    mayErase: (index) => membership.mayErase(index),
    onErasureDelay: (reason) => logFor("store")("warning", `purged texts are still on the disk: ${reason}`),
    cleanCopy: cleanCopyOf(features),
    onJoined: () => archiveReplacedStores(settings.data, store, nowMs()),
  });
}

function openDirect({ store, apply, nowMs, onFatal }: OpenLogOptions): DirectLog {
  return new DirectLog({ store, apply, nowMs, onFatal: (error) => onFatal(storeFailed(error)) });
}

function reportClockJump(conditions: Conditions, aheadMs: number): void {
  const text = `The clock of this machine is ${Math.round(aheadMs / 1000)} s ahead of the time that went by`;
  if (aheadMs === 0) conditions.clear("clock_jumped");
  else conditions.raise("clock_jumped", text);
}

/**
 * The fleet's store is here: what this node gave up for it moves to `aside/` for good. The export beside it is only for
 * people, so joining goes on if it fails.
 */
function archiveReplacedStores(dataDir: string, store: Store, nowMs: number): void {
  const log = logFor("store");
  try {
    for (const home of archiveRetired(dataDir, nowMs)) log("info", `what this node gave up is kept in ${home}`);
    for (const home of archiveForks(dataDir, store.reader))
      log("info", `what only this node had is written down in ${home}`);
  } catch (error) {
    log("warning", `what only this node had could not be written down: ${String(error)}`);
  }
}

function storeFailed(cause: unknown): Fault {
  return new Fault("data_corrupt", `The store failed and the node stops: ${reasonOf(cause)}`, {
    hint: "Look at the disk of the data folder, then start again; every acknowledged write is on disk.",
    cause,
  });
}
