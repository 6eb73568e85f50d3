// What an edge has acknowledged to its callers, over its restarts (replication.md 27): the newest position that it
// returned is in its file before a caller has it. After a restart session reads are served once the edge has reached
// that position, or the feed has proved that it has everything from before its start.

import { readMeta, writeMeta } from "../log/meta.ts";
import { type Position, parsePosition } from "../log/position.ts";
import type { Store, Writer } from "../store/store.ts";
import type { EdgeLog } from "./edge-log.ts";
import type { Freshness } from "./freshness.ts";

export interface AcknowledgedOptions {
  store: Store;
  log: EdgeLog;
  freshness: Freshness;
  /** Called with the reason if a position could not be written. */
  onError: (error: unknown) => void;
}

/** Written at a planned stop: the file then has everything, whatever happens to the machine. */
const STOPPED = "stopped";

/** What one edge has acknowledged. */
export class Acknowledged {
  readonly #options: AcknowledgedOptions;
  readonly #startedMs: number;
  /** Whether `#newest` is certainly the newest position that an earlier process returned. */
  readonly #isKnown: boolean;
  /** As it is in the file; undefined: none in this history. */
  #newest: Position | undefined;
  #isCurrent = false;
  /** A newer one that the disk did not take. */
  #unwritten: string | undefined;
  /** The text that was compared last: hits return the same one until the feed moves. */
  #last = "";

  constructor(options: AcknowledgedOptions) {
    const { store, freshness } = options;
    this.#options = options;
    this.#startedMs = freshness.nowMs();
    const newest = readMeta(store.reader, "acknowledged") ?? "";
    this.#newest = newest === "" ? undefined : parsePosition(newest);
    const by = readMeta(store.reader, "acknowledged_by") ?? "";
    this.#isKnown = by === STOPPED || (by !== "" && by === freshness.since);
    // Synced, because what is acknowledged from here on is not: a loss of power may take it, but not bring this back.
    if (by === STOPPED) store.durably((tx) => writeMeta(tx, { acknowledged_by: freshness.since }));
  }

  /**
   * Reports whether this edge has had, at some moment since its process began, everything that it acknowledged before.
   */
  isCurrent(): boolean {
    if (this.#isCurrent) return true;
    const { freshness } = this.#options;
    if (freshness.isProvenSince(this.#startedMs)) {
      this.#isCurrent = true;
      this.#write((tx) => writeMeta(tx, { acknowledged_by: freshness.since }));
    } else if (this.#isKnown) this.#isCurrent = this.#newest === undefined || this.#isReached(this.#newest);
    return this.#isCurrent;
  }

  /** Writes a position before it is returned to a caller, if it is newer than what the file has. */
  add(text: string): void {
    if (text === this.#last || !this.#options.log.ready()) return;
    const position = parsePosition(text);
    if (this.#isNewer(position)) {
      // Not synced: a loss of power changes the name of the boot, so the file is not believed then.
      const isWritten = this.#write((tx) => writeMeta(tx, { acknowledged: text }));
      this.#unwritten = isWritten ? undefined : text;
      if (!isWritten) return;
      this.#newest = position;
    }
    this.#last = text;
  }

  /** Reports whether the file is below what was acknowledged; it has to be written once the feed has passed that. */
  isAheadOfFile(): boolean {
    return this.#newest !== undefined && this.#newest.seq > this.#options.log.writtenSeq;
  }

  /** Forgets everything: the positions belong to another history. */
  reset(tx: Writer): void {
    this.#newest = undefined;
    this.#unwritten = undefined;
    this.#last = "";
    writeMeta(tx, { acknowledged: "" });
  }

  /** Records a planned stop. The last step before the store is closed. */
  stop(): void {
    if (!this.#isKnown && !this.isCurrent()) return;
    const unwritten = this.#unwritten === undefined ? {} : { acknowledged: this.#unwritten };
    this.#write((tx) => writeMeta(tx, { ...unwritten, acknowledged_by: STOPPED }));
  }

  /** Reports whether the file has neither this position nor a newer one. */
  #isNewer(position: Position): boolean {
    const { log } = this.#options;
    const isOwn = log.sameHistory(position);
    if (isOwn && position.seq <= log.writtenSeq) return false;
    return this.#newest === undefined || this.#newest.seq < position.seq || !isOwn;
  }

  #isReached(position: Position): boolean {
    const { log } = this.#options;
    return log.sameHistory(position) && position.seq <= log.position().seq;
  }

  /** Writes beside the position of the log. Returns false, and reports the reason, where the disk does not take it. */
  #write(also: (tx: Writer) => void): boolean {
    try {
      this.#options.log.writePosition(also);
      return true;
    } catch (error) {
      this.#options.onError(error);
      return false;
    }
  }
}
