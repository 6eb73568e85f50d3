// Writes and reads whole exports as streams of lines over operations, so that both work against any node that an admin
// can call.

import { z } from "zod";
import { MAX_IMPORT_LINE_BYTES } from "../../lib/bounds.ts";
import { Fault } from "../../lib/fault.ts";
import { ExportWriter, parseExportJson, readExport } from "./export-format.ts";
import { MAX_IMPORT_LINES } from "./import-versions.ts";
import { lineForCall } from "./version-line.ts";

/** Calls an operation and returns its output. Rejects with its Fault. */
export type CallOperation = (operation: string, input: Record<string, unknown>) => Promise<Record<string, unknown>>;

/** Most characters of lines in one call: in JSON each has three bytes at most, as its escapes are escaped already. */
const MAX_BATCH_CHARACTERS = Math.floor(MAX_IMPORT_LINE_BYTES / 3);

const pageShape = z.object({ lines: z.array(z.string()), snapshot: z.string(), cursor: z.string().optional() });
const importedShape = z.object({ imported: z.number(), skipped: z.number() });
const idShape = z.looseObject({ id: z.string() });

/** Yields the lines of an export, without line ends. */
export async function* exportLines(call: CallOperation, prefix = ""): AsyncGenerator<string> {
  const writer = new ExportWriter();
  let cursor: string | undefined;
  do {
    const page = pageShape.parse(await call("context_export", { prefix, ...(cursor === undefined ? {} : { cursor }) }));
    if (cursor === undefined) yield writer.first(page.snapshot, prefix);
    for (const line of page.lines) yield writer.version(idShape.parse(JSON.parse(line)).id, line);
    cursor = page.cursor;
  } while (cursor !== undefined);
  yield writer.last();
}

/** The result of an import. */
export interface ImportReport {
  /** Versions written. */
  imported: number;
  /** Versions that existed already. */
  skipped: number;
  /** With `missingOnly`: contexts that were not imported because they existed. */
  left: number;
}

/**
 * Imports an export. Versions that exist are skipped, so an interrupted import can be run again. With `missingOnly`,
 * contexts that exist are not imported at all. Rejects with Faults of `readExport` and `context_import`.
 */
export async function importLines(
  call: CallOperation,
  lines: AsyncIterable<string> | Iterable<string>,
  options: { missingOnly?: boolean } = {},
): Promise<ImportReport> {
  const report: ImportReport = { imported: 0, skipped: 0, left: 0 };
  let batch: string[] = [];
  let characters = 0;
  let id = "";
  let leave = false;
  const flush = async (): Promise<void> => {
    if (batch.length === 0) return;
    const { imported, skipped } = importedShape.parse(await call("context_import", { lines: batch }));
    report.imported += imported;
    report.skipped += skipped;
    batch = [];
    characters = 0;
  };
  for await (const line of readExport(lines)) {
    const next = idShape.parse(parseExportJson(line)).id;
    if (next !== id) {
      id = next;
      leave = options.missingOnly === true && (await exists(call, id));
      if (leave) report.left += 1;
    }
    if (leave) continue;
    const sent = lineForCall(line);
    if (batch.length >= MAX_IMPORT_LINES || characters + sent.length > MAX_BATCH_CHARACTERS) await flush();
    batch.push(sent);
    characters += sent.length;
  }
  await flush();
  return report;
}

async function exists(call: CallOperation, id: string): Promise<boolean> {
  try {
    await call("context_metadata", { id });
    return true;
  } catch (error) {
    if (error instanceof Fault && error.code === "not_found") return false;
    throw error;
  }
}
