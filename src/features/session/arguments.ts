// Arguments of several operations, and the bounds of what they hold.

import { z } from "zod";
import { Fault } from "../../lib/fault.ts";
import { sha256Hex } from "../../lib/sha256.ts";
import type { WriteLimits } from "../../operation/define.ts";
import { metadataArgument } from "../../operation/metadata.ts";
import type { Quota } from "../../operation/usage.ts";

/** Most characters of what a session is for. */
export const MAX_PURPOSE = 1000;
/** Most messages that one call names. */
export const MAX_NAMED = 100;

/** The argument `metadata`. */
export const metadata = metadataArgument.describe("JSON object for programs.");

/** The argument `limit` of pages of messages. */
export const MAX_PAGE = 500;
export const limitArgument = z.number().int().min(1).max(MAX_PAGE);

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
