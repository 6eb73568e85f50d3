// The file format of exports: a first line with format and position, a line for each version, a last line with counts
// and a hash. Written and read as a stream over operations, so that it works against any node that an admin can call.

import { z } from "zod";
import { Fault } from "../../lib/fault.ts";
import { Sha256 } from "../../lib/sha256.ts";
import { MAX_IMPORT_LINES } from "./import-versions.ts";

/** Calls an operation and returns its output. Rejects with its Fault. */
export type CallOperation = (operation: string, input: Record<string, unknown>) => Promise<Record<string, unknown>>;

/** Number of the format, in the first line. */
export const EXPORT_FORMAT = 1;
/** Longest text of one import command: well below its limit, even if every character is escaped. */
const MAX_BATCH_CHARACTERS = 2 * 1024 * 1024;

const first = z.strictObject({ cairn_export: z.literal(EXPORT_FORMAT), position: z.string(), prefix: z.string() });
const last = z.strictObject({
  end: z.literal(true),
  contexts: z.number().int(),
  versions: z.number().int(),
  sha256: z.string(),
});
const pageShape = z.object({ lines: z.array(z.string()), snapshot: z.string(), cursor: z.string().optional() });
const importedShape = z.object({ imported: z.number(), skipped: z.number() });
const idShape = z.looseObject({ id: z.string() });

/** Yields the lines of an export, without line ends. */
export async function* exportLines(call: CallOperation, prefix = ""): AsyncGenerator<string> {
  const hash = new Sha256();
  const said = (line: string): string => {
    hash.update(`${line}\n`);
    return line;
  };
  let versions = 0;
  let contexts = 0;
  let lastId = "";
  let cursor: string | undefined;
  do {
    const page = pageShape.parse(await call("context_export", { prefix, ...(cursor === undefined ? {} : { cursor }) }));
    if (cursor === undefined)
      yield said(JSON.stringify({ cairn_export: EXPORT_FORMAT, position: page.snapshot, prefix }));
    for (const line of page.lines) {
      const { id } = idShape.parse(JSON.parse(line));
      versions += 1;
      if (id !== lastId) contexts += 1;
      lastId = id;
      yield said(line);
    }
    cursor = page.cursor;
  } while (cursor !== undefined);
  yield JSON.stringify({ end: true, contexts, versions, sha256: hash.hex() });
}

/**
 * Yields the version lines of an export. Throws `invalid_input` if it is no export, is incomplete or was changed. A
 * change is found only at the end, so read an export to its end once before you act on it.
 */
export async function* readExport(lines: AsyncIterable<string> | Iterable<string>): AsyncGenerator<string> {
  const hash = new Sha256();
  let seen = 0;
  let ended = false;
  for await (const line of lines) {
    if (line.trim() === "") continue;
    if (ended) throw notAnExport("there are lines after its last line");
    if (seen === 0) {
      if (!first.safeParse(jsonOf(line)).success) throw notAnExport("its first line is not that of an export");
    } else {
      const end = line.startsWith('{"end":') ? last.safeParse(jsonOf(line)) : undefined;
      if (end?.success === true) {
        if (end.data.sha256 !== hash.hex() || end.data.versions !== seen - 1)
          throw notAnExport("its lines do not match the count and hash in its last line");
        ended = true;
        continue;
      }
      yield line;
    }
    hash.update(`${line}\n`);
    seen += 1;
  }
  if (!ended) throw notAnExport("its last line is missing");
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
    const next = idShape.parse(jsonOf(line)).id;
    if (next !== id) {
      id = next;
      leave = options.missingOnly === true && (await isThere(call, id));
      if (leave) report.left += 1;
    }
    if (leave) continue;
    if (batch.length >= MAX_IMPORT_LINES || characters + line.length > MAX_BATCH_CHARACTERS) await flush();
    batch.push(line);
    characters += line.length;
  }
  await flush();
  return report;
}

async function isThere(call: CallOperation, id: string): Promise<boolean> {
  try {
    await call("context_metadata", { id });
    return true;
  } catch (error) {
    if (error instanceof Fault && error.code === "not_found") return false;
    throw error;
  }
}

function jsonOf(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    throw notAnExport(`its line ${JSON.stringify(line.slice(0, 80))} is not JSON`);
  }
}

function notAnExport(why: string): Fault {
  return new Fault("invalid_input", `This is not a complete export: ${why}`, {
    hint: "Use an unchanged file written by `cairn export`; nothing more is imported.",
  });
}
