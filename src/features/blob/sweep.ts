// Removes from this member's disk the bytes of blobs that no space has any more. Runs on every full member.

import { reasonOf } from "../../lib/reason-of.ts";
import { levelOf } from "../../log/level.ts";
import type { Log } from "../../log/log.ts";
import type { LogLine } from "../../observe/logging.ts";
import { BLOB_LEVEL } from "../../operation/blob-references.ts";
import type { Job } from "../../operation/feature.ts";
import type { Reader } from "../../store/store.ts";
import { type Blobs, UNKNOWN_MS } from "./blobs.ts";
import { isKnown } from "./rows.ts";

const LOOK_MS = 1000;
/** Folders (first bytes of hashes) that one look is about: all of them in about half a minute, without a long pause. */
const FOLDERS = 8;

export interface BlobSweepOptions {
  blobs: Blobs;
  reader: Reader;
  /** The log, once it is there. */
  history: () => Pick<Log, "ready" | "positionAt" | "sameHistory">;
  log: LogLine;
  nowMs: () => number;
}

/** The removal of bytes that nothing needs. */
export class BlobSweep implements Job {
  readonly name = "blobs";
  readonly #options: BlobSweepOptions;
  /** When blobs that are here were last seen with a row, in ms: as many as there are files. */
  readonly #seen = new Map<string, number>();
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(options: BlobSweepOptions) {
    this.#options = options;
  }

  start(): void {
    const { blobs, log } = this.#options;
    try {
      blobs.folder.removeLeftovers();
    } catch (error) {
      log("warning", `cannot remove leftovers in ${blobs.folder.path}: ${reasonOf(error)}`);
    }
    let looks = 0;
    this.#timer = setInterval(() => {
      const from = (looks * FOLDERS) % 256;
      looks += 1;
      this.#trySweep(from, from + FOLDERS);
    }, LOOK_MS);
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#options.blobs.stop();
  }

  /** Removes what is due now, of hashes with these first bytes; left out: of all. Returns how many blobs that were. */
  sweep(from = 0, to = 256): number {
    const { blobs, reader, history, nowMs } = this.#options;
    blobs.incoming.giveUpIdle();
    if (!history().ready() || levelOf(reader) < BLOB_LEVEL) return 0;
    this.#keepForeign();
    let removed = 0;
    const here = blobs.folder.list(from, to);
    for (const sha256 of here) {
      if (isKnown(reader, sha256)) {
        this.#seen.set(sha256, nowMs());
        continue;
      }
      // What was wanted after its row was seen last, or never had one, may get one soon.
      const touched = blobs.folder.touchedAt(sha256) ?? 0;
      const seen = this.#seen.get(sha256);
      const mayCome = seen === undefined || touched > seen;
      if (mayCome && nowMs() - touched < UNKNOWN_MS) continue;
      blobs.folder.remove(sha256);
      this.#seen.delete(sha256);
      removed += 1;
    }
    return removed;
  }

  /** What this node held as a member of another fleet is no leftover of this one. */
  #keepForeign(): void {
    const { blobs, history, log } = this.#options;
    // The first epoch is the same in all that was restored from one history, however often.
    const { epoch } = history().positionAt(1);
    const noted = blobs.folder.epoch();
    if (noted === epoch) return;
    if (noted !== undefined && !history().sameHistory({ epoch: noted, seq: 0 })) {
      const home = blobs.folder.setAside(noted);
      log("warning", `the blobs of the fleet that this node was in before are in ${home}`);
    }
    blobs.folder.noteEpoch(epoch);
  }

  #trySweep(from: number, to: number): void {
    try {
      this.sweep(from, to);
    } catch (error) {
      this.#options.log("warning", `blobs that nothing needs were not removed: ${reasonOf(error)}`);
    }
  }
}
