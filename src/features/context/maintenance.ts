// Background work of a node on its store, in small steps: while the node leads it proposes compactions where limits are
// exceeded, and on every node it compresses large texts. Compression is local, no command: digests do not cover it.

import { setImmediate as nextTurn } from "node:timers/promises";
import { MAX_COMPACTED_CHANGES } from "../../log/compact.ts";
import type { Lead } from "../../log/duties.ts";
import { levelOf } from "../../log/level.ts";
import type { Log } from "../../log/log.ts";
import { nodeCommand } from "../../log/node-command.ts";
import type { AnyWrite, WriteLimits } from "../../operation/define.ts";
import { versionAt } from "../../operation/versions.ts";
import type { Reader, Store } from "../../store/store.ts";
import { changesCompact, historyCompact, MAX_COMPACTED_VERSIONS } from "./compaction.ts";
import { PLAIN, ZSTD } from "./rows.ts";
import { stampedLimits } from "./stamped-limits.ts";

/** What `Maintenance` works with. */
export interface MaintenanceOptions {
  store: Store;
  /** The log to propose compactions to; asked at each proposal. */
  log: () => Log;
  /** Returns the limits of the fleet, as they are now. */
  limits: () => WriteLimits;
  /** The wall clock: which texts are compressed. */
  nowMs: () => number;
  onError: (error: unknown) => void;
}

const EVERY_MS = 60_000;
/** Contexts read in one step. */
const STEP = 200;
/** Age at which a text is compressed. Younger texts are read most and stay uncompressed. */
const COMPRESS_AFTER_MS = 10 * 60_000;
/** Texts compressed in one step. */
const COMPRESS_STEP = 16;

/** The maintenance of one node. Stop it before the log closes. */
export class Maintenance {
  readonly name = "maintenance";
  readonly #options: MaintenanceOptions;
  readonly #stop = new AbortController();
  /** Not aborted while this node leads. */
  #leading: AbortSignal = AbortSignal.abort();
  #running: Promise<void> | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: MaintenanceOptions) {
    this.#options = options;
  }

  /** The duty of the leader: lets this node propose compactions until the signal aborts. */
  lead({ signal }: Lead): void {
    this.#leading = AbortSignal.any([signal, this.#stop.signal]);
  }

  /** Starts a run every minute. */
  start(): void {
    this.#timer = setTimeout(() => {
      this.#running = this.run()
        .catch(this.#options.onError)
        .finally(() => {
          if (!this.#stop.signal.aborted) this.start();
        });
    }, EVERY_MS).unref();
  }

  /** Stops the runs. Resolves when no step is running. */
  async stop(): Promise<void> {
    this.#stop.abort();
    clearTimeout(this.#timer);
    await this.#running;
  }

  /** Does everything that is due. */
  async run(): Promise<void> {
    await this.compactHistory();
    await this.compactChanges();
    await this.compress();
  }

  /** Proposes the removal of versions beyond the history limits: after a limit was lowered, and by age. */
  async compactHistory(): Promise<void> {
    const { store } = this.#options;
    let after = "";
    while (!this.#leading.aborted) {
      const page = store.reader.all<Oldest>(
        "SELECT c.id AS id, c.version AS newest, (SELECT MIN(version) FROM versions v WHERE v.id = c.id) AS oldest FROM contexts c WHERE c.id > ? ORDER BY c.id LIMIT +?",
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
    const { store, limits, log } = this.#options;
    let cuts: Array<[string, number]> = [];
    let rows = 0;
    for (const context of page) {
      const floor = floorFor(store.reader, context, limits(), log().timeMs());
      for (let { oldest } = context; oldest < floor; ) {
        const to = Math.min(floor, oldest + MAX_COMPACTED_VERSIONS - rows);
        cuts.push([context.id, to]);
        rows += to - oldest;
        oldest = to;
        if (rows < MAX_COMPACTED_VERSIONS) continue;
        await this.#propose(historyCompact, { cuts });
        cuts = [];
        rows = 0;
      }
    }
    if (cuts.length > 0) await this.#propose(historyCompact, { cuts });
  }

  /** Proposes the removal of changes beyond `maxChanges`, in whole steps. */
  async compactChanges(): Promise<void> {
    const { store, limits } = this.#options;
    const log = this.#options.log();
    const { maxChanges } = limits();
    while (maxChanges > 0 && !this.#leading.aborted) {
      const floor = store.reader.get<{ floor: number }>("SELECT floor FROM head")?.floor ?? 0;
      if (log.position().seq - floor < maxChanges + MAX_COMPACTED_CHANGES) return;
      await this.#propose(changesCompact, { floor: floor + MAX_COMPACTED_CHANGES });
      await nextTurn();
    }
  }

  /** Compresses large texts of a certain age. */
  async compress(): Promise<void> {
    const { store, nowMs } = this.#options;
    let after = { log_time: -1, rowid: 0 };
    while (!this.#stop.signal.aborted) {
      const rows = store.reader.all<Uncompressed>(
        `SELECT rowid, log_time, hash, content FROM versions WHERE encoding = ${PLAIN} AND size > 8192 AND log_time < ? AND (log_time, rowid) > (?, ?) ORDER BY log_time, rowid LIMIT +?`,
        nowMs() - COMPRESS_AFTER_MS,
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
          // The row may have been purged or removed during compression: then this updates nothing.
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

  async #propose(operation: AnyWrite, input: unknown): Promise<void> {
    const { log, store } = this.#options;
    const { v } = versionAt(operation, levelOf(store.reader));
    await log().propose(nodeCommand({ name: operation.name, v }, input));
  }
}

interface Oldest {
  id: string;
  newest: number;
  oldest: number;
}

interface Uncompressed {
  rowid: number;
  log_time: number;
  hash: string;
  content: Uint8Array;
}

/** Returns the oldest version that the limits keep. By log time: a clock that jumps must remove nothing. */
function floorFor(reader: Reader, context: Oldest, limits: WriteLimits, timeMs: number): number {
  const { id, oldest, newest } = context;
  const { versions, ageMs, keptMs = 0 } = stampedLimits(id, limits);
  // The limits apply to the history before the first version, from `from` on, that is too young.
  const end = (from: number) =>
    (keptMs === 0 ? undefined : firstAfter(reader, id, from, timeMs - keptMs)) ?? newest + 1;
  const byCount = versions === 0 || newest - oldest < versions ? oldest : end(oldest + versions) - versions;
  // Later ones than the oldest that is young enough stay whatever their time, so that there is no gap.
  const byAge =
    ageMs === 0 ? oldest : Math.min(firstAfter(reader, id, oldest, timeMs - ageMs - 1) ?? newest, end(oldest) - 1);
  return Math.max(byCount, byAge);
}

/** Returns the first kept version from `from` on that was written after that time. */
function firstAfter(reader: Reader, id: string, from: number, timeMs: number): number | undefined {
  return reader.get<{ version: number }>(
    "SELECT version FROM versions WHERE id = ? AND version >= ? AND log_time > ? ORDER BY version LIMIT 1",
    id,
    from,
    timeMs,
  )?.version;
}
