// Removes from this member's disk the bytes of blobs that no space has any more. Runs on every full member.

import { reasonOf } from "../../lib/reason-of.ts";
import { levelOf } from "../../log/level.ts";
import type { LogLine } from "../../observe/logging.ts";
import { BLOB_LEVEL } from "../../operation/blob-references.ts";
import type { Job } from "../../operation/feature.ts";
import type { Reader } from "../../store/store.ts";
import type { Blobs } from "./blobs.ts";
import { isKnown } from "./rows.ts";

const SWEEP_MS = 30_000;
/** Bytes that arrived may wait so long for their row, in ms. */
const UNKNOWN_MS = 3_600_000;

export interface BlobSweepOptions {
  blobs: Blobs;
  reader: Reader;
  /** Reports whether this node has its fleet's store. */
  isReady: () => boolean;
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
    this.#timer = setInterval(() => this.#trySweep(), SWEEP_MS);
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#options.blobs.stop();
  }

  /** Removes what is due now. Returns how many blobs that were. */
  sweep(): number {
    const { blobs, reader, isReady, nowMs } = this.#options;
    blobs.incoming.giveUpIdle();
    if (!isReady() || levelOf(reader) < BLOB_LEVEL) return 0;
    let removed = 0;
    const here = blobs.folder.list();
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

  #trySweep(): void {
    try {
      this.sweep();
    } catch (error) {
      this.#options.log("warning", `blobs that nothing needs were not removed: ${reasonOf(error)}`);
    }
  }
}
