// Data on stdout. On a terminal, text by others is made harmless; in a pipe it stays byte for byte what it was.

import { printable } from "../lib/printable.ts";
import { redactText } from "../observe/redact.ts";
import type { NodeAnswer } from "./client.ts";
import type { Invocation } from "./command.ts";

/** Writes text and waits until it is out, so that an exit right after cannot cut it. False: the reader of the pipe has had enough (`| head`), which is no failure of ours. */
export async function writeData(text: string): Promise<boolean> {
  // Bun empties a file that stdout was redirected to when it is given nothing to write.
  if (text === "") return true;
  const shown = process.stdout.isTTY === true ? printable(text) : text;
  try {
    await Bun.write(Bun.stdout, shown);
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EPIPE") return false;
    throw error;
  }
}

/** Shows an answer: with `--json` exactly the node's own, else what `people` makes of it. Answers exit code 0. */
export async function showAnswer(
  invocation: Invocation,
  answer: NodeAnswer,
  people: (body: Record<string, unknown>) => string,
): Promise<number> {
  await writeData(invocation.options["json"] === true ? `${answer.text}\n` : people(answer.body));
  return 0;
}

/** A word besides the data, on stderr. */
export function say(text: string): void {
  process.stderr.write(`${printable(redactText(`cairn: ${text}`))}\n`);
}

/** The objects of a list in an answer. */
export function objectsOf(value: unknown): Record<string, unknown>[] {
  return Array.isArray(value) ? value : [];
}

/** A value in one cell: text by others cannot break the line. */
export function cell(value: unknown): string {
  return String(value ?? "").replaceAll(/[\n\r\t]/g, " ");
}
