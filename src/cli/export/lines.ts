// What export and import share: paging through the node as an admin, and writing lines to a new private file.

import { once } from "node:events";
import { createWriteStream, openSync } from "node:fs";
import { finished } from "node:stream/promises";
import { flush } from "../../lib/atomic-file.ts";
import { Fault } from "../../lib/fault.ts";
import { retry } from "../../lib/retry.ts";
import { askNode } from "../client.ts";
import type { Invocation } from "../command.ts";

/** Time limit of a page, in ms: pages are small, but the node may be busy. */
const PAGE_MS = 120_000;

/** Waits for the rate of the caller, which counts the bytes of a page; the longest is a minute's worth. */
const RATE = { firstMs: 500, lastMs: 5000, tries: 30 };

/**
 * Returns a function that runs operations on the node, as exportLines and importLines want it. Both may be repeated:
 * what the rate limit refuses is asked again.
 */
export function pageAsker(invocation: Invocation) {
  return (operation: string, input: Record<string, unknown>): Promise<Record<string, unknown>> =>
    retry(async () => (await askNode(invocation, operation, input, { answerMs: PAGE_MS })).body, {
      ...RATE,
      mayRetry: (error) => error instanceof Fault && error.code === "rate_limited",
    });
}

/** Writes lines to a new private file and flushes it to the disk. Returns the last line. Fault `storage_full`. */
export async function writeLines(path: string, lines: AsyncIterable<string>): Promise<string> {
  // Opened here: the stream of a file that cannot be opened never ends in Bun, and so would the command.
  const stream = createWriteStream(path, { fd: openSync(path, "wx", 0o600) });
  // Awaited below; handled from the start, so that a full disk while lines arrive is an error of this call alone.
  const written = finished(stream);
  written.catch(() => {});
  let last = "";
  try {
    for await (const line of lines) {
      if (!stream.write(`${line}\n`)) await once(stream, "drain");
      last = line;
    }
    stream.end();
    await written;
  } catch (cause) {
    stream.destroy();
    if (!(cause instanceof Error && "code" in cause && cause.code === "ENOSPC")) throw cause;
    throw new Fault("storage_full", `The disk is full; ${path} was not written`, {
      hint: "Free space there, or name a file on another disk.",
      cause,
    });
  }
  flush(path);
  return last;
}
