// cairn blob put: sends a file to the node in parts, goes on where an interrupted run ended, and waits until enough
// members hold it.

import { type FileHandle, open } from "node:fs/promises";
import { PART_BYTES } from "../../features/blob/index.ts";
import { Fault } from "../../lib/fault.ts";
import { reasonOf } from "../../lib/reason-of.ts";
import { Sha256 } from "../../lib/sha256.ts";
import { wholeNumber } from "../../lib/whole-number.ts";
import { type Command, type Invocation, textOption } from "../command.ts";
import { say, showResult } from "../output.ts";
import { askPatiently } from "./ask.ts";

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
    { flags: "--type <type>", help: "its media type (default: application/octet-stream)", fills: "content_type" },
    { flags: "--copies <n>", help: "full members that hold it before the command ends" },
    { flags: "--keep-hours <n>", help: "hours for which it is kept while no context refers to it" },
  ],
  asksNode: true,
  async run(invocation) {
    const path = invocation.args[0] ?? "";
    const chosen = chosenOf(invocation);
    const file = await open(path, "r").catch((cause: unknown) => {
      throw new Fault("invalid_input", `Cannot read ${path}: ${reasonOf(cause)}`, { hint: "Name a file.", cause });
    });
    try {
      const output = await send(invocation, file, chosen);
      await showResult(invocation, output, `${String(output["sha256"])}\n`);
      return 0;
    } finally {
      await file.close();
    }
  },
};

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
): Promise<Record<string, unknown>> {
  const { sha256, bytes } = await hashOf(file);
  const asked = { ...chosen, sha256, bytes };
  let state = await askPatiently(invocation, "blob_put", asked);
  let isWaiting = false;
  while (state["stored"] !== true) {
    const offset = Number(state["received"]);
    const part = await partOf(file, offset, Math.min(PART_BYTES, bytes - offset));
    if (part.byteLength === 0 && offset < bytes)
      throw new Fault("invalid_input", "The file became shorter while it was read", { hint: "Send it again." });
    if (part.byteLength === 0 && bytes > 0 && !isWaiting) {
      isWaiting = true;
      say("all bytes are sent; waiting until enough members hold them");
    }
    const next = part.byteLength === 0 ? {} : { offset, data: part.toString("base64") };
    state = await askPatiently(invocation, "blob_put", { ...asked, ...next });
  }
  return state;
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
