// cairn export: all contexts of a running node with their history, as JSON lines on stdout or in a file.

import { randomBytes } from "node:crypto";
import { existsSync, rmSync } from "node:fs";
import { exportLines } from "../../features/context/index.ts";
import { renameDurably } from "../../lib/atomic-file.ts";
import { counted } from "../../lib/counted.ts";
import { Fault } from "../../lib/fault.ts";
import { type Command, textOption } from "../command.ts";
import { say, writeData } from "../output.ts";
import { pageAsker, writeLines } from "./lines.ts";

/** `cairn export`. */
export const exportContexts: Command = {
  words: ["export"],
  summary: "write all contexts with their history as JSON lines, with authors, times and deletions",
  more: `Examples:
  cairn export --to contexts.jsonl
  cairn export team-a/ | zstd > team-a.jsonl.zst
  cairn context get team-a/plan --from contexts.jsonl`,
  args: [{ name: "[PREFIX]", help: "only ids that begin with this", offers: "ids" }],
  options: [
    { flags: "--to <file>", help: "write a file, which appears once it is complete; default: stdout", offers: "files" },
    { flags: "--data <dir>", help: "the node of this data folder" },
    { flags: "--url <url>", help: "the node at this address, such as http://cairn" },
  ],
  async run(invocation) {
    const lines = exportLines(pageAsker(invocation), invocation.args[0]);
    const file = textOption(invocation, "to");
    if (file === undefined) {
      for await (const line of lines) if (!(await writeData(`${line}\n`))) break;
    } else await writeExport(file, lines);
    return 0;
  },
};

/** Writes a complete file or none. Fault `data_exists` where one is there. */
async function writeExport(file: string, lines: AsyncIterable<string>): Promise<void> {
  if (existsSync(file)) throw new Fault("data_exists", `${file} exists already`, { hint: "Name another file." });
  const partial = `${file}.${randomBytes(4).toString("hex")}.partial`;
  try {
    const last = await writeLines(partial, lines);
    renameDurably(partial, file);
    const { contexts, versions } = JSON.parse(last);
    say(`${file}: ${counted(contexts, "context")}, ${counted(versions, "version")}`);
  } catch (error) {
    rmSync(partial, { force: true });
    throw error;
  }
}
