// Reads text from a pipe or a file: bounded, and UTF-8 only.

import { createReadStream, statSync } from "node:fs";
import { extname } from "node:path";
import { Fault } from "../lib/fault.ts";
import { describeJsonError } from "../lib/json-error.ts";
import { reasonOf } from "../lib/reason-of.ts";
import { textOfUtf8, withoutBom } from "../lib/utf8.ts";

/** More than the largest context; the node has limits of its own. */
const MAX_INPUT_BYTES = 8 * 1024 * 1024;

/** The ways to say stdin. As a file, a redirected one would be read from its beginning, and a socket not at all. */
const STDIN: ReadonlySet<string> = new Set(["-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"]);

/** Reports whether a file can be read a second time: a pipe, a FIFO or stdin cannot. */
export function isRereadable(file: string): boolean {
  return !STDIN.has(file) && statSync(file, { throwIfNoEntry: false })?.isFile() !== false;
}

/** Opens a file, or stdin for `-`, to be read once to its end: the size of a pipe is not known before. */
export function openInput(file: string): AsyncIterable<Uint8Array> {
  return STDIN.has(file) ? Bun.stdin.stream() : createReadStream(file);
}

/** Returns the text of a file, or of stdin for `-`. Faults `invalid_input`, `too_large`. */
export async function readInput(file: string): Promise<string> {
  const isStdin = STDIN.has(file);
  if (isStdin && process.stdin.isTTY === true)
    process.stderr.write("cairn: reading from the terminal, end with Ctrl-D\n");
  const place = isStdin ? "stdin" : file;
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const chunk of openInput(file)) {
      size += chunk.byteLength;
      if (size > MAX_INPUT_BYTES) throw tooLarge(place);
      chunks.push(chunk);
    }
  } catch (cause) {
    if (cause instanceof Fault) throw cause;
    throw new Fault("invalid_input", `Cannot read ${place}: ${reasonOf(cause)}`, {
      hint: "Name a file, or - for stdin.",
    });
  }
  return textOfUtf8(Buffer.concat(chunks), place);
}

/** Parses JSON that a person gave. Fault `invalid_input` names it as `what`. */
export function parseJsonInput(text: string, what: string): unknown {
  try {
    return JSON.parse(withoutBom(text));
  } catch {
    throw new Fault("invalid_input", `${what} is not JSON: ${describeJsonError(text)}`, {
      hint: `Quote it for your shell: '{"id": "team-a/plan"}', or pipe it in and give - instead.`,
    });
  }
}

const TYPES: Readonly<Record<string, string>> = {
  ".json": "application/json",
  ".md": "text/markdown",
  ".txt": "text/plain",
};

/** Returns the media type by the file's name, else JSON for a JSON object or array, else plain text. */
export function mediaTypeOf(file: string, content: string): string {
  const known = TYPES[extname(file).toLowerCase()];
  if (known !== undefined) return known;
  const text = withoutBom(content);
  if (!/^\s*[[{]/.test(text)) return "text/plain";
  try {
    JSON.parse(text);
    return "application/json";
  } catch {
    return "text/plain";
  }
}

/** Returns the file extension by which editors know a media type. */
export function extensionOf(contentType: string): string {
  if (contentType === "application/json" || contentType.endsWith("+json")) return ".json";
  return contentType === "text/markdown" ? ".md" : ".txt";
}

function tooLarge(place: string): Fault {
  return new Fault("too_large", `${place} has more than ${MAX_INPUT_BYTES} bytes`, {
    hint: "Split it into several contexts.",
  });
}
