// Reads a file of a folder as text, whole and unchanged: a file that is written meanwhile is read again or left.

import { closeSync, constants, fstatSync, openSync } from "node:fs";
import { join } from "node:path";
import { MAX_DOCUMENT_BYTES } from "../lib/bounds.ts";
import { Fault } from "../lib/fault.ts";
import { pause } from "../lib/pause.ts";
import { readBounded } from "../lib/read-file.ts";
import { fileReason } from "../lib/reason-of.ts";
import { textOfUtf8 } from "../lib/utf8.ts";
import type { Left } from "./left.ts";
import { isSameSeen, type Seen, seenAt, seenOf } from "./scan.ts";

/** Room for front matter beside the largest document. */
const MAX_FILE_BYTES = MAX_DOCUMENT_BYTES + 64 * 1024;
const TRIES = 5;
const AGAIN_MS = 100;
/** The clock of files stands still for up to 10 ms: a change right after another one may not show in their times. */
const TICK_MS = 20;

/** The text of a file, and what the system said of it before and after. */
export interface Read {
  text: string;
  seen: Seen;
}

/** Reads a file, or returns why it is left. Rejects only when the signal aborts. */
export async function readText(root: string, path: string, signal: AbortSignal): Promise<Read | Left> {
  for (let attempt = 1; ; attempt += 1) {
    const ageMs = ageOf(seenAt(join(root, path)));
    if (ageMs < TICK_MS) await pause(TICK_MS - ageMs, signal);
    const read = readOnce(root, path);
    if (read !== undefined) return read;
    if (attempt === TRIES)
      return { place: path, why: "it is being written just now", hint: "Run it again when the writing is over." };
    await pause(AGAIN_MS, signal);
  }
}

/** Returns how long ago a file was changed, in ms; infinity where that is not known. */
function ageOf(seen: Seen | undefined): number {
  const ageMs = Date.now() - Number(BigInt(seen?.mtime ?? 0) / 1_000_000n);
  return ageMs < 0 ? Number.POSITIVE_INFINITY : ageMs;
}

/** Returns undefined where the file changed meanwhile. */
function readOnce(root: string, path: string): Read | Left | undefined {
  const file = join(root, path);
  try {
    // Never through a link, and never waiting for the writer of a pipe.
    const descriptor = openSync(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      const before = fstatSync(descriptor, { bigint: true });
      if (!before.isFile()) return { place: path, why: "it is no plain file", hint: "Move it out of the folder." };
      if (ageOf(seenOf(before)) < TICK_MS) return undefined;
      if (before.size > MAX_FILE_BYTES) return tooLarge(path, Number(before.size));
      const bytes = readBounded(descriptor, MAX_FILE_BYTES);
      const seen = seenOf(fstatSync(descriptor, { bigint: true }));
      if (!isSameSeen(seenOf(before), seen) || !isSameSeen(seenAt(file), seen)) return undefined;
      return textOf(path, bytes, seen);
    } finally {
      closeSync(descriptor);
    }
  } catch (error) {
    return {
      place: path,
      why: `it cannot be read: ${fileReason(error)}`,
      hint: "Give this user the right to read it.",
    };
  }
}

function textOf(path: string, bytes: Buffer, seen: Seen): Read | Left {
  if (bytes.includes(0))
    return { place: path, why: "it is no text: it has bytes of value 0", hint: "Move it elsewhere." };
  try {
    return { text: textOfUtf8(bytes, "The file"), seen };
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    return { place: path, why: error.message, hint: error.hint ?? "Save it as UTF-8." };
  }
}

function tooLarge(path: string, size: number): Left {
  return {
    place: path,
    why: `it has ${size} bytes, and a context has at most ${MAX_DOCUMENT_BYTES}`,
    hint: "Split it, or move it elsewhere.",
  };
}
