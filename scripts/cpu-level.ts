// Marks an executable for x86-64 with the processors that can run it. Bun needs SSE4.2 (x86-64-v2) and is killed by an
// illegal instruction elsewhere, before any line of ours; with this mark the loader of glibc ends it with a sentence.

import { closeSync, openSync, readSync, writeSync } from "node:fs";

const HEADER_BYTES = 64;
const PROGRAM_HEADER_BYTES = 56;
const PT_NOTE = 4;
const NT_BUILD_ID = 3;
const NT_PROPERTIES = 5;
const ISA_NEEDED = 0xc0008002;
/** x86-64 itself, and x86-64-v2. */
const LEVELS = 0b11;

/**
 * Marks an ELF file as one for x86-64-v2: in the place of its build id, which nothing reads. Throws where the file has
 * no such note, as with another linker.
 */
export function requireV2(path: string): void {
  const file = openSync(path, "r+");
  try {
    const header = read(file, 0, HEADER_BYTES);
    const at = Number(header.readBigUInt64LE(32));
    for (let index = 0; index < header.readUInt16LE(56); index += 1) {
      const place = at + index * PROGRAM_HEADER_BYTES;
      const segment = read(file, place, PROGRAM_HEADER_BYTES);
      if (segment.readUInt32LE(0) !== PT_NOTE) continue;
      const [from, size] = [Number(segment.readBigUInt64LE(8)), Number(segment.readBigUInt64LE(32))];
      const offset = buildIdIn(read(file, from, size));
      if (offset === undefined) continue;
      const note = properties();
      writeSync(file, note, 0, note.length, from + offset);
      // The loader looks for properties in notes with this alignment only.
      segment.writeBigUInt64LE(8n, 48);
      writeSync(file, segment, 0, segment.length, place);
      return;
    }
    throw new Error(`${path} has no build id, in whose place its processors can be named`);
  } finally {
    closeSync(file);
  }
}

/** Returns where the note of a build id of 20 bytes begins. */
function buildIdIn(notes: Buffer): number | undefined {
  for (let at = 0; at + 12 <= notes.length; ) {
    const [nameBytes, bytes, type] = [notes.readUInt32LE(at), notes.readUInt32LE(at + 4), notes.readUInt32LE(at + 8)];
    if (type === NT_BUILD_ID && bytes === 20 && notes.toString("latin1", at + 12, at + 16) === "GNU\0") return at;
    at += 12 + padded(nameBytes) + padded(bytes);
  }
  return undefined;
}

/** Returns a note of 36 bytes with one property, padded to the size of a build id. */
function properties(): Buffer {
  const note = Buffer.alloc(36);
  for (const [index, word] of [4, 16, NT_PROPERTIES].entries()) note.writeUInt32LE(word, index * 4);
  note.write("GNU\0", 12, "latin1");
  for (const [index, word] of [ISA_NEEDED, 4, LEVELS].entries()) note.writeUInt32LE(word, 16 + index * 4);
  return note;
}

function padded(bytes: number): number {
  return Math.ceil(bytes / 4) * 4;
}

function read(file: number, at: number, bytes: number): Buffer {
  const buffer = Buffer.alloc(bytes);
  readSync(file, buffer, 0, bytes, at);
  return buffer;
}
