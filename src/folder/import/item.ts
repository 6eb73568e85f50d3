// What readers of other programs' files yield: one document each, or what they had to leave. run-import.ts writes them.

import type { Left } from "../left.ts";

/** Where documents can come from. */
export const KINDS = ["cairn", "agents", "obsidian", "basic-memory", "memory", "beads", "chatgpt", "claude"] as const;
export type Kind = (typeof KINDS)[number];

/** One document. */
export interface Item {
  /** Below the prefix: names with `/` between them, such as a path without its `.md`. */
  name: string;
  title: string;
  tags: readonly string[];
  /** What the source says of it beside title and tags. */
  metadata: Readonly<Record<string, unknown>>;
  /** Text in Markdown. */
  content: string;
  /** What the source calls it. */
  sourceId: string;
  /** Times of the original, in ISO 8601. */
  created?: string | undefined;
  updated?: string | undefined;
  /** What one may want to know; nothing is to be done. */
  remark?: string | undefined;
}

/** Documents of one source, in an order that does not change. */
export interface Source {
  kind: Kind;
  /** What it is called: the last part of the prefix where none is given. */
  name: string;
  items(signal: AbortSignal): AsyncIterable<Item | Left>;
}

/** Returns a time of a source in ISO 8601: a text, or seconds since 1970. Undefined for what is no time. */
export function timeText(time: unknown): string | undefined {
  const ms = typeof time === "number" ? time * 1000 : typeof time === "string" ? Date.parse(time) : Number.NaN;
  return Number.isFinite(ms) && Math.abs(ms) < 8.64e15 ? new Date(ms).toISOString() : undefined;
}

/** Returns a member that is a text; "" for every other value. */
export function textAt(object: Readonly<Record<string, unknown>>, name: string): string {
  const value = object[name];
  return typeof value === "string" ? value : "";
}
