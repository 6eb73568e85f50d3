// cairn blob get: reads a blob in parts, checks its SHA-256, and goes on where an interrupted run ended.

import { existsSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { dirname } from "node:path";
import { renameDurably } from "../../lib/atomic-file.ts";
import { PART_BYTES } from "../../lib/bounds.ts";
import { counted } from "../../lib/counted.ts";
import { Fault } from "../../lib/fault.ts";
import { reasonOf } from "../../lib/reason-of.ts";
import { Sha256 } from "../../lib/sha256.ts";
import { type Command, type Invocation, textOption } from "../command.ts";
import { say } from "../output.ts";
import { askPatiently } from "./ask.ts";

/** `cairn blob get`. */
export const blobGetCommand: Command = {
  words: ["blob", "get"],
  operation: "blob_get",
  summary: "write the bytes of a blob to a file or to stdout, checked by its SHA-256",
  more: `With --to FILE the file appears once it is whole; run it again after an interruption, and it goes on.
On stdout a blob that is not whole ends with an error after the bytes that came.`,
  args: [{ name: "SHA256", help: "64 hex digits, as cairn blob put printed them" }],
  options: [
    { flags: "--space <space>", help: "the space that it is in (default: default)" },
    { flags: "--to <file>", help: "write this file; default: stdout", offers: "files" },
  ],
  asksNode: true,
  async run(invocation) {
    const sha256 = invocation.args[0] ?? "";
    const path = textOption(invocation, "to");
    const space = textOption(invocation, "space");
    if (path === undefined) {
      await receive(invocation, { sha256, space }, new Sha256(), 0, async (part) => {
        await Bun.write(Bun.stdout, part);
      });
    } else await readBlob(invocation, { sha256, space, path });
    return 0;
  },
};

/** A blob; without a space, one of the space `default`. */
interface Wanted {
  sha256: string;
  space: string | undefined;
}

/** Writes a blob to a new file, and goes on where an earlier call was interrupted. Fault `data_exists`. */
export async function readBlob(invocation: Invocation, { path, ...wanted }: Wanted & { path: string }): Promise<void> {
  if (existsSync(path)) throw new Fault("data_exists", `${path} exists already`, { hint: "Name another file." });
  // The hash is in the name: a part of another blob is never gone on with.
  const partial = `${path}.${wanted.sha256.slice(0, 16)}.partial`;
  const file = await open(partial, existsSync(partial) ? "r+" : "wx+", 0o600).catch((cause: unknown) => {
    throw notWritten(path, cause);
  });
  try {
    const hash = new Sha256();
    const before = await readAll(file, hash);
    if (before > 0) say(`going on after ${counted(before, "byte")}`);
    let at = before;
    await receive(invocation, wanted, hash, before, async (part) => {
      await writeAll(file, part, at);
      at += part.byteLength;
    });
    await file.sync();
  } catch (error) {
    // Bytes with another hash are of no use to a later run.
    if (error instanceof Fault && error.code === "data_corrupt") await file.truncate(0);
    throw error;
  } finally {
    await file.close();
  }
  renameDurably(partial, path);
}

function notWritten(path: string, cause: unknown): Fault {
  const folder = dirname(path);
  const isMissing = !existsSync(folder);
  const why = isMissing ? `there is no folder ${folder}` : reasonOf(cause);
  const hint = isMissing ? `Make it first: mkdir -p ${folder}` : "Name a file in a folder that you may write.";
  return new Fault("invalid_input", `Cannot write ${path}: ${why}`, { hint, cause });
}

/** Reads the bytes from `offset` on. Fault `data_corrupt` where the whole has another hash. */
async function receive(
  invocation: Invocation,
  { sha256, space }: Wanted,
  hash: Sha256,
  offset: number,
  take: (part: Uint8Array) => Promise<void>,
): Promise<void> {
  for (let at = offset; ; ) {
    const asked = { sha256, offset: at, length: PART_BYTES, ...(space === undefined ? {} : { space }) };
    const output = await askPatiently(invocation, "blob_get", asked);
    const part = Buffer.from(String(output["data"]), "base64");
    if (part.byteLength > 0) {
      hash.update(part);
      await take(part);
      at += part.byteLength;
    }
    if (part.byteLength > 0 && at < Number(output["bytes"])) continue;
    const found = hash.hex();
    if (found === sha256) return;
    throw new Fault("data_corrupt", `The bytes have the SHA-256 ${found}, not ${sha256}`, {
      hint: "A copy is damaged on the member that answered, or a file that was gone on with was changed: run it again.",
    });
  }
}

async function readAll(file: FileHandle, hash: Sha256): Promise<number> {
  const part = new Uint8Array(PART_BYTES);
  for (let at = 0; ; ) {
    const { bytesRead } = await file.read(part, 0, part.byteLength, at);
    if (bytesRead === 0) return at;
    hash.update(part.subarray(0, bytesRead));
    at += bytesRead;
  }
}

async function writeAll(file: FileHandle, part: Uint8Array, at: number): Promise<void> {
  for (let done = 0; done < part.byteLength; )
    done += (await file.write(part, done, part.byteLength - done, at + done)).bytesWritten;
}
