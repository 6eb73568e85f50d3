// What the node does by itself to its store, in small steps between other work: proposes compactions where limits are passed, while it leads, and compresses texts that rest.
// Compression is this node's own business and no command: no state that counts changes by it.

import { setImmediate as nextTurn } from "node:timers/promises";
import { MAX_COMPACTED_CHANGES } from "../../log/compact.ts";
import type { Lead } from "../../log/duties.ts";
import type { Log } from "../../log/log.ts";
import type { WriteLimits } from "../../operation/define.ts";
import type { Reader, Store } from "../../store/store.ts";
import { changesCompact, historyCompact, MAX_COMPACTED_VERSIONS } from "./compaction.ts";
import { PLAIN, ZSTD } from "./rows.ts";
import { stampedLimits } from "./stamped-limits.ts";

export interface MaintenanceOptions {
  store: Store;
  /** Where compactions are proposed. */
  log: () => Log;
  limits: WriteLimits;
  /** Changes kept; 0: all. */
  maxChanges: number;
  nowMs: () => number;
  onError: (error: unknown) => void;
}

const EVERY_MS = 60_000;
/** Contexts looked at in one step of a sweep. */
const STEP = 200;
/** A text that nobody replaced for so long is compressed. */
const RESTS_AFTER_MS = 10 * 60_000;
const COMPRESS_STEP = 16;

/** The background work of one node on its store; `stop` it before the log closes. */
export class Maintenance {
  readonly name = "maintenance";
  readonly #options: MaintenanceOptions;
  readonly #stop = new AbortController();
  /** Not aborted while this node leads: only then it proposes. */
  #leading: AbortSignal = AbortSignal.abort();
  #running: Promise<void> | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: MaintenanceOptions) {
    this.#options = options;
  }

  /** This node leads, until the signal aborts: compactions may be proposed. */
  lead({ signal }: Lead): void {
    this.#leading = AbortSignal.any([signal, this.#stop.signal]);
  }

  /** Begins to run every minute. */
  start(): void {
    this.#timer = setTimeout(() => {
      this.#running = this.run()
        .catch(this.#options.onError)
        .finally(() => {
          if (!this.#stop.signal.aborted) this.start();
        });
    }, EVERY_MS).unref();
  }

  /** Ends it; resolves when no step is under way. */
  async stop(): Promise<void> {
    this.#stop.abort();
    clearTimeout(this.#timer);
    await this.#running;
  }

  /** One sweep over everything that may be due. */
  async run(): Promise<void> {
    await this.compactHistory();
    await this.compactChanges();
    await this.compress();
  }

  /** Proposes to remove the versions that history limits no longer keep. */
  async compactHistory(): Promise<void> {
    const { store } = this.#options;
    let after = "";
    while (!this.#leading.aborted) {
      const page = store.reader.all<Oldest>(
        "SELECT c.id AS id, c.version AS newest, (SELECT MIN(version) FROM versions v WHERE v.id = c.id) AS oldest FROM contexts c WHERE c.id > ? ORDER BY c.id LIMIT ?",
        after,
        STEP,
      );
      const last = page.at(-1);
      if (last === undefined) return;
      after = last.id;
      await this.#proposeCuts(page);
      await nextTurn();
    }
  }

  async #proposeCuts(page: readonly Oldest[]): Promise<void> {
    const { store, limits, nowMs } = this.#options;
    let cuts: Array<[string, number]> = [];
    let rows = 0;
    for (const context of page) {
      const floor = floorFor(store.reader, context, limits, nowMs());
      for (let { oldest } = context; oldest < floor; ) {
        const to = Math.min(floor, oldest + MAX_COMPACTED_VERSIONS - rows);
        cuts.push([context.id, to]);
        rows += to - oldest;
        oldest = to;
        if (rows < MAX_COMPACTED_VERSIONS) continue;
        await this.#propose(historyCompact.name, historyCompact.v, { cuts });
        cuts = [];
        rows = 0;
      }
    }
    if (cuts.length > 0) await this.#propose(historyCompact.name, historyCompact.v, { cuts });
  }

  /** Proposes to remove changes beyond the number that is kept, in whole steps. */
  async compactChanges(): Promise<void> {
    const { store, maxChanges } = this.#options;
    const log = this.#options.log();
    while (maxChanges > 0 && !this.#leading.aborted) {
      const floor = store.reader.get<{ floor: number }>("SELECT floor FROM head")?.floor ?? 0;
      if (log.position().seq - floor < maxChanges + MAX_COMPACTED_CHANGES) return;
      await this.#propose(changesCompact.name, changesCompact.v, { floor: floor + MAX_COMPACTED_CHANGES });
      await nextTurn();
    }
  }

  /** Compresses large texts that rest. */
  async compress(): Promise<void> {
    const { store, nowMs } = this.#options;
    let after = { log_time: -1, rowid: 0 };
    while (!this.#stop.signal.aborted) {
      const rows = store.reader.all<Resting>(
        `SELECT rowid, log_time, hash, content FROM versions WHERE encoding = ${PLAIN} AND size > 8192 AND log_time < ? AND (log_time, rowid) > (?, ?) ORDER BY log_time, rowid LIMIT ?`,
        nowMs() - RESTS_AFTER_MS,
        after.log_time,
        after.rowid,
        COMPRESS_STEP,
      );
      const last = rows.at(-1);
      if (last === undefined) return;
      after = last;
      const packed = await Promise.all(rows.map((row) => Bun.zstdCompress(row.content, { level: 3 })));
      store.transaction((tx) => {
        for (const [index, row] of rows.entries()) {
          const bytes = packed[index];
          if (bytes === undefined || bytes.byteLength > 0.9 * row.content.byteLength) continue;
          // Purged or removed meanwhile: then it is no longer plain, or no longer there.
          tx.run(
            `UPDATE versions SET content = ?, encoding = ${ZSTD} WHERE rowid = ? AND hash = ? AND encoding = ${PLAIN} AND size > 0`,
            bytes,
            row.rowid,
            row.hash,
          );
        }
      });
      await nextTurn();
    }
  }

  async #propose(name: string, v: number, input: unknown): Promise<void> {
    await this.#options.log().propose({ name, v, input, caller: "node", via: "", key: "" });
  }
}

interface Oldest {
  id: string;
  newest: number;
  oldest: number;
}

interface Resting {
  rowid: number;
  log_time: number;
  hash: string;
  content: Uint8Array;
}

/** The oldest version that the limits keep. */
function floorFor(reader: Reader, context: Oldest, limits: WriteLimits, nowMs: number): number {
  const keep = stampedLimits(context.id, limits);
  const byCount = keep.versions === 0 ? context.oldest : context.newest - keep.versions + 1;
  const byAge = keep.ageMs === 0 ? context.oldest : floorByAge(reader, context, nowMs - keep.ageMs);
  return Math.min(context.newest, Math.max(byCount, byAge));
}

/** The first version that is young enough; older ones behind a young one stay, so that history has no gap. */
function floorByAge(reader: Reader, { id, newest }: Oldest, cutoffMs: number): number {
  const young = reader.get<{ version: number | null }>(
    "SELECT MIN(version) AS version FROM versions WHERE id = ? AND log_time >= ?",
    id,
    cutoffMs,
  );
  return young?.version ?? newest;
}
