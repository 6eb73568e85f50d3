// The file format of exports: a first line with format and position, a line for each version, a last line with counts
// and the SHA-256 of the lines before. version-line.ts has the format of a version.

import { z } from "zod";
import { Fault } from "../../lib/fault.ts";
import { Sha256 } from "../../lib/sha256.ts";

/** Number of the format, in the first line. */
const FORMAT = 1;

const firstLine = z.strictObject({ cairn_export: z.literal(FORMAT), position: z.string(), prefix: z.string() });
const lastLine = z.strictObject({
  end: z.literal(true),
  contexts: z.number().int(),
  versions: z.number().int(),
  sha256: z.string(),
});

/** Makes the lines of one export, without line ends. The versions of a context must follow each other. */
export class ExportWriter {
  readonly #hash = new Sha256();
  #versions = 0;
  #contexts = 0;
  #lastId = "";

  /** Returns the first line. */
  first(position: string, prefix: string): string {
    return this.#hashed(JSON.stringify({ cairn_export: FORMAT, position, prefix } satisfies z.input<typeof firstLine>));
  }

  /** Counts the line of a version and returns it. */
  version(id: string, line: string): string {
    this.#versions += 1;
    if (id !== this.#lastId) this.#contexts += 1;
    this.#lastId = id;
    return this.#hashed(line);
  }

  /** Returns the last line. */
  last(): string {
    const end: z.input<typeof lastLine> = {
      end: true,
      contexts: this.#contexts,
      versions: this.#versions,
      sha256: this.#hash.hex(),
    };
    return JSON.stringify(end);
  }

  #hashed(line: string): string {
    this.#hash.update(`${line}\n`);
    return line;
  }
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
    const end = seen === 0 ? undefined : parseEnd(line);
    if (end !== undefined) {
      if (end.sha256 !== hash.hex() || end.versions !== seen - 1)
        throw notAnExport("its lines do not match the count and hash in its last line");
      ended = true;
      continue;
    }
    if (seen > 0) yield line;
    else if (!firstLine.safeParse(parseExportJson(line)).success)
      throw notAnExport("its first line is not that of an export");
    hash.update(`${line}\n`);
    seen += 1;
  }
  if (!ended) throw notAnExport("its last line is missing");
}

function parseEnd(line: string): z.output<typeof lastLine> | undefined {
  return line.startsWith('{"end":') ? lastLine.safeParse(parseExportJson(line)).data : undefined;
}

/** Parses a line of an export as JSON. Throws `invalid_input`. */
export function parseExportJson(line: string): unknown {
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
