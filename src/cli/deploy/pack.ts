// Packs a folder, or one program, as the artifact of a service: an archive that members unpack (lib/strict-tar.ts). The
// same files give the same archive, whoever packs them and whenever.

import { createReadStream } from "node:fs";
import { type FileHandle, lstat, open, readdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { PART_BYTES } from "../../lib/bounds.ts";
import { Fault } from "../../lib/fault.ts";
import { fileReason } from "../../lib/reason-of.ts";
import { readTar, TAR_BOUNDS, type TarEntry, tarEnd, tarHeader, tarPadding } from "../../lib/strict-tar.ts";

/** What an archive was made of. */
export interface Packed {
  files: number;
  bytes: number;
  /** The only file of the archive, where it was made of one program. */
  program?: string;
}

/** Writes the archive of a folder or program to `to`. `excluded`: names that are left out. Fault `invalid_input`. */
export async function packTo(path: string, to: string, excluded: ReadonlySet<string>): Promise<Packed> {
  const stats = await lstatOf(path);
  const out = await open(to, "wx", 0o600);
  try {
    const writer = new Writer(out);
    if (stats.isDirectory()) await writer.folder(path, "", excluded);
    else await writer.file(path, basename(path), true);
    if (writer.packed.files === 0)
      throw new Fault("invalid_input", `There is no file in ${path}`, { hint: "Name the folder of what is to run." });
    await out.write(tarEnd());
    return stats.isDirectory() ? writer.packed : { ...writer.packed, program: basename(path) };
  } finally {
    await out.close();
  }
}

/** Reads an archive that somebody else has packed to its end. Fault `invalid_input` where members would refuse it. */
export async function checkArchive(path: string): Promise<Packed> {
  const packed = { files: 0, bytes: 0 };
  for await (const part of readTar(createReadStream(path))) {
    if (part.kind === "file") packed.files += 1;
    if (part.kind === "bytes") packed.bytes += part.bytes.byteLength;
  }
  return packed;
}

async function lstatOf(path: string) {
  return lstat(path).catch((cause: unknown) => {
    throw new Fault("invalid_input", `Cannot read ${path}: ${fileReason(cause)}`, {
      hint: "Name a folder, a program, or an archive that ends with .tar.",
      cause,
    });
  });
}

/** Writes entries one after the other. */
class Writer {
  readonly packed: Packed = { files: 0, bytes: 0 };
  readonly #out: FileHandle;
  #entries = 0;

  constructor(out: FileHandle) {
    this.#out = out;
  }

  /** In the order of their names, so that the archive does not depend on the disk. */
  async folder(path: string, below: string, excluded: ReadonlySet<string>): Promise<void> {
    const names = await readdir(path).catch((cause: unknown) => {
      throw new Fault("invalid_input", `Cannot read the folder ${path}: ${fileReason(cause)}`, { cause });
    });
    for (const name of names.sort()) {
      if (excluded.has(name)) continue;
      const inner = below === "" ? name : `${below}/${name}`;
      const whole = join(path, name);
      const stats = await lstatOf(whole);
      if (stats.isDirectory()) {
        await this.#entry({ kind: "folder", name: inner, size: 0, executable: true });
        await this.folder(whole, inner, excluded);
      } else if (stats.isFile()) await this.file(whole, inner, (stats.mode & 0o111) !== 0);
      else throw notPacked(whole, stats.isSymbolicLink() ? "a symbolic link" : "neither a file nor a folder", name);
    }
  }

  async file(path: string, name: string, executable: boolean): Promise<void> {
    const file = await open(path, "r").catch((cause: unknown) => {
      throw new Fault("invalid_input", `Cannot read ${path}: ${fileReason(cause)}`, { cause });
    });
    try {
      const stats = await file.stat();
      if (!stats.isFile()) throw notPacked(path, "no regular file", name);
      const { size } = stats;
      this.packed.files += 1;
      this.packed.bytes += size;
      if (this.packed.bytes > TAR_BOUNDS.bytes)
        throw new Fault("invalid_input", `The files have more than ${TAR_BOUNDS.bytes} bytes`, {
          hint: "Leave out with --exclude NAME what the service does not need.",
        });
      await this.#entry({ kind: "file", name, size, executable });
      const part = Buffer.alloc(Math.min(PART_BYTES, Math.max(1, size)));
      for (let at = 0; at < size; ) {
        const { bytesRead } = await file.read(part, 0, Math.min(part.byteLength, size - at), at);
        if (bytesRead === 0)
          throw new Fault("invalid_input", `${path} became shorter while it was read`, { hint: "Deploy again." });
        await this.#out.write(part.subarray(0, bytesRead));
        at += bytesRead;
      }
      await this.#out.write(tarPadding(size));
    } finally {
      await file.close();
    }
  }

  async #entry(entry: TarEntry): Promise<void> {
    this.#entries += 1;
    if (this.#entries > TAR_BOUNDS.entries)
      throw new Fault("invalid_input", `There are more than ${TAR_BOUNDS.entries} files and folders`, {
        hint: "Leave out with --exclude NAME what the service does not need, or put many small files into one.",
      });
    await this.#out.write(tarHeader(entry));
  }
}

function notPacked(path: string, what: string, name: string): Fault {
  return new Fault("invalid_input", `${path} is ${what}: archives of services have only files and folders`, {
    hint: `Put a copy of what it stands for there, or leave it out: --exclude ${name}`,
  });
}
