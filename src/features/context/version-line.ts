// A line of an export: one version, with all that is stored of it, as JSON. A line is parsed as untrusted input.

import { z } from "zod";
import { AGENT_NAME } from "../../lib/agent-key.ts";
import { MAX_DOCUMENT_BYTES, MAX_IMPORT_LINE_BYTES } from "../../lib/bounds.ts";
import { MAX_CALLER_NAME } from "../../lib/caller-name.ts";
import { MAX_CLIENT } from "../../lib/client-claim.ts";
import { Fault } from "../../lib/fault.ts";
import { isObject } from "../../lib/json-object.ts";
import { parseJson } from "../../lib/json-text.ts";
import { isJsonType } from "../../lib/media-type.ts";
import { visibleJson } from "../../lib/printable.ts";
import { timeOf } from "../../lib/time-of.ts";
import { metadataText } from "../../operation/metadata.ts";
import { MAX_NAMES } from "../../operation/recipients.ts";
import { framedRecipients, recipientsOf, VISIBILITIES, visibilityOf } from "../../operation/visibility.ts";
import { EMPTY_HASH } from "./append-version.ts";
import { type Audience, audienceOf } from "./audience.ts";
import { contextId, otherId } from "./context-id.ts";
import { type Details, MAX_SUPERSEDED } from "./details.ts";
import { type Document, documentOf, normalType } from "./document.ts";
import { framedTags, tagsOf } from "./labels.ts";
import { type StoredVersion, textOf } from "./rows.ts";
import { tags, title } from "./write-shape.ts";

const name = z
  .string()
  .max(MAX_CALLER_NAME)
  .refine((text) => text.isWellFormed(), "must be well-formed Unicode");

/** Highest version number: far below 2^53, from which on a double cannot tell a version from the next one. */
const MAX_VERSION = 1e12;

const lineShape = z.strictObject({
  id: contextId,
  version: z.number().int().min(1).max(MAX_VERSION),
  hash: z.string().regex(/^[0-9a-f]{64}$/),
  content_type: z.string().max(256),
  title,
  tags,
  author: name,
  via: name,
  client: name.min(1).max(MAX_CLIENT).optional().describe("What the client of the author said of itself."),
  agent: z.string().regex(AGENT_NAME).optional().describe("The agent as which the author acted."),
  expires_at: z.iso.datetime().optional().describe("When the context expires, or, of a deletion, expired."),
  metadata: z.string().optional().describe("JSON text of the metadata, in its one form."),
  supersedes: z.array(otherId).min(1).max(MAX_SUPERSEDED).optional(),
  visibility: z.enum(VISIBILITIES).exclude(["public"]).optional().describe("Absent: public."),
  owner: name.min(1).optional().describe("Who decided that."),
  owner_agent: z.string().regex(AGENT_NAME).optional(),
  owner_type: name.min(1).max(64).optional(),
  to: z.array(z.string().min(1).max(MAX_CALLER_NAME)).min(1).max(MAX_NAMES).optional().describe("As rows keep them."),
  time: z.iso.datetime(),
  created_at: z.iso.datetime().describe("When the context was created."),
  deleted: z.literal(true).optional(),
  purged: z.literal(true).optional(),
  content: z.string().optional().describe("The text; absent where deleted or purged."),
  content_base64: z.string().optional().describe("In place of content: its UTF-8 bytes, in calls (`lineForCall`)."),
});

/** A parsed line, as the import command carries it. */
export interface ImportedVersion {
  id: string;
  version: number;
  document: Document;
  title: string;
  tags: string[];
  author: string;
  via: string;
  /** Left out: nothing. Commands of lower fleet levels have none. */
  client?: string;
  /** Left out: none. As `client`. */
  agent?: string;
  /** Left out: none. As `client`. */
  details?: Details;
  /** Left out: public. As `client`. */
  audience?: Audience;
  timeMs: number;
  createdAtMs: number;
  deleted: boolean;
  purged: boolean;
}

/** Returns the line of a version. Throws a DamagedError if its text is damaged. */
export function lineOf(id: string, row: StoredVersion, createdAtMs: number): string {
  const bare = row.deleted !== 0 || row.purged !== 0;
  const line: z.input<typeof lineShape> = {
    id,
    version: row.version,
    hash: row.hash,
    content_type: row.content_type,
    title: row.title,
    tags: tagsOf(row.tags),
    author: row.author,
    via: row.via,
    ...(row.client ? { client: row.client } : {}),
    ...(row.agent ? { agent: row.agent } : {}),
    ...(row.expires_at ? { expires_at: timeOf(row.expires_at) } : {}),
    ...(row.metadata ? { metadata: row.metadata } : {}),
    ...(row.supersedes ? { supersedes: tagsOf(row.supersedes) } : {}),
    ...audienceInLine(row),
    time: timeOf(row.log_time),
    created_at: timeOf(createdAtMs),
    ...(row.deleted === 0 ? {} : { deleted: true as const }),
    ...(row.purged === 0 ? {} : { purged: true as const }),
    ...(bare ? {} : { content: textOf(row) }),
  };
  // Programs that take other characters than a newline for one read it as one line too.
  return visibleJson(line);
}

/**
 * Returns a line as a call carries it, in which it is JSON text within JSON text: where that is too long, with its text
 * as base64. Throws `invalid_input`.
 */
