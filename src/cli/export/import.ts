// cairn import: writes an export into a running node, after the whole file has been checked.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { importLines } from "../../features/context/index.ts";
import { counted } from "../../lib/counted.ts";
import { type Command, isSet } from "../command.ts";
import { isRereadable } from "../input.ts";
import { showResult } from "../output.ts";
import { checkExport, linesOf } from "./export-file.ts";
import { pageAsker, writeLines } from "./lines.ts";

const IMPORT_MS = 24 * 3_600_000;

/** `cairn import`. */
export const importContexts: Command = {
  words: ["import"],
  summary: "write an export into a node, with authors, times and deletions; versions that exist there are skipped",
  more: `The whole file is checked first: an incomplete or changed one is refused before anything is written.
A context that has another history on the node is refused, unless --missing-only skips it.`,
  args: [{ name: "[FILE]", help: "written by cairn export; - or nothing reads stdin", offers: "files" }],
  options: [{ flags: "--missing-only", help: "skip contexts that exist on the node" }],
  asksNode: true,
  async run(invocation) {
    const given = invocation.args[0] ?? "-";
    const signal = AbortSignal.timeout(IMPORT_MS);
    const folder = !isRereadable(given) ? mkdtempSync(join(tmpdir(), "cairn-import-")) : undefined;
    try {
      // What can be read only once is stored until the whole of it has been checked.
      const file = folder === undefined ? given : join(folder, "export.jsonl");
      if (folder !== undefined) await writeLines(file, linesOf(given, signal));
      await checkExport(file, signal);
      const missingOnly = isSet(invocation, "missingOnly");
      const report = await importLines(pageAsker(invocation), linesOf(file, signal), { missingOnly });
      const { imported, skipped, left } = report;
      const text = `${counted(imported, "version")} imported, ${skipped} existed already, ${counted(left, "context")} skipped\n`;
      await showResult(invocation, report, text);
      return 0;
    } finally {
      if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
    }
  },
};
