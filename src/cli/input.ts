// Reads text from a pipe or a file: bounded, and UTF-8 only.

import { createReadStream, statSync } from "node:fs";
import { extname } from "node:path";
import { Fault } from "../lib/fault.ts";
import { describeJsonError } from "../lib/json-error.ts";
import { isJsonType } from "../lib/media-type.ts";
import { fileReason } from "../lib/reason-of.ts";
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
    throw new Fault("invalid_input", `Cannot read ${place}: ${fileReason(cause)}`, {
      hint: "Name a file, or - for stdin.",
    });
  }
  return textOfUtf8(Buffer.concat(chunks), place);
}

/** Parses JSON that a person gave. Fault `invalid_input` names it as `what`. */
export function parseJsonInput(text: string, what: string): unknown {
  const json = withoutBom(text);
  try {
    return JSON.parse(json);
  } catch {
    throw new Fault("invalid_input", `${what} is not JSON: ${describeJsonError(json)}`, {
      hint: `Quote it for your shell: '{"id": "team-a/plan"}', or pipe it in and give - instead.`,
    });
  }
}

const TYPES: Readonly<Record<string, string>> = {
  ".json": "application/json",
  ".geojson": "application/geo+json",
  ".ipynb": "application/x-ipynb+json",
  ".md": "text/markdown",
  ".markdown": "text/markdown",
  ".csv": "text/csv",
  ".yaml": "text/yaml",
  ".yml": "text/yaml",
};

/**
 * Returns the media type of the first of these names that has an extension, plain text for an unknown one: what a file
 * holds today, such as a single line of JSON Lines, does not decide. Undefined where none has one: then the node does.
 */
export function typeByName(...names: readonly string[]): string | undefined {
  // The end of `release-1.0` is none.
  const extension = names.map((name) => extname(name).toLowerCase()).find((found) => /^\.[a-z]/.test(found));
  return extension === undefined ? undefined : (TYPES[extension] ?? "text/plain");
}

/** Returns the media type that the extension of a file says; undefined for an extension that says none. */
export function typeOfFile(name: string): string | undefined {
  return TYPES[extname(name).toLowerCase()];
}

/** Throws Fault `invalid_input`, with the flag that helps, where text with a JSON type by its name is no JSON. */
export function refuseNoJson(text: string, type: string | undefined, place: string): void {
  if (type === undefined || !isJsonType(type)) return;
  const json = withoutBom(text);
  try {
    JSON.parse(json);
  } catch {
    throw new Fault("invalid_input", `${place} is ${type} by its name, but not JSON: ${describeJsonError(json)}`, {
      hint: "Correct it, or store it as text with --type text/plain, such as JSON with comments.",
    });
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
