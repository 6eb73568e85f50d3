// Conversations as Markdown: a heading for each message, and parts where one is larger than a context may be.

import type { Item } from "./item.ts";

/** One message. */
export interface ChatMessage {
  author: string;
  at?: string | undefined;
  text: string;
}

/** A conversation as its export has it. */
export interface Chat {
  id: string;
  title: string;
  created?: string | undefined;
  updated?: string | undefined;
  metadata: Readonly<Record<string, unknown>>;
  messages: readonly ChatMessage[];
}

/** Most bytes of a part: a context has 1 MiB where no other bound is set. */
const PART_BYTES = 900 * 1024;

/** Returns a conversation as documents: one, or its parts in order. */
export function chatItems({ id, title, created, updated, metadata, messages }: Chat): Item[] {
  const shown = title.trim() === "" ? "Conversation" : title.trim();
  const parts = partsOf(messages.map(messageText));
  return parts.map((part, at) => ({
    name: at === 0 ? id : `${id}/${at + 1}`,
    title: at === 0 ? shown : `${shown} (part ${at + 1})`,
    tags: [],
    metadata: {
      ...metadata,
      messages: messages.length,
      ...(parts.length === 1 ? {} : { part: at + 1, parts: parts.length }),
    },
    content: `# ${shown.replaceAll(/\s+/g, " ")}\n\n${part}`,
    sourceId: id,
    created,
    updated,
  }));
}

function messageText({ author, at, text }: ChatMessage): string {
  return `## ${author}${at === undefined ? "" : `, ${at}`}\n\n${text.replace(/\s+$/, "")}\n`;
}

/** Puts messages together up to the bound. One that is larger by itself is cut between characters. */
function partsOf(messages: readonly string[]): string[] {
  const parts: string[] = [];
  let part: string[] = [];
  let bytes = 0;
  const end = () => {
    if (part.length > 0) parts.push(part.join("\n"));
    part = [];
    bytes = 0;
  };
  for (const piece of messages.flatMap(piecesOf)) {
    const size = Buffer.byteLength(piece) + 1;
    if (bytes + size > PART_BYTES) end();
    part.push(piece);
    bytes += size;
  }
  end();
  return parts.length === 0 ? ["(no messages)\n"] : parts;
}

function piecesOf(text: string): string[] {
  const bytes = Buffer.from(text.toWellFormed());
  if (bytes.length < PART_BYTES) return [bytes.toString()];
  const pieces: string[] = [];
  for (let start = 0; start < bytes.length; ) {
    let end = Math.min(bytes.length, start + PART_BYTES - 1);
    // Not within a character.
    while (end < bytes.length && ((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1;
    pieces.push(bytes.subarray(start, end).toString());
    start = end;
  }
  return pieces;
}

/** Returns a text as a block of code, with a fence that it does not have itself. */
export function fenced(text: string, language = ""): string {
  const longest = Math.max(2, ...[...text.matchAll(/`+/g)].map(([run]) => run.length));
  const fence = "`".repeat(longest + 1);
  return `${fence}${language}\n${text.replace(/\n$/, "")}\n${fence}`;
}
