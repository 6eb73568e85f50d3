// Data on stdout. On a terminal, text by others is made harmless; in a pipe it stays byte for byte what it was.

import { printable } from "../lib/printable.ts";

/** Writes text and waits until it is out, so that an exit right after cannot cut it. */
export async function writeData(text: string): Promise<void> {
  const shown = process.stdout.isTTY === true ? printable(text) : text;
  try {
    await Bun.write(Bun.stdout, shown);
  } catch (error) {
    // The reader of the pipe has had enough (`| head`): that is no failure of ours.
    if (!(error instanceof Error && "code" in error && error.code === "EPIPE")) throw error;
  }
}

/** Lines with aligned columns, for people. */
export function columns(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) for (const [at, cell] of row.entries()) widths[at] = Math.max(widths[at] ?? 0, cell.length);
  return rows
    .map(
      (row) => `${row.map((cell, at) => (at === row.length - 1 ? cell : cell.padEnd(widths[at] ?? 0))).join("  ")}\n`,
    )
    .join("");
}
