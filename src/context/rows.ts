// The rows of contexts and versions as the schema has them, and the metadata that answers show of them.

import { etagOf } from "./etag.ts";

export interface ContextRow {
  id: string;
  space: string;
  version: number;
  hash: string;
  content_type: string;
  title: string;
  tags: string;
  size: number;
  author: string;
  created_at: number;
  updated_at: number;
  deleted: number;
}

export function framedTags(tags: readonly string[]): string {
  return tags.length === 0 ? "" : `\n${tags.join("\n")}\n`;
}

export function tagsOf(framed: string): string[] {
  return framed === "" ? [] : framed.slice(1, -1).split("\n");
}

/** Metadata of a context as lists and reads answer it. */
export function metadataOf(row: ContextRow) {
  return {
    id: row.id,
    version: row.version,
    etag: etagOf(row.version, row.hash),
    content_type: row.content_type,
    title: row.title,
    tags: tagsOf(row.tags),
    size: row.size,
    author: row.author,
    created_at: new Date(row.created_at).toISOString(),
    updated_at: new Date(row.updated_at).toISOString(),
  };
}
