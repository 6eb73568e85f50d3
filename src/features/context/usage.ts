// What a version counts for in the bytes that its caller and its space keep (operation/usage.ts).

import { ROW_BYTES } from "../../operation/usage.ts";
import { type Audience, audienceBytes } from "./audience.ts";
import { DETAILS_LEVEL, type Details, detailBytes } from "./details.ts";

/** What a version counts for beside its text and its rows. */
interface Labels extends Partial<Details>, Partial<Audience> {
  title: string;
  tags: string;
}

/** Returns the bytes that a version counts for: text, title, framed tags, details, recipients, rows. */
export function costOf(version: Labels & { size: number }): number {
  return version.size + labelBytes(version) + audienceBytes(version) + ROW_BYTES;
}

/** Returns the bytes of the title, the framed tags and the details of a version. */
export function labelBytes(labels: Labels): number {
  return Buffer.byteLength(labels.title) + Buffer.byteLength(labels.tags) + detailBytes(labels);
}

const COST = `size + length(CAST(title AS BLOB)) + length(CAST(tags AS BLOB)) + ${ROW_BYTES}`;
const WHOLE_COST = `${COST} + length(CAST(metadata AS BLOB)) + length(CAST(supersedes AS BLOB)) + length(CAST(recipients AS BLOB))`;

/** Returns `costOf` as SQL over rows of `versions` at a fleet level. */
export function costSql(level: number): string {
  return level >= DETAILS_LEVEL ? WHOLE_COST : COST;
}
