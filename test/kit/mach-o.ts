// Reads what Linux can check of a macOS executable: its header, and whether its ad-hoc signature still matches its
// bytes. macOS kills a file with a broken one at start. Layout: <mach-o/loader.h> and cs_blobs.h of Apple's xnu.

import { createHash } from "node:crypto";

const MAGIC_64 = 0xfeedfacf;
export const CPU_ARM64 = 0x0100000c;
const LC_SEGMENT_64 = 0x19;
const LC_CODE_SIGNATURE = 0x1d;
const SUPERBLOB = 0xfade0cc0;
const CODE_DIRECTORY = 0xfade0c02;
const HASH_SHA256 = 2;

export interface MachO {
  cpu: number;
  /** 2 is an executable, 6 a dylib. */
  fileType: number;
  segments: string[];
  signature: Signature | undefined;
}

export interface Signature {
  /** 0x2 is ad hoc, 0x20000 made by a linker. */
  flags: number;
  pages: number;
  /** Numbers of the pages whose hash does not match; empty for a valid signature. */
  wrongPages: number[];
  /** The signature covers everything before itself, and is the last part of the file. */
  coversAll: boolean;
}

/** Parses the file; throws when it is not a 64-bit Mach-O file. */
export function readMachO(file: Buffer): MachO {
  if (file.readUInt32LE(0) !== MAGIC_64)
    throw new Error(`no 64-bit Mach-O file: starts with ${file.subarray(0, 4).toString("hex")}`);
  const commands = file.readUInt32LE(16);
  const segments: string[] = [];
  let signature: Signature | undefined;
  for (let index = 0, at = 32; index < commands; index++) {
    const command = file.readUInt32LE(at);
    const size = file.readUInt32LE(at + 4);
    if (command === LC_SEGMENT_64) segments.push(file.toString("latin1", at + 8, at + 24).replace(/\0.*$/s, ""));
    if (command === LC_CODE_SIGNATURE)
      signature = readSignature(file, file.readUInt32LE(at + 8), file.readUInt32LE(at + 12));
    at += size;
  }
  return { cpu: file.readUInt32LE(4), fileType: file.readUInt32LE(12), segments, signature };
}

function readSignature(file: Buffer, offset: number, size: number): Signature {
  const blob = file.subarray(offset, offset + size);
  if (blob.readUInt32BE(0) !== SUPERBLOB) throw new Error("LC_CODE_SIGNATURE points at no SuperBlob");
  for (let index = 0; index < blob.readUInt32BE(8); index++) {
    const directory = blob.subarray(blob.readUInt32BE(16 + index * 8));
    if (directory.readUInt32BE(0) !== CODE_DIRECTORY) continue;
    return readCodeDirectory(file, directory, offset, offset + size === file.length);
  }
  throw new Error("the signature has no CodeDirectory");
}

function readCodeDirectory(file: Buffer, directory: Buffer, signedBytes: number, atEnd: boolean): Signature {
  const hashes = directory.readUInt32BE(16);
  const pages = directory.readUInt32BE(28);
  const limit = directory.readUInt32BE(32);
  const hashBytes = directory.readUInt8(36);
  const pageBytes = 1 << directory.readUInt8(39);
  if (directory.readUInt8(37) !== HASH_SHA256)
    throw new Error(`page hashes of type ${directory.readUInt8(37)}, not SHA-256`);
  const wrongPages: number[] = [];
  for (let page = 0; page < pages; page++) {
    const bytes = file.subarray(page * pageBytes, Math.min((page + 1) * pageBytes, limit));
    const wanted = directory.subarray(hashes + page * hashBytes, hashes + (page + 1) * hashBytes);
    if (!createHash("sha256").update(bytes).digest().subarray(0, hashBytes).equals(wanted)) wrongPages.push(page);
  }
  const coversAll = atEnd && limit === signedBytes && pages === Math.ceil(limit / pageBytes);
  return { flags: directory.readUInt32BE(12), pages, wrongPages, coversAll };
}
