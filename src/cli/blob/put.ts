// cairn blob put: sends a file to the node in parts, goes on where an interrupted run ended, and waits until enough
// members hold it.

import { type FileHandle, open, stat } from "node:fs/promises";
import { PART_BYTES } from "../../lib/bounds.ts";
import { counted } from "../../lib/counted.ts";
import { Fault } from "../../lib/fault.ts";
import { reasonOf } from "../../lib/reason-of.ts";
import { Sha256 } from "../../lib/sha256.ts";
import { wholeNumber } from "../../lib/whole-number.ts";
import { type Command, type Invocation, textOption } from "../command.ts";
import { typeOfFile } from "../input.ts";
import { cell, say, showResult } from "../output.ts";
import { askPatiently } from "./ask.ts";

/** How long to wait for copies, in seconds, where `--timeout` does not say. */
const COPIES_SECONDS = 300;

/** `cairn blob put`. */
export const blobPutCommand: Command = {
  words: ["blob", "put"],
  operation: "blob_put",
  summary: "store a file as a blob; prints its SHA-256 once enough members hold it",
  more: `A blob is kept as long as a context of its space names it in the metadata:
  cairn blob put app.tar --space team-a
  cairn context put team-a/release --metadata '{"blobs":["<SHA256>"]}' …
Run it again after an interruption: it goes on where it stopped.`,
  args: [{ name: "FILE", help: "the file to store", offers: "files" }],
  options: [
    { flags: "--space <space>", help: "the space that it is in (default: default)" },
    { flags: "--type <type>", help: "its media type (default: by the end of the file's name)", fills: "content_type" },
    { flags: "--copies <n>", help: "full members that hold it before the command ends" },
    { flags: "--keep-hours <n>", help: "hours for which it is kept while no context refers to it" },
    {
      flags: "--timeout <seconds>",
      help: `how long to wait for copies once all bytes are sent (default ${COPIES_SECONDS})`,
    },
  ],
  asksNode: true,
  async run(invocation) {
    const path = invocation.args[0] ?? "";
    const seconds = numberArgument(invocation, "timeout", "timeout")["timeout"];
    const output = await putFile(invocation, path, { ...typeOf(path), ...chosenOf(invocation) }, seconds);
    await showResult(invocation, output, `${String(output["sha256"])}\n`);
    return 0;
  },
};

/**
 * Stores a file as a blob, and returns the last answer of blob_put. `seconds`: how long to wait for copies. Faults
 * `invalid_input` (the file), `unavailable` (not enough members hold it), and those of the node.
 */
export async function putFile(
  invocation: Invocation,
  path: string,
  chosen: Record<string, unknown>,
  seconds = COPIES_SECONDS,
): Promise<Record<string, unknown>> {
  const file = await openFile(path);
  try {
    return await send(invocation, file, chosen, seconds);
  } finally {
    await file.close();
  }
}

/** Opens a file whose bytes stay the same. Fault `invalid_input`. */
async function openFile(path: string): Promise<FileHandle> {
  if (path === "-") {
    throw new Fault("invalid_input", "A blob is not read from stdin: its hash is needed before its bytes", {
      hint: "Write the bytes to a file first, then put that file. A file named - is ./-",
    });
  }
  const found = await stat(path).catch((cause: unknown) => {
    throw new Fault("invalid_input", `Cannot read ${path}: ${reasonOf(cause)}`, { hint: "Name a file.", cause });
  });
  if (!found.isFile()) {
    const what = found.isDirectory() ? "a folder" : "no regular file";
    const hint = found.isDirectory()
      ? "Put an archive of it: tar -cf FILE.tar FOLDER"
      : "Write the bytes to a file first, then put that file.";
    throw new Fault("invalid_input", `${path} is ${what}`, { hint });
  }
  return open(path, "r").catch((cause: unknown) => {
    throw new Fault("invalid_input", `Cannot read ${path}: ${reasonOf(cause)}`, {
      hint: "Name a file that you may read.",
      cause,
    });
  });
}

/** Returns the media type that the end of a name says; none for an unknown one. */
function typeOf(path: string): Record<string, string> {
  const type = typeOfFile(path) ?? Bun.file(path).type;
  return type === "" || type === "application/octet-stream" ? {} : { content_type: type };
}

/** Returns the arguments that the options make. Fault `invalid_input`. */
function chosenOf(invocation: Invocation): Record<string, unknown> {
  return {
    ...textArgument(invocation, "space", "space"),
    ...textArgument(invocation, "type", "content_type"),
    ...numberArgument(invocation, "copies", "copies"),
    ...numberArgument(invocation, "keepHours", "keep_hours"),
  };
}

async function send(
  invocation: Invocation,
  file: FileHandle,
  chosen: Record<string, unknown>,
  seconds: number,
): Promise<Record<string, unknown>> {
  const { sha256, bytes } = await hashOf(file);
  const asked = { ...chosen, sha256, bytes };
  let told = "";
  const tell = (text: string) => {
    if (text !== told) say(text);
    told = text;
  };
  let untilMs = performance.now() + seconds * 1000;
  const ask = (input: Record<string, unknown>) =>
    askPatiently(invocation, "blob_put", input, { untilMs, onRetry: (fault) => tell(fault.message) });
  let state = await ask(asked);
  while (state["stored"] !== true) {
    const offset = Number(state["received"]);
    const part = await partOf(file, offset, Math.min(PART_BYTES, bytes - offset));
    if (part.byteLength === 0 && offset < bytes)
      throw new Fault("invalid_input", "The file became shorter while it was read", { hint: "Send it again." });
    if (part.byteLength > 0) untilMs = performance.now() + seconds * 1000;
    else if (bytes > 0) {
      if (performance.now() >= untilMs) throw notStored(state, seconds);
      tell(`all bytes are sent; ${held(state)}`);
    }
    const next = part.byteLength === 0 ? {} : { offset, data: part.toString("base64") };
    state = await ask({ ...asked, ...next });
  }
  return state;
}

/** Says how many members have a blob, and for whom it waits. */
function held({ holders, wanted, missing }: Record<string, unknown>): string {
  return `${cell(holders)} of the ${counted(Number(wanted), "member")} wanted hold it: ${cell(missing)}`;
}

function notStored(state: Record<string, unknown>, seconds: number): Fault {
  return new Fault("unavailable", `Not stored within ${seconds} s: ${held(state)}`, {
    hint: "Run it again: no byte is sent twice, for about an hour. With --copies 1 one member is enough.",
  });
}

async function hashOf(file: FileHandle): Promise<{ sha256: string; bytes: number }> {
  const hash = new Sha256();
  for (let bytes = 0; ; ) {
    const part = await partOf(file, bytes, PART_BYTES);
    if (part.byteLength === 0) return { sha256: hash.hex(), bytes };
    hash.update(part);
    bytes += part.byteLength;
  }
}

async function partOf(file: FileHandle, offset: number, length: number): Promise<Buffer> {
  const part = Buffer.alloc(length);
  const { bytesRead } = await file.read(part, 0, length, offset);
  return part.subarray(0, bytesRead);
}

function textArgument(invocation: Invocation, option: string, argument: string): Record<string, string> {
  const value = textOption(invocation, option);
  return value === undefined ? {} : { [argument]: value };
}

function numberArgument(invocation: Invocation, option: string, argument: string): Record<string, number> {
  const value = textOption(invocation, option);
  return value === undefined ? {} : { [argument]: wholeNumber(`--${argument.replaceAll("_", "-")}`, value) };
}
