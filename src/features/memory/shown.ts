// A memory as callers see it: a context with the kind and the subject that its metadata says.

import { z } from "zod";
import { type Places, placedAt, SHOWN_SCOPES } from "./places.ts";

/** What a memory is: what is so, what happened, or what to bear in mind. */
export const KINDS = ["fact", "event", "note"] as const;

/** The context of a memory, as operations on contexts return it. */
export const context = z.looseObject({
  id: z.string(),
  version: z.number(),
  etag: z.string(),
  title: z.string(),
  tags: z.array(z.string()),
  size: z.number(),
  author: z.string(),
  agent: z.string().optional(),
  created_at: z.string(),
  updated_at: z.string(),
  expires_at: z.string().optional(),
  metadata: z.record(z.string(), z.unknown()).optional(),
  supersedes: z.array(z.string()).optional(),
  superseded_by: z.array(z.string()).optional(),
  visibility: z.string().optional(),
  owner: z.string().optional(),
  owner_agent: z.string().optional(),
  to: z.array(z.string()).optional(),
  deleted: z.boolean().optional(),
  content: z.unknown().optional(),
});
/** That context. */
export type Context = z.output<typeof context>;

/** Schema of a memory without its value. */
export const memory = z.object({
  id: z.string().describe("Id of its context."),
  key: z.string(),
  scope: z
    .enum(SHOWN_SCOPES)
    .describe("other: of another agent, or of your caller itself, and you may read it: get it by its id."),
  kind: z.string().describe("fact, event or note."),
  about: z.string().optional().describe("Whom or what it is about."),
  title: z.string(),
  tags: z.array(z.string()),
  size: z.number().describe("Bytes of the value."),
  version: z.number(),
  etag: z.string(),
  author: z.string(),
  agent: z.string().optional().describe("The agent as which that caller wrote it."),
  owner: z.string().optional().describe("The caller that owns it; absent where it is for all who read the space."),
  owner_agent: z.string().optional().describe("The agent of that caller that owns it."),
  visibility: z.string().optional().describe("Absent: whoever may read the space."),
  to: z.array(z.string()).optional().describe("Who else may read it."),
  created_at: z.string(),
  updated_at: z.string(),
  expires_at: z.string().optional(),
  metadata: z.record(z.string(), z.unknown()).optional(),
  supersedes: z.array(z.string()).optional(),
  superseded_by: z.array(z.string()).optional().describe("Read those: they replace it."),
});
/** A memory without its value. */
export type Memory = z.output<typeof memory>;

/** Returns a context as a memory for who has these places. */
export function memoryOf(found: Context, places: Pick<Places, "own">): Memory {
  const { id, title, tags, size, version, etag, author, agent, created_at, updated_at } = found;
  const { expires_at, supersedes, superseded_by, to, visibility, owner, owner_agent, metadata = {} } = found;
  const { kind, about, ...more } = metadata;
  return {
    id,
    ...placedAt(id, places),
    kind: typeof kind === "string" ? kind : "note",
    ...(typeof about === "string" ? { about } : {}),
    ...{ title, tags, size, version, etag, author },
    ...(agent === undefined ? {} : { agent }),
    ...(owner === undefined ? {} : { owner }),
    ...(owner_agent === undefined ? {} : { owner_agent }),
    ...(visibility === undefined ? {} : { visibility }),
    ...(to === undefined ? {} : { to }),
    ...{ created_at, updated_at },
    ...(expires_at === undefined ? {} : { expires_at }),
    ...(Object.keys(more).length === 0 ? {} : { metadata: more }),
    ...(supersedes === undefined ? {} : { supersedes }),
    ...(superseded_by === undefined ? {} : { superseded_by }),
  };
}

/** Longest key: an id has 256 characters, and what is before it at most some 210. */
export const MAX_KEY = 128;
/** The argument `about`. */
export const aboutArgument = z.string().min(1).max(128);
/** The argument `kind`. */
export const kindArgument = z.enum(KINDS);
/** The argument `key` of reads. */
export const keyArgument = z.string().min(1).max(256).normalize("NFC").describe("Its key, or its id.");
/** Names that agents try for `session` and `key`, and for `session` and `about`. */
export const keyAliases = { session_id: "session", name: "key", id: "key" } as const;
export const filterAliases = { session_id: "session", topic: "about", subject: "about" } as const;

/** Returns a text as the title of what it begins. */
export function titleOf(text: string): string {
  const line = text.slice(0, 2000).trim().split("\n", 1)[0] ?? "";
  const plain = line
    .replace(/[\p{Cc}]+/gu, " ")
    .replace(/^#+\s+/, "")
    .trim();
  return [...plain].slice(0, 100).join("");
}
