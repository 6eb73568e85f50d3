// What a version counts for in the bytes that its caller and its space keep (operation/usage.ts).

import { ROW_BYTES } from "../../operation/usage.ts";

/** Returns the bytes that a version counts for: text, title, framed tags, rows. */
export function costOf(version: { size: number; title: string; tags: string }): number {
  return version.size + labelBytes(version) + ROW_BYTES;
}

/** Returns the bytes of the title and the framed tags of a version. */
export function labelBytes({ title, tags }: { title: string; tags: string }): number {
  return Buffer.byteLength(title) + Buffer.byteLength(tags);
}

/** `costOf` as SQL over rows of `versions`. */
export const COST_SQL = `size + length(CAST(title AS BLOB)) + length(CAST(tags AS BLOB)) + ${ROW_BYTES}`;
