// Reads a file once, from its beginning to its end, within a bound. The size that a file has before it is read is no
// bound: that of a pipe is unknown and that of a file in /proc is 0.

import { closeSync, openSync, readSync } from "node:fs";

const CHUNK_BYTES = 64 * 1024;

/** Returns the bytes of a path or of an open file. Throws the system's error, or one for more than `maxBytes`. */
export function readBounded(file: string | number, maxBytes: number): Buffer {
  if (typeof file === "number") return readOpen(file, maxBytes);
  const descriptor = openSync(file, "r");
  try {
    return readOpen(descriptor, maxBytes);
  } finally {
    closeSync(descriptor);
  }
}

function readOpen(descriptor: number, maxBytes: number): Buffer {
  const chunks: Buffer[] = [];
  let size = 0;
  for (;;) {
    const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
    const read = readSync(descriptor, chunk, 0, CHUNK_BYTES, null);
    if (read === 0) return Buffer.concat(chunks, size);
    size += read;
    if (size > maxBytes) throw new Error(`it has more than ${maxBytes} bytes`);
    chunks.push(chunk.subarray(0, read));
  }
}
