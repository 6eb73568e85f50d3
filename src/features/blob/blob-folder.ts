// The bytes of blobs on this machine: `<data>/blobs/ab/abcdef…`, each file named by its SHA-256. Bytes arrive in parts
// in `<data>/blobs/incoming/`, and get their name by a rename once they are whole, have the hash and are on the disk.

import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statfsSync, statSync, utimesSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";
import { flush, renameDurably, writeAtomic } from "../../lib/atomic-file.ts";
import { Fault } from "../../lib/fault.ts";
import { ensurePrivateFolder } from "../../lib/private-folder.ts";
import { Sha256 } from "../../lib/sha256.ts";
import { BLOB_HASH } from "../../operation/blob-references.ts";

/** Free space that is always left: a twentieth of the disk, at most this much; that much more than writes want. */
const MOST_LEFT_BYTES = 1024 ** 3;
const INCOMING = "incoming";
const EPOCH_FILE = "epoch";

/** The files of one data folder. */
export class BlobFolder {
  readonly path: string;
  /** Bytes that uploads under way still need. */
  #owed = 0;
  #next = 0;

  /** `data`: the data folder. Nothing is made before the first blob comes. */
  constructor(data: string) {
    this.path = join(data, "blobs");
  }

  /** Removes what interrupted uploads left. */
  removeLeftovers(): void {
    rmSync(join(this.path, INCOMING), { recursive: true, force: true });
  }

  /** Returns the epoch of the fleet whose blobs these are; undefined: none has been noted. */
  epoch(): string | undefined {
    try {
      return readFileSync(join(this.path, EPOCH_FILE), "utf8").trim();
    } catch {
      return undefined;
    }
  }

  /** Notes whose blobs these are. */
  noteEpoch(epoch: string): void {
    if (existsSync(this.path)) writeAtomic(join(this.path, EPOCH_FILE), `${epoch}\n`);
  }

  /** Moves all blobs to `<data>/aside`, where nothing is ever deleted. Returns the new folder. */
  setAside(epoch: string): string {
    const aside = join(this.path, "..", "aside");
    ensurePrivateFolder(aside);
    let home = join(aside, `blobs-${epoch}`);
    for (let n = 2; existsSync(home); n += 1) home = join(aside, `blobs-${epoch}-${n}`);
    renameDurably(this.path, home);
    return home;
  }

