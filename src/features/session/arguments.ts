// Arguments of several operations, and the bounds of what they hold.

import { z } from "zod";
import { canonicalJson } from "../../lib/canonical-json.ts";
import { Fault } from "../../lib/fault.ts";
import { isObject } from "../../lib/json-object.ts";
import { checkJsonValue } from "../../lib/json-text.ts";
import { sha256Hex } from "../../lib/sha256.ts";
import type { WriteLimits } from "../../operation/define.ts";
import type { Quota } from "../../operation/usage.ts";

/** Most characters of what a session is for. */
export const MAX_PURPOSE = 1000;
/** Most bytes of metadata, in canonical form. */
export const MAX_METADATA_BYTES = 4096;
/** Most messages that one call names. */
export const MAX_NAMED = 100;

/** The argument `metadata`. Not a record of zod, which leaves out a member `__proto__`. */
export const metadataArgument = z
  .unknown()
  .superRefine((value, context) => {
    if (!isObject(value)) context.addIssue({ code: "invalid_type", expected: "object", input: value });
  })
  .transform((value) => value as Record<string, unknown>)
  .meta({ type: "object", additionalProperties: true })
  .describe(`A JSON object of at most ${MAX_METADATA_BYTES} bytes, or its text: for programs.`);

/** The argument `limit` of pages of messages. */
export const MAX_PAGE = 500;
export const limitArgument = z.number().int().min(1).max(MAX_PAGE);

/** A place in the order of all changes, as answers return it. */
export const positionArgument = z.string().min(1).max(64);

/** Returns metadata as it is stored: canonical JSON, "" for none. Throws Faults. */
export function storedMetadata(metadata: Readonly<Record<string, unknown>> | undefined): string {
  if (metadata === undefined || Object.keys(metadata).length === 0) return "";
  checkJsonValue(metadata, "The metadata");
  const text = canonicalJson(metadata);
  const bytes = Buffer.byteLength(text);
  if (bytes <= MAX_METADATA_BYTES) return text;
  throw new Fault("too_large", `The metadata has ${bytes} bytes; the limit is ${MAX_METADATA_BYTES}`, {
    hint: "Put what is long into a context, and its id here.",
    details: { limit: MAX_METADATA_BYTES },
  });
}

/** A text as it is stored. */
export interface Text {
  text: string;
  /** Hex SHA-256 of its UTF-8 bytes. */
  hash: string;
  bytes: number;
}

/** Returns a text of a message as it is stored. Throws Faults `invalid_input`, `too_large`. */
export function storedText(text: string, { maxDocumentBytes }: WriteLimits): Text {
  if (!text.isWellFormed())
    throw new Fault("invalid_input", "The text contains a lone surrogate", { hint: "Send well-formed Unicode." });
  const bytes = Buffer.byteLength(text);
  if (bytes <= maxDocumentBytes) return { text, hash: sha256Hex(text), bytes };
  throw new Fault("too_large", `The text has ${bytes} bytes; the limit is ${maxDocumentBytes}`, {
    hint: "Write it as a context, and post its id.",
    details: { limit: maxDocumentBytes },
  });
}

/** Returns the quotas that a command carries. */
export function stampedQuota({ quota }: WriteLimits): Quota {
  return { callerBytes: quota.callerBytes, spaceBytes: quota.spaceBytes };
}

/** Returns a command without the quotas that a node stamped into it: what its caller asked for. */
export function askedPart<C extends { quota: Quota }>({ quota: _, ...asked }: C): Omit<C, "quota"> {
  return asked;
}
