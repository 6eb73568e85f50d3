// Blobs that are arriving in parts, by key: uploads of callers on the leader, and copies that a member fetches. A part
// goes on where the last one ended; what stands still for long is given up.

import { Fault } from "../../lib/fault.ts";
import type { BlobFolder, IncomingFile } from "./blob-folder.ts";

/** Most uploads that arrive at once, of one caller and of all callers. */
const MAX_OF_OWNER = 16;
const MAX_OF_ALL = 64;
/** Most copies that arrive at once because the leader asked for them. */
const MAX_COPYING = 64;
/** One whose next part does not come for so long is given up, in ms. */
const IDLE_MS = 3_600_000;

interface Entry {
  arriving: Arriving;
  file: Promise<IncomingFile>;
  /** Parts are added one after the other. */
  turn: Promise<unknown>;
  /** When it began, or last took bytes, in ms. */
  usedMs: number;
}

/** A blob that arrives: whose it is, and what it is. */
export interface Arriving {
  /** Names it among all. */
  key: string;
  /** The caller; undefined: of no caller, a copy that the leader asked for. */
  owner: string | undefined;
  /** The space; "" for a copy. */
  space: string;
  sha256: string;
  bytes: number;
}

/** The blobs that are arriving on one node. */
export class IncomingBlobs {
  readonly #folder: BlobFolder;
  readonly #nowMs: () => number;
  readonly #entries = new Map<string, Entry>();

  constructor(folder: BlobFolder, nowMs: () => number) {
    this.#folder = folder;
    this.#nowMs = nowMs;
  }

  /** How many are arriving. */
  get size(): number {
    return this.#entries.size;
  }

  /** Returns the blobs that are arriving. */
  arriving(): Arriving[] {
    return [...this.#entries.values()].map(({ arriving }) => arriving);
  }

  /** Returns how many bytes of a blob have arrived; 0: none. */
  async received(key: string): Promise<number> {
    const file = await this.#entries.get(key)?.file.catch(() => undefined);
    return file?.received ?? 0;
  }

  /**
   * Adds the bytes that begin at `offset`. A part that does not begin where the last one ended is left out. Returns how
   * many bytes have arrived, and whether that is all of them: then it has its name. Rejects with Faults of IncomingFile
   * and `rate_limited`.
   */
  async add(arriving: Arriving, offset: number, part: Uint8Array): Promise<{ received: number; isWhole: boolean }> {
    this.giveUpIdle();
    const entry = this.#entries.get(arriving.key) ?? this.#begin(arriving);
    const done = entry.turn.then(() => this.#take(entry, arriving, offset, part));
    entry.turn = done.catch(() => {});
    try {
      return await done;
    } catch (error) {
      const file = await entry.file.catch(() => undefined);
      // Of an upload whose first part was refused nothing is left.
      if (file === undefined || file.isOver) this.#forget(arriving.key, entry);
      else if (file.received === 0) this.#drop(arriving.key, entry);
      throw error;
    }
  }

  /** Gives up what stands still. */
  giveUpIdle(): void {
    const now = this.#nowMs();
    for (const [key, entry] of this.#entries) if (now - entry.usedMs > IDLE_MS) this.#drop(key, entry);
  }

  /** Gives up all of them. */
  async close(): Promise<void> {
    const files = [...this.#entries.values()].map(({ file }) => file);
    this.#entries.clear();
    await Promise.all(files.map((file) => file.then((each) => each.giveUp()).catch(() => {})));
  }

  #begin(arriving: Arriving): Entry {
    const { key, owner, sha256, bytes } = arriving;
    this.#refuseMore(owner);
    const file = this.#folder.begin(sha256, bytes);
    const entry = { arriving, file, turn: Promise.resolve(), usedMs: this.#nowMs() };
    entry.file.catch(() => {});
    this.#entries.set(key, entry);
    return entry;
  }

  /** Throws Fault `rate_limited`. Copies have places of their own: no caller keeps the fleet from making them. */
  #refuseMore(owner: string | undefined): void {
    const all = this.arriving().filter((each) => (each.owner === undefined) === (owner === undefined)).length;
    const own = this.arriving().filter((each) => each.owner === owner).length;
    if (owner === undefined ? all < MAX_COPYING : own < MAX_OF_OWNER && all < MAX_OF_ALL) return;
    const said = owner === undefined ? `${all} copies` : `${own} of this caller, ${all} of all callers`;
    throw new Fault("rate_limited", `Too many blobs are arriving: ${said}`, {
      hint: `Finish those that have begun; at most ${MAX_OF_OWNER} of a caller arrive at once.`,
      details: { retryAfterSeconds: 5 },
    });
  }

  async #take(entry: Entry, { key, bytes }: Arriving, offset: number, part: Uint8Array) {
    const file = await entry.file;
    if (file.bytes !== bytes) {
      this.#drop(key, entry);
      throw new Fault("invalid_input", `The blob was begun with ${file.bytes} bytes; this part says ${bytes}`, {
        hint: "Say the same size with each part. What had arrived was given up: begin again.",
      });
    }
    if (!file.isOver && offset === file.received) {
      await file.add(part);
      // What brings nothing keeps no place.
      if (part.byteLength > 0) entry.usedMs = this.#nowMs();
    }
    if (file.received < bytes) return { received: file.received, isWhole: false };
    if (!file.isOver) await file.finish();
    this.#forget(key, entry);
    return { received: bytes, isWhole: true };
  }

  #drop(key: string, entry: Entry): void {
    this.#forget(key, entry);
    void entry.file.then((file) => file.giveUp()).catch(() => {});
  }

  #forget(key: string, entry: Entry): void {
    if (this.#entries.get(key) === entry) this.#entries.delete(key);
  }
}
