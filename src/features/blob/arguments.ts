// The arguments of operations on blobs that several of them have, and what they return of a blob.

import { z } from "zod";
import { authorText } from "../../lib/author-text.ts";
import { timeOf } from "../../lib/time-of.ts";
import { BLOB_HASH } from "../../operation/blob-references.ts";
import type { BlobRow } from "./rows.ts";

/** Most copies of one blob. */
export const MAX_COPIES = 5;
/** Largest blob, whatever `blobs.max_bytes` says. */
export const MAX_BLOB_BYTES = 64 * 1024 ** 3;
/** Most characters of a media type. */
const MAX_TYPE = 200;

/** The argument `space`. */
export const blobSpace = z
  .string()
  .max(200)
  .regex(/^(?!\.{1,2}$)[A-Za-z0-9._~:@-]+$/, "must be the name of a space: ASCII letters, digits and . _ ~ : @ -")
  .default("default")
  .describe('The space that it is in (default "default"): who may read the space may read it.');

/** The argument `sha256`. */
export const blobHash = z
  .string()
  .regex(BLOB_HASH, "must be a SHA-256 as 64 hex digits in small letters")
  .describe("SHA-256 of its bytes, as 64 hex digits.");

/** The argument `content_type`. */
export const blobType = z
  .string()
  .max(MAX_TYPE)
  .regex(/^[!-~]+\/[!-~]+(?:; ?[ -~]+)?$/, "must be a media type such as image/png")
  .describe("Its media type (default application/octet-stream). It is shown, and never judged.");

/** What callers see of a blob. */
export const shownBlob = z.object({
  space: z.string(),
  sha256: z.string(),
  bytes: z.number().int(),
  content_type: z.string(),
  created_at: z.string(),
  created_by: z.string(),
  copies: z.number().int().describe("Full members that should hold it."),
  holders: z.number().int().describe("Full members that hold it, as far as the log says."),
  references: z.number().int().describe("Public contexts of the space whose metadata names it in blobs."),
  kept_until: z.string().describe("It is kept at least until then, and for as long as a context refers to it."),
});

/** Returns a blob as callers see it. */
export function blobShown(row: BlobRow, references: number, holders: number): z.infer<typeof shownBlob> {
  return {
    space: row.space,
    sha256: row.sha256,
    bytes: row.bytes,
    content_type: row.content_type,
    created_at: timeOf(row.created_at),
    created_by: authorText(row),
    copies: row.copies,
    holders,
    references,
    kept_until: timeOf(row.check_at),
  };
}
