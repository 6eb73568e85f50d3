// Reads export files without a node: their lines, from a file or stdin, and single contexts. The format of a line is in
// features/context/.

import { readExport } from "../../features/context/index.ts";
import { MAX_EXPORT_LINE_BYTES } from "../../lib/bounds.ts";
import { Fault } from "../../lib/fault.ts";
import { readLines } from "../../lib/read-lines.ts";
import { fileReason } from "../../lib/reason-of.ts";
import { sha256Hex } from "../../lib/sha256.ts";
import { shownName } from "../../operation/recipients.ts";
import { openInput } from "../input.ts";

/**
 * Yields the lines of a file, or of stdin for `-`. Fault `invalid_input` when it cannot be read, or a line is too long
 * or not UTF-8.
 */
export async function* linesOf(file: string, signal: AbortSignal): AsyncGenerator<string> {
  try {
    for await (const line of readLines(openInput(file), signal, MAX_EXPORT_LINE_BYTES)) {
      if (line instanceof Fault)
        throw new Fault("invalid_input", `${file}: ${line.message}`, {
          hint: "Use a file as `cairn export` wrote it.",
        });
      yield line;
    }
  } catch (cause) {
    if (cause instanceof Fault || signal.aborted) throw cause;
    throw new Fault("invalid_input", `Cannot read ${file}: ${fileReason(cause)}`, {
      hint: "Name a file that `cairn export` wrote, or - for stdin.",
    });
  }
}

/**
 * Reads an export to its end. Fault `invalid_input` where it is incomplete or changed. Returns the number of versions.
 */
export async function checkExport(file: string, signal: AbortSignal): Promise<number> {
  let versions = 0;
  for await (const _ of readExport(linesOf(file, signal))) versions += 1;
  return versions;
}

/**
 * Returns a version of a context (the newest without `version`) in the form of context_get.
 * Faults `not_found`, `deleted`, `purged`, `invalid_input`.
 */
export async function getFromExport(
  file: string,
  id: string,
  version: number | undefined,
): Promise<Record<string, unknown>> {
  const wanted = JSON.stringify(id);
  let found: Record<string, unknown> | undefined;
  for await (const line of readExport(linesOf(file, AbortSignal.timeout(600_000)))) {
    // Searched as text first: parsing every document of a large export takes minutes.
    if (!line.includes(wanted)) continue;
    const row: Record<string, unknown> = JSON.parse(line);
    if (row["id"] === id && (version === undefined || row["version"] === version)) found = row;
  }
  if (found === undefined) {
    const what = version === undefined ? id : `version ${version} of ${id}`;
    throw new Fault("not_found", `${what} is not in ${file}`, { hint: "Look at the ids in it, or at another export." });
  }
  if (found["deleted"] === true)
    throw new Fault("deleted", `${id} is deleted as of version ${found["version"]}`, EARLIER);
  if (found["purged"] === true) throw new Fault("purged", `Version ${found["version"]} of ${id} was purged`, EARLIER);
  const { content, hash, time } = found;
  const text = String(content);
  if (sha256Hex(text) !== hash)
    throw new Fault("invalid_input", `The text of ${id} in ${file} does not match its hash`, EARLIER);
  return {
    id,
    version: found["version"],
    etag: `${found["version"]}-${String(hash).slice(0, 12)}`,
    content_type: found["content_type"],
    title: found["title"],
    tags: found["tags"],
    size: Buffer.byteLength(text),
    author: found["author"],
    created_at: found["created_at"],
    updated_at: time,
    ...detailsOf(found),
    ...readersOf(found),
    content: text,
  };
}

/** Returns the details of a line in the form of context_get. */
function detailsOf({ expires_at, metadata, supersedes }: Record<string, unknown>): Record<string, unknown> {
  return {
    ...(expires_at === undefined ? {} : { expires_at }),
    ...(typeof metadata === "string" ? { metadata: JSON.parse(metadata) } : {}),
    ...(supersedes === undefined ? {} : { supersedes }),
  };
}

/** Returns the readers of a line in the form of context_get. */
function readersOf({ visibility, owner, owner_agent, to }: Record<string, unknown>): Record<string, unknown> {
  return {
    ...(visibility === undefined ? {} : { visibility, owner }),
    ...(owner_agent === undefined ? {} : { owner_agent }),
    ...(Array.isArray(to) ? { to: to.map((name) => shownName(String(name))) } : {}),
  };
}

const EARLIER = { hint: "Name an earlier one with --version." };
