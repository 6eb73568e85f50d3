// Pages of lists that are sorted by name (tools, prompts). A cursor is the name of the last entry, encoded; it gives no
// right.

import { Fault } from "../lib/fault.ts";

/** Entries of one page. */
const PAGE_SIZE = 100;

/** Returns a page of `items`, which are sorted by name. Throws Fault `invalid_input` for a cursor of another list. */
export function pageOf<Item extends { name: string }>(
  list: string,
  items: readonly Item[],
  cursor: string | undefined,
  size = PAGE_SIZE,
): { items: Item[]; nextCursor?: string } {
  const after = cursor === undefined ? undefined : readCursor(list, cursor);
  const from = after === undefined ? 0 : items.findIndex((item) => item.name > after);
  const page = from < 0 ? [] : items.slice(from, from + size);
  const last = page.at(-1);
  const more = last !== undefined && from + size < items.length;
  return { items: page, ...(more ? { nextCursor: writeCursor(list, last.name) } : {}) };
}

/** Throws Fault `invalid_input` for any cursor: the list has one page. */
export function onlyPage(list: string, cursor: string | undefined): void {
  if (cursor !== undefined) throw noCursor(list, cursor);
}

function writeCursor(list: string, name: string): string {
  return Buffer.from(`${list}\n${name}`, "utf8").toString("base64url");
}

function readCursor(list: string, cursor: string): string {
  const [of, name = ""] = Buffer.from(cursor, "base64url").toString("utf8").split("\n");
  if (of !== list || writeCursor(list, name) !== cursor) throw noCursor(list, cursor);
  return name;
}

function noCursor(list: string, cursor: string): Fault {
  return new Fault("invalid_input", `${JSON.stringify(cursor.slice(0, 80))} is not a cursor of ${list}`, {
    hint: "Give the nextCursor of the previous page, or leave it out.",
  });
}
