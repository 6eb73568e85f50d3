// Writes data to stdout and remarks to stderr. On a terminal, text by others is made harmless; in a pipe every byte
// stays.

import { authorText } from "../lib/author-text.ts";
import { printable } from "../lib/printable.ts";
import { redactText } from "../observe/redact.ts";
import type { NodeAnswer } from "./client.ts";
import { type Invocation, isSet } from "./command.ts";

/**
 * Writes text to stdout and waits until it is out, so that an exit right after cannot cut it. Returns false when the
 * reader of the pipe has closed it (`| head`), which is no error.
 */
export async function writeData(text: string): Promise<boolean> {
  // Bun truncates a file that stdout is redirected to when it is given an empty text.
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

/** Reports whether `--json` was given. */
export function wantsJson(invocation: Invocation): boolean {
  return isSet(invocation, "json");
}

/** Shows a result: with `--json` as one line of JSON, else as `text`. */
export async function showResult(invocation: Invocation, result: unknown, text: string): Promise<void> {
  await writeData(wantsJson(invocation) ? `${JSON.stringify(result)}\n` : text);
}

/** Shows a node's answer: with `--json` unchanged, else as `people` formats it. Returns exit code 0. */
export async function showAnswer(
  invocation: Invocation,
  answer: NodeAnswer,
  people: (body: Record<string, unknown>) => string,
): Promise<number> {
  await writeData(wantsJson(invocation) ? `${answer.text}\n` : people(answer.body));
  return 0;
}

/** Shows one page of a list as `showAnswer` does; the option for the next page is printed on stderr. */
export async function showPage(...args: Parameters<typeof showAnswer>): Promise<number> {
  const [invocation, answer] = args;
  const exit = await showAnswer(...args);
  const { cursor } = answer.body;
  if (typeof cursor === "string" && !wantsJson(invocation)) say(`there is more: --cursor ${cursor}`);
  return exit;
}

/** Writes a remark to stderr. */
export function say(text: string): void {
  process.stderr.write(`${printable(redactText(`cairn: ${text}`))}\n`);
}

/** Returns the objects of a list in an answer; an empty list for any other value. */
export function objectsOf(value: unknown): Record<string, unknown>[] {
  return Array.isArray(value) ? value : [];
}

/**
 * Returns a verified caller as one table cell, after the agent as which it acted, with the node that forwarded its call
 * and what its client said.
 */
export function callerCell(caller: unknown, { via, client, agent }: Record<string, unknown>): string {
  const who = authorText({ author: cell(caller), agent: cell(agent) });
  const forwarded = via === undefined || via === "" ? "" : ` via ${cell(via)}`;
  return `${who}${forwarded}${client === undefined ? "" : ` (said by the client: ${cell(client)})`}`;
}

/** Returns a value as one table cell, without line breaks and tabs. */
export function cell(value: unknown): string {
  return String(value ?? "").replaceAll(/[\n\r\t]/g, " ");
}
