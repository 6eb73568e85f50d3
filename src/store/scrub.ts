// Overwrites what the pages of a store's file still hold of deleted rows. `secure_delete` overwrites freed cells and
// pages; but when SQLite moves the cells of a page to a sibling, copies of them may stay in the gap between its cell
// pointers and its cells, where a later deletion does not look (SQLite file format 1.6).

import { closeSync, openSync, readSync, writeSync } from "node:fs";
import { flushOpen } from "../lib/atomic-file.ts";

/** Pages looked at in one step. */
const STEP_PAGES = 1024;
/** Kinds of b-tree pages, and the bytes of their header. Every other page begins with a page number. */
const HEADER_BYTES = new Map([
  [2, 12],
  [5, 12],
  [10, 8],
  [13, 8],
]);
/** From this page number on, another page could begin like a b-tree page. */
const MAX_PAGES = 2 ** 25;

/** Scrubs one file that this process has open. Its WAL must be empty, and no page of it in the writer's cache. */
export class Scrubber {
  readonly #path: string;
  #file: number | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  /** Does one step from a page on, counted from 0. Returns the next one; undefined at the end of the file, durably. */
  step(from: number): number | undefined {
    // Kept open: closing any descriptor of a file drops every lock that this process has on it.
    this.#file ??= openSync(this.#path, "r+");
    const pageBytes = pageBytesOf(this.#file);
    if (from >= MAX_PAGES) throw new Error(`${this.#path} has more than ${MAX_PAGES} pages`);
    const chunk = Buffer.alloc(STEP_PAGES * pageBytes);
    const pages = Math.floor(readSync(this.#file, chunk, 0, chunk.byteLength, from * pageBytes) / pageBytes);
    for (let at = 0; at < pages; at += 1) {
      const page = chunk.subarray(at * pageBytes, (at + 1) * pageBytes);
      const gap = gapOf(page, from + at === 0 ? 100 : 0);
      if (gap === undefined || page.subarray(...gap).every((byte) => byte === 0)) continue;
      const [start, end] = gap;
      writeSync(this.#file, Buffer.alloc(end - start), 0, end - start, (from + at) * pageBytes + start);
    }
    if (pages === STEP_PAGES) return from + pages;
    flushOpen(this.#file);
    return undefined;
  }

  /** Call it once SQLite has closed the file. */
  close(): void {
    if (this.#file !== undefined) closeSync(this.#file);
    this.#file = undefined;
  }
}

/** Returns the bytes of a page. Throws for a file with auto_vacuum: its pointer maps could begin like a b-tree page. */
function pageBytesOf(file: number): number {
  const header = Buffer.alloc(100);
  readSync(file, header, 0, header.byteLength, 0);
  if (header.readUInt32BE(52) !== 0) throw new Error("a store with auto_vacuum cannot be scrubbed");
  const size = header.readUInt16BE(16);
  return size === 1 ? 65_536 : size;
}

/** Returns where the unused space of a b-tree page begins and ends; undefined for other pages. */
function gapOf(page: Buffer, header: number): [number, number] | undefined {
  const headerBytes = HEADER_BYTES.get(page[header] ?? 0);
  if (headerBytes === undefined) return undefined;
  const start = header + headerBytes + 2 * page.readUInt16BE(header + 3);
  const end = page.readUInt16BE(header + 5) || 65_536;
  return start < end && end <= page.byteLength ? [start, end] : undefined;
}
