// Turns the content of a call into the document that is stored: text with a media type, within all limits
// (architecture.md 6).

import { MAX_DOCUMENT_BYTES } from "../../lib/bounds.ts";
import { Fault } from "../../lib/fault.ts";
import { checkJsonValue, parseJson } from "../../lib/json-text.ts";
import { isJsonType, JSON_TYPE } from "../../lib/media-type.ts";
import { sha256Hex } from "../../lib/sha256.ts";
import { withoutBom } from "../../lib/utf8.ts";

/** A document as it is stored. */
export interface Document {
  /** The text as received, JSON without a byte order mark; for a JSON value, its JSON text. */
  text: string;
  contentType: string;
  /** Hex SHA-256 of the UTF-8 bytes. */
  hash: string;
  /** Bytes of the text in UTF-8. */
  size: number;
}

const TEXT_TYPE = "text/plain";

/**
 * Returns the document for `content`: a JSON value, or a string that is the document's text (JSON text if `contentType`
 * is a JSON type, or if there is none and the text is a JSON object or array). Throws `invalid_input`, `too_large`,
 * `unsupported_media_type`.
 */
export function toDocument(content: unknown, contentType: string | undefined, maxBytes: number): Document {
  if (contentType === undefined && typeof content === "string") {
    refuseSize(content.length, maxBytes);
    const json = withoutBom(content);
    if (isJsonContainer(json)) return documentOf(json, JSON_TYPE, maxBytes);
  }
  const type = normalType(contentType ?? (typeof content === "string" ? TEXT_TYPE : JSON_TYPE));
  const text = textOf(content, type, maxBytes);
  return documentOf(text, type, maxBytes);
}

/** What a document is made of whose type was not given: a text, or a JSON value. */
export type Untyped = "text" | "value";

/**
 * Returns a document whose type was guessed with the type of the version before it, where that was given by somebody
 * and the document can be of it: a guess is only text/plain or application/json.
 */
export function withTypeBefore(document: Document, made: Untyped, before: string): Document {
  if (before === TEXT_TYPE || before === JSON_TYPE) return document;
  const canBe = isJsonType(before) ? isJsonType(document.contentType) : made === "text";
  return canBe ? { ...document, contentType: before } : document;
}

/** Reports whether a text is one JSON object or array, and not only looks like it. */
function isJsonContainer(text: string): boolean {
  if (!/^[ \t\r\n]*[{[]/.test(text)) return false;
  try {
    parseJson(text, "The content");
    return true;
  } catch (error) {
    if (error instanceof Fault) return false;
    throw error;
  }
}

/**
 * Returns the document for a text that is known to be well-formed, and to be JSON for a JSON type. Throws `too_large`.
 */
export function documentOf(text: string, contentType: string, maxBytes: number): Document {
  const size = Buffer.byteLength(text, "utf8");
  refuseSize(size, maxBytes);
  return { text, contentType, hash: hashOf(text), size };
}

/** Returns the hex SHA-256 of the UTF-8 bytes. */
export function hashOf(text: string): string {
  return sha256Hex(text);
}

function textOf(content: unknown, type: string, maxBytes: number): string {
  if (typeof content === "string") {
    refuseSize(content.length, maxBytes);
    if (isJsonType(type)) {
      const json = withoutBom(content);
      parseJson(json, "The content");
      return json;
    }
    if (!content.isWellFormed())
      throw new Fault("invalid_input", "The content contains a lone surrogate", { hint: "Send well-formed Unicode." });
    return content;
  }
  if (!isJsonType(type)) {
    throw new Fault("invalid_input", `The content is a JSON value, but its type is ${type}`, {
      hint: 'Pass the text as one string, quotes and line breaks escaped: "content": "# Plan\\n…". Or leave out content_type.',
    });
  }
  if (content === undefined)
    throw new Fault("invalid_input", "The content is missing", { hint: 'Pass content as a string: "content": "…".' });
  checkJsonValue(content, "The content");
  return JSON.stringify(content);
}

function refuseSize(size: number, maxBytes: number): void {
  const limit = Math.min(maxBytes, MAX_DOCUMENT_BYTES);
  if (size <= limit) return;
  throw new Fault("too_large", `The document has ${size} bytes; the limit is ${limit}`, {
    hint:
      limit < MAX_DOCUMENT_BYTES
        ? "Split it, or ask an admin to raise context.max_bytes: `cairn fleet settings`."
        : "Split it.",
    details: { limit },
  });
}

/**
 * Returns the media type in lower case without parameters. Throws `unsupported_media_type` for other types than JSON
 * and text, and for other charsets than UTF-8.
 */
export function normalType(contentType: string): string {
  const [essence = "", ...parameters] = contentType.split(";").map((part) => part.trim().toLowerCase());
  const charset = parameters
    .find((parameter) => parameter.startsWith("charset="))
    ?.slice("charset=".length)
    .replaceAll('"', "");
  if (charset !== undefined && charset !== "utf-8" && charset !== "utf8") {
    throw new Fault("unsupported_media_type", `The charset ${JSON.stringify(charset)} is not supported`, {
      hint: "Send UTF-8.",
    });
  }
  if (essence.length <= 128 && (isJsonType(essence) || /^text\/[a-z0-9.!#$&^_+-]+$/.test(essence))) return essence;
  throw new Fault(
    "unsupported_media_type",
    `The content type ${JSON.stringify(contentType.slice(0, 100))} is not supported`,
    {
      hint: "Use application/json or a text type such as text/markdown.",
    },
  );
}
