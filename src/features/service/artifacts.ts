// The artifacts of services on this member: archives by SHA-256, each unpacked once into `<data>/services/NAME/SHA256`,
// beside those before. A folder of that name is whole: it gets it by a rename, once all of it is checked and flushed.

import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statfsSync, statSync, utimesSync } from "node:fs";
import { open, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { flush, renameDurably } from "../../lib/atomic-file.ts";
import { Fault } from "../../lib/fault.ts";
import { rejectOnAbort } from "../../lib/pause.ts";
import { ensurePrivateFolder } from "../../lib/private-folder.ts";
import { Sha256 } from "../../lib/sha256.ts";
import { readTar, TAR_BOUNDS, type TarBounds } from "../../lib/strict-tar.ts";
import { BLOB_HASH } from "../../operation/blob-references.ts";
import { DECLARED_NAME } from "../../operation/declared-kind.ts";

/** Versions of a service that stay unpacked: what runs, and those to go back to. */
export const KEPT_VERSIONS = 3;
/** Fetching and unpacking one may take so long, in ms. */
const UNPACK_MS = 600_000;
/** Free space that is always left: a tenth of the disk, at most this much (twice what the store keeps free). */
const MOST_LEFT_BYTES = 2 * 1024 ** 3;
/** Where they are unpacked; no name of a service begins so. */
const INCOMING = "_incoming";

/** What artifacts need of their node. */
export interface ArtifactOptions {
  /** The data folder. */
  data: string;
  /** Returns the bytes of an archive, in parts. */
  fetch: (sha256: string, signal: AbortSignal) => AsyncIterable<Uint8Array>;
  bounds?: TarBounds;
  /** Bytes that may still be written to the disk; left out: asked of the disk. */
  freeBytes?: () => number;
}

/** The artifacts of one member. */
export class Artifacts {
  readonly #options: ArtifactOptions;
  readonly #root: string;
  /** What is being unpacked, by folder. */
  readonly #unpacking = new Map<string, Promise<void>>();
  #isClean = false;

  constructor(options: ArtifactOptions) {
    this.#options = options;
    this.#root = join(options.data, "services");
  }

  /**
   * Returns the folder of an artifact, after it was fetched and unpacked where it was not there. Throws Faults
   * `invalid_input` (archive or hash are wrong), `storage_full`, `unavailable` (no member has its bytes).
   */
  async folderOf(name: string, sha256: string, signal: AbortSignal): Promise<string> {
    // Both come from outside: nothing else ever becomes a part of a path.
    if (!BLOB_HASH.test(sha256) || !DECLARED_NAME.test(name)) throw new Error("an artifact is named by its SHA-256");
    const home = join(this.#root, name);
    const folder = join(home, sha256);
    const within = AbortSignal.any([signal, AbortSignal.timeout(UNPACK_MS)]);
    while (!existsSync(folder)) {
      const other = this.#unpacking.get(folder);
      if (other === undefined) await this.#unpackOnce(folder, sha256, within);
      // What it came to is seen then; where it failed this call tries it itself.
      else await Promise.race([other, rejectOnAbort(within)]);
    }
    touch(folder);
    removeOld(home);
    return folder;
  }

  /** As `folderOf`; what runs meanwhile, if it has an artifact, stays. */
  async prepare(name: string, sha256: string, running: string | undefined, signal: AbortSignal): Promise<void> {
    if (running !== undefined && BLOB_HASH.test(running) && existsSync(join(this.#root, name, running)))
      touch(join(this.#root, name, running));
    await this.folderOf(name, sha256, signal);
  }

  /** Removes what is unpacked of services other than these. */
  async keepOnly(names: ReadonlySet<string>): Promise<void> {
    if (!existsSync(this.#root)) return;
    for (const name of readdirSync(this.#root))
      if (name !== INCOMING && !names.has(name)) await rm(join(this.#root, name), { recursive: true, force: true });
  }

  async #unpackOnce(folder: string, sha256: string, signal: AbortSignal): Promise<void> {
    const work = this.#unpack(dirname(folder), sha256, signal);
    const settled = work.then(
      () => {},
      () => {},
    );
    this.#unpacking.set(folder, settled);
    try {
      await work;
    } finally {
      this.#unpacking.delete(folder);
    }
  }

  async #unpack(home: string, sha256: string, signal: AbortSignal): Promise<void> {
    ensurePrivateFolder(this.#root);
    const incoming = join(this.#root, INCOMING);
    // What an earlier process of this node left.
    if (!this.#isClean) rmSync(incoming, { recursive: true, force: true });
    this.#isClean = true;
    mkdirSync(incoming, { recursive: true, mode: 0o700 });
    const folder = mkdtempSync(join(incoming, `${sha256.slice(0, 12)}.`));
    try {
      const hash = new Sha256();
      await this.#write(folder, hashed(this.#options.fetch(sha256, signal), hash, signal));
      const found = hash.hex();
      if (found !== sha256)
        throw new Fault("invalid_input", `The artifact has the SHA-256 ${found}, not ${sha256}`, {
          hint: "It was changed on its way or on a disk. Deploy it again.",
        });
      signal.throwIfAborted();
      mkdirSync(home, { recursive: true, mode: 0o700 });
      flush(this.#root);
      if (existsSync(join(home, sha256))) return;
      renameDurably(folder, join(home, sha256));
    } catch (error) {
      throw faultOf(error);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }

  async #write(folder: string, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const folders = [folder];
    let file: Awaited<ReturnType<typeof open>> | undefined;
    const close = async () => {
      const last = file;
      file = undefined;
      await last?.sync();
      await last?.close();
    };
    try {
      for await (const part of readTar(chunks, this.#options.bounds ?? TAR_BOUNDS)) {
        if (part.kind === "bytes") {
          for (let at = 0; at < part.bytes.byteLength; )
            at += (await file?.write(part.bytes, at))?.bytesWritten ?? part.bytes.byteLength;
          continue;
        }
        await close();
        const path = join(folder, part.name);
        if (part.kind === "folder") {
          mkdirSync(path, { mode: 0o700 });
          folders.push(path);
          continue;
        }
        const free = (this.#options.freeBytes ?? (() => freeBytes(folder)))();
        if (part.size > free) throw full(`has room for ${free} bytes of it; ${part.name} has ${part.size}`);
        file = await open(path, "wx", part.executable ? 0o700 : 0o600);
      }
    } finally {
      await close();
    }
    for (const each of folders.reverse()) flush(each);
  }
}

/** Makes a folder the newest. */
function touch(folder: string): void {
  const now = new Date();
  utimesSync(folder, now, now);
}

/** Two copies of a service never run here, so what runs is among the newest. */
function removeOld(home: string): void {
  const found = readdirSync(home).filter((name) => BLOB_HASH.test(name));
  const byAge = found
    .map((name) => ({ name, usedMs: statSync(join(home, name)).mtimeMs }))
    .sort((one, other) => other.usedMs - one.usedMs);
  for (const { name } of byAge.slice(KEPT_VERSIONS)) rmSync(join(home, name), { recursive: true, force: true });
}

async function* hashed(
  chunks: AsyncIterable<Uint8Array>,
  hash: Sha256,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    signal.throwIfAborted();
    hash.update(chunk);
    yield chunk;
  }
}

function freeBytes(folder: string): number {
  const { bsize, blocks, bavail } = statfsSync(folder);
  return Math.max(0, bavail * bsize - Math.min((blocks * bsize) / 10, MOST_LEFT_BYTES));
}

function faultOf(error: unknown): unknown {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return code === "ENOSPC" || code === "EDQUOT" ? full("is full", error) : error;
}

function full(what: string, cause?: unknown): Fault {
  return new Fault("storage_full", `The disk of the node that unpacks the artifact ${what}`, {
    hint: "Free space on the disk of its data folder.",
    ...(cause === undefined ? {} : { cause }),
  });
}