export function lineForCall(line: string): string {
  // No unit of a text has more than three bytes there: what has six is escaped in the line already.
  const isShort = 3 * line.length <= MAX_IMPORT_LINE_BYTES;
  if (isShort || Buffer.byteLength(JSON.stringify(line)) <= MAX_IMPORT_LINE_BYTES) return line;
  const parsed = parseJson(line, "A line of the export");
  if (!isObject(parsed) || typeof parsed["content"] !== "string") return line;
  const { content, ...others } = parsed;
  return JSON.stringify({ ...others, content_base64: Buffer.from(content).toString("base64") });
}

/** Parses a line. Throws `invalid_input` with what is wrong, `too_large`, `unsupported_media_type`. */
export function parseLine(text: string): ImportedVersion {
  const parsed = lineShape.safeParse(parseJson(text, "A line of the export"));
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw refused(text, `${issue?.path.join(".") || "line"}: ${issue?.message ?? "invalid"}`);
  }
  const line = parsed.data;
  return {
    id: line.id,
    version: line.version,
    document: documentOfLine(text, line),
    title: line.title,
    tags: line.tags,
    author: line.author,
    via: line.via,
    ...(line.client === undefined ? {} : { client: line.client }),
    ...(line.agent === undefined ? {} : { agent: line.agent }),
    ...detailsOfLine(text, line),
    ...audienceOfLine(text, line),
    timeMs: Date.parse(line.time),
    createdAtMs: Date.parse(line.created_at),
    deleted: line.deleted === true,
    purged: line.purged === true,
  };
}

function detailsOfLine(
  text: string,
  { id, deleted, purged, expires_at, metadata, supersedes }: z.output<typeof lineShape>,
): { details?: Details } {
  if (expires_at === undefined && metadata === undefined && supersedes === undefined) return {};
  const until = expires_at === undefined ? 0 : Date.parse(expires_at);
  if (expires_at !== undefined && !(until > 0)) throw refused(text, "expires_at is before 1970");
  if (deleted === true && (metadata ?? supersedes) !== undefined) throw refused(text, "a deletion has no metadata");
  if (purged === true && (metadata ?? supersedes) !== undefined)
    throw refused(text, "a purged version has no metadata");
  if (metadata !== undefined && !isMetadataText(metadata)) throw refused(text, "metadata is not as it is stored");
  if (new Set(supersedes).size !== (supersedes?.length ?? 0) || supersedes?.includes(id) === true)
    throw refused(text, "supersedes names the context itself, or one twice");
  return { details: { expires_at: until, metadata: metadata ?? "", supersedes: framedTags(supersedes ?? []) } };
}

function audienceInLine(row: StoredVersion): Pick<z.input<typeof lineShape>, AudienceMember> {
  const { visibility, owner, owner_agent, owner_type, recipients } = audienceOf(row);
  if (visibility === "public") return {};
  return {
    visibility: visibilityOf(visibility) as "private",
    owner,
    ...(owner_agent === "" ? {} : { owner_agent }),
    ...(owner_type === "" ? {} : { owner_type }),
    ...(recipients === "" ? {} : { to: recipientsOf(recipients) }),
  };
}

type AudienceMember = "visibility" | "owner" | "owner_agent" | "owner_type" | "to";

function audienceOfLine(
  text: string,
  { visibility, owner, owner_agent = "", owner_type = "", to }: z.output<typeof lineShape>,
): { audience?: Audience } {
  if ((visibility === undefined) !== (owner === undefined)) throw refused(text, "visibility and owner go together");
  if (visibility === undefined || owner === undefined) {
    if (owner_agent !== "" || owner_type !== "" || to !== undefined)
      throw refused(text, "a public version has no owner");
    return {};
  }
  if (to?.some((recipient) => /[\p{Cc}\p{Zl}\p{Zp}]/u.test(recipient)) === true)
    throw refused(text, "to has control characters");
  return { audience: { visibility, owner, owner_agent, owner_type, recipients: framedRecipients(to ?? []) } };
}

function isMetadataText(text: string): boolean {
  const value = parseJson(text, "The metadata of a line");
  return isObject(value) && text !== "" && metadataText(value) === text;
}

/** Returns the document of a line; that of a deleted or purged version has no text but its hash. */
function documentOfLine(text: string, { hash, ...line }: z.output<typeof lineShape>): Document {
  if (line.content !== undefined && line.content_base64 !== undefined)
    throw refused(text, "content and content_base64 are given together");
  // Bytes that are not UTF-8 do not match the hash below.
  const content =
    line.content_base64 === undefined ? line.content : Buffer.from(line.content_base64, "base64").toString("utf8");
  const bare = line.deleted === true || line.purged === true;
  if (bare !== (content === undefined)) throw refused(text, "content is given with deleted or purged, or is missing");
  if (line.deleted === true && hash !== EMPTY_HASH)
    throw refused(text, "the hash of a deletion must be that of an empty text");
  const contentType = normalType(line.content_type);
  if (content === undefined) return { ...documentOf("", contentType, MAX_DOCUMENT_BYTES), hash };
  if (isJsonType(contentType)) parseJson(content, `${line.id} version ${line.version}`);
  const document = documentOf(content, contentType, MAX_DOCUMENT_BYTES);
  if (document.hash !== hash) throw refused(text, "the content does not match its hash");
  return document;
}

function refused(text: string, what: string): Fault {
  return new Fault(
    "invalid_input",
    `A line of the export cannot be read: ${what} (${JSON.stringify(text.slice(0, 80))} …)`,
    {
      hint: "Use an unchanged file written by `cairn export`.",
    },
  );
}
