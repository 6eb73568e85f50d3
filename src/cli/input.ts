// Reads text from a pipe or a file: bounded, and UTF-8 only.

import { extname } from "node:path";
import { Fault } from "../lib/fault.ts";
import { describeJsonError } from "../lib/json-error.ts";
import { reasonOf } from "../lib/reason-of.ts";

/** More than the largest context; the node has limits of its own. */
const MAX_INPUT_BYTES = 8 * 1024 * 1024;

/** Returns the text of a file, or of stdin for `-`. Faults `invalid_input`, `too_large`. */
export function readInput(file: string): Promise<string> {
  return file === "-" ? readStdin() : readTextFile(file);
}

async function readStdin(): Promise<string> {
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

async function readTextFile(path: string): Promise<string> {
  const file = Bun.file(path);
  try {
    if (file.size > MAX_INPUT_BYTES) throw tooLarge(path);
    return decode(await file.bytes(), path);
  } catch (cause) {
    if (cause instanceof Fault) throw cause;
    throw new Fault("invalid_input", `Cannot read ${path}: ${reasonOf(cause)}`, {
      hint: "Name a file, or - for stdin.",
    });
  }
}

/** Parses JSON that a person gave. Fault `invalid_input` names it as `what`. */
export function parseJsonInput(text: string, what: string): unknown {
  try {
    return JSON.parse(text);
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
  if (!/^\s*[[{]/.test(content)) return "text/plain";
  try {
    JSON.parse(content);
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
