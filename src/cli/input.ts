// Text from a pipe or a file, bounded, and only as UTF-8.

import { Fault } from "../lib/fault.ts";

/** Larger than any context may be; the node says what is too large for it. */
const MAX_INPUT_BYTES = 8 * 1024 * 1024;

export async function readStdin(): Promise<string> {
  if (process.stdin.isTTY === true) process.stderr.write("cairn: reading from the terminal, end with Ctrl-D\n");
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of Bun.stdin.stream()) {
    size += chunk.byteLength;
    if (size > MAX_INPUT_BYTES) throw tooLarge("stdin");
    chunks.push(chunk);
  }
  return decode(Buffer.concat(chunks), "stdin");
}

export async function readTextFile(path: string): Promise<string> {
  const file = Bun.file(path);
  try {
    if (file.size > MAX_INPUT_BYTES) throw tooLarge(path);
    return decode(await file.bytes(), path);
  } catch (cause) {
    if (cause instanceof Fault) throw cause;
    throw new Fault("invalid_input", `Cannot read ${path}: ${cause instanceof Error ? cause.message : String(cause)}`, {
      hint: "Name a file, or - for stdin.",
    });
  }
}

function decode(bytes: Uint8Array, place: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new Fault("invalid_input", `${place} is not UTF-8 text`, { hint: "Contexts are JSON or text." });
  }
}

function tooLarge(place: string): Fault {
  return new Fault("too_large", `${place} has more than ${MAX_INPUT_BYTES} bytes`, {
    hint: "Split it into several contexts.",
  });
}