  /** Returns the size of a blob that is here in bytes; undefined: it is not. */
  sizeOf(sha256: string): number | undefined {
    return statSync(this.#pathOf(sha256), { throwIfNoEntry: false })?.size;
  }

  /** Returns when a blob came or was last asked for by a put, in ms of the wall clock; undefined: it is not here. */
  touchedAt(sha256: string): number | undefined {
    return statSync(this.#pathOf(sha256), { throwIfNoEntry: false })?.mtimeMs;
  }

  /** Notes that a blob that is here is wanted now, so that it is not removed before its row is known. */
  touch(sha256: string, nowMs: number): void {
    utimesSync(this.#pathOf(sha256), nowMs / 1000, nowMs / 1000);
  }

  /** Returns the hashes of the blobs that are here, whose first byte is `from` to below `to`; left out: of all. */
  list(from = 0, to = 256): string[] {
    if (!existsSync(this.path)) return [];
    return readdirSync(this.path).flatMap((folder) => {
      const first = /^[0-9a-f]{2}$/.test(folder) ? Number.parseInt(folder, 16) : -1;
      if (first < from || first >= to) return [];
      return readdirSync(join(this.path, folder)).filter((name) => BLOB_HASH.test(name));
    });
  }

  /** Returns up to `length` bytes from `offset` on. Fault `not_found` where the blob is not here. */
  async read(sha256: string, offset: number, length: number): Promise<Uint8Array> {
    const file = await open(this.#pathOf(sha256), "r").catch((cause: unknown) => {
      throw new Fault("not_found", `The bytes of the blob ${sha256} are not on this node`, { cause });
    });
    try {
      const bytes = new Uint8Array(length);
      let filled = 0;
      while (filled < length) {
        const { bytesRead } = await file.read(bytes, filled, length - filled, offset + filled);
        if (bytesRead === 0) break;
        filled += bytesRead;
      }
      return bytes.subarray(0, filled);
    } finally {
      await file.close();
    }
  }

  /** Removes a blob. */
  remove(sha256: string): void {
    rmSync(this.#pathOf(sha256), { force: true });
  }

  /** Returns the bytes that blobs may still take on the disk. */
  freeBytes(): number {
    const { bsize, blocks, bavail } = statfsSync(existsSync(this.path) ? this.path : join(this.path, ".."));
    // Twice what the store keeps free (store/disk.ts): blobs must not be what stops writes.
    const left = 2 * Math.min((blocks * bsize) / 20, MOST_LEFT_BYTES);
    return Math.max(0, bavail * bsize - left - this.#owed);
  }

  /** Begins a blob of so many bytes. Faults `storage_full`, `data_unsafe`. */
  async begin(sha256: string, bytes: number): Promise<IncomingFile> {
    const free = this.freeBytes();
    if (free < bytes) throw full(`has room for ${free} bytes of blobs; this one has ${bytes}`);
    ensurePrivateFolder(this.path);
    mkdirSync(join(this.path, INCOMING), { recursive: true, mode: 0o700 });
    this.#next += 1;
    const path = join(this.path, INCOMING, `${sha256}.${this.#next}`);
    const file = await open(path, "wx", 0o600).catch((cause: unknown) => {
      throw writeFault(cause);
    });
    this.#owed += bytes;
    return new IncomingFile({ path, file, sha256, bytes }, this.#ends(bytes));
  }

  #ends(bytes: number): { named: (path: string, sha256: string) => void; over: (received: number) => void } {
    let owed = bytes;
    return {
      named: (path, sha256) => {
        const folder = join(this.path, sha256.slice(0, 2));
        if (mkdirSync(folder, { recursive: true, mode: 0o700 }) !== undefined) flush(this.path);
        renameDurably(path, join(folder, sha256));
      },
      over: (received) => {
        const left = Math.max(0, bytes - received);
        this.#owed -= owed - left;
        owed = left;
      },
    };
  }

  #pathOf(sha256: string): string {
    // Hashes come from outside: nothing else ever becomes a part of a path.
    if (!BLOB_HASH.test(sha256)) throw new Error("a blob is named by its SHA-256");
    return join(this.path, sha256.slice(0, 2), sha256);
  }
}

interface Incoming {
  path: string;
  file: FileHandle;
  sha256: string;
  bytes: number;
}

/** A blob whose bytes are arriving. */
export class IncomingFile {
  readonly sha256: string;
  readonly bytes: number;
  readonly #path: string;
  readonly #file: FileHandle;
  readonly #hash = new Sha256();
  readonly #ends: { named: (path: string, sha256: string) => void; over: (received: number) => void };
  #received = 0;
  #isOver = false;

  constructor(
    { path, file, sha256, bytes }: Incoming,
    ends: { named: (path: string, sha256: string) => void; over: (received: number) => void },
  ) {
    this.sha256 = sha256;
    this.bytes = bytes;
    this.#path = path;
    this.#file = file;
    this.#ends = ends;
  }

  /** Bytes that have arrived. */
  get received(): number {
    return this.#received;
  }

  /** Reports whether it was given up or has its name. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Adds the next bytes. Faults `too_large`, `storage_full`; after them it is given up. */
  async add(part: Uint8Array): Promise<void> {
    if (this.#received + part.byteLength > this.bytes) {
      await this.giveUp();
      throw new Fault("too_large", `The part ends at ${this.#received + part.byteLength} of ${this.bytes} bytes`, {
        hint: "Say the size of the whole blob, and send no more than that.",
      });
    }
    try {
      for (let at = 0; at < part.byteLength; ) {
        const { bytesWritten } = await this.#file.write(part, at, part.byteLength - at, this.#received + at);
        at += bytesWritten;
      }
    } catch (cause) {
      await this.giveUp();
      throw writeFault(cause);
    }
    this.#hash.update(part);
    this.#received += part.byteLength;
    this.#ends.over(this.#received);
  }

  /** Gives a whole blob its name, durably. Fault `invalid_input` where the bytes have another hash. */
  async finish(): Promise<void> {
    const found = this.#hash.hex();
    if (found !== this.sha256) {
      await this.giveUp();
      throw new Fault("invalid_input", `The bytes have the SHA-256 ${found}, not ${this.sha256}`, {
        hint: "They were changed on the way, or the hash is that of another file. Send it again from the beginning.",
        details: { field: "sha256" },
      });
    }
    try {
      await this.#file.sync();
      await this.#file.close();
      this.#ends.named(this.#path, this.sha256);
      this.#isOver = true;
    } catch (cause) {
      await this.giveUp();
      throw writeFault(cause);
    }
  }

  /** Removes what has arrived. */
  async giveUp(): Promise<void> {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#ends.over(this.bytes);
    await this.#file.close().catch(() => {});
    rmSync(this.#path, { force: true });
  }
}

function writeFault(cause: unknown): unknown {
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
  return code === "ENOSPC" || code === "EDQUOT" ? full("is full", cause) : cause;
}

function full(what: string, cause?: unknown): Fault {
  return new Fault("storage_full", `The disk of the node that takes the blob ${what}`, {
    hint: "Free space on the disk of its data folder, or remove blobs that nothing needs.",
    ...(cause === undefined ? {} : { cause }),
  });
}
