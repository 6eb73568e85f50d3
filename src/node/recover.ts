// A node goes on alone from the store it has (replication.md 18): the last way out when its fleet, or the half of its data that raft needs, is gone for good.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { Fault } from "../lib/fault.ts";
import { forkHistory } from "../log/new-epoch.ts";
import { lockDataFolder } from "../store/lock.ts";
import { Store } from "../store/store.ts";
import { MIGRATIONS } from "./schema.ts";
import { setRaftAside } from "./set-aside.ts";

export interface Recovered {
  /** The new history. */
  epoch: string;
  /** Where it begins: `<epoch>-<seq>` of the history of before. */
  position: string;
  /** Contexts that are there. */
  contexts: number;
  /** Where the raft folder of before is kept, if there was one. */
  aside: string | undefined;
}

/** Begins a new history, a fleet of one, from the store of a stopped node as it is. Faults `not_found`, `data_locked`, `data_corrupt`, `data_newer`. */
export function recoverNode({ dataDir, nowMs = Date.now }: { dataDir: string; nowMs?: () => number }): Recovered {
  const folder = join(dataDir, "store");
  if (!existsSync(join(folder, "CURRENT"))) {
    throw new Fault("not_found", `There is no store in ${dataDir}`, {
      hint: "Name the data folder with --data, or restore a backup with `cairn restore`.",
    });
  }
  const lock = lockDataFolder(dataDir);
  try {
    const store = Store.open({ folder, migrations: MIGRATIONS, log: () => {} });
    try {
      const before = whereIs(store);
      // The raft folder goes first: without it the store of before is refused at a start, and this can be run again.
      const aside = setRaftAside(dataDir, `cairn recover began a new history from ${before.position}`, nowMs());
      return { ...before, epoch: forkHistory(store), aside };
    } finally {
      store.close();
    }
  } finally {
    lock.release();
  }
}

function whereIs({ reader, path }: Store): { position: string; contexts: number } {
  const head = reader.get<{ seq: number }>("SELECT seq FROM head");
  const epoch = reader.get<{ id: string }>("SELECT id FROM epochs ORDER BY n DESC LIMIT 1");
  if (head === undefined || epoch === undefined) {
    throw new Fault("not_found", `The store ${path} was never begun; there is nothing to recover`, {
      hint: "Restore a backup with `cairn restore`.",
    });
  }
  const count = reader.get<{ n: number }>("SELECT COUNT(*) AS n FROM contexts WHERE deleted = 0");
  return { position: `${epoch.id}-${head.seq}`, contexts: count?.n ?? 0 };
}
