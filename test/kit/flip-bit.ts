// Damages a file as a failing disk does.

import { closeSync, openSync, readSync, statSync, writeSync } from "node:fs";

/** Flips one bit at a place in the file: 0 is its start and 1 its end. */
export function flipBit(path: string, place: number): void {
  const at = Math.min(statSync(path).size - 1, Math.floor(statSync(path).size * place));
  const file = openSync(path, "r+");
  const byte = Buffer.alloc(1);
  readSync(file, byte, 0, 1, at);
  byte[0] = (byte[0] ?? 0) ^ 0x10;
  writeSync(file, byte, 0, 1, at);
  closeSync(file);
}
