// What a version says beside title and tags: when its context expires, metadata to filter by, and which contexts it
// supersedes. Arguments, their form in commands and rows, and what callers see. The index of successors: supersede.ts.

import { z } from "zod";
import { spaceOf } from "../../access/space.ts";
import { Fault } from "../../lib/fault.ts";
import { timeOf } from "../../lib/time-of.ts";
import { expiresAt, expiresIn } from "../../operation/expiring.ts";
import { metadataArgument, metadataText } from "../../operation/metadata.ts";
import { levelOfId, otherId } from "./context-id.ts";
import { framedTags, tagsOf } from "./labels.ts";

/** The fleet level from which on versions have details. */
export const DETAILS_LEVEL = 3;
/** Most contexts that one supersedes. */
export const MAX_SUPERSEDED = 16;

/** The details as rows have them. */
export interface Details {
  /** In ms of log time; 0: never. Of a tombstone: when the context expired; 0: it was deleted. */
  expires_at: number;
  /** JSON text, see `metadataText`; "": none. */
  metadata: string;
  /** Ids, framed like tags. */
  supersedes: string;
}

/** Columns of `Details`. Their order is part of the statements in append-version.ts. */
export const DETAIL_COLUMNS = ["expires_at", "metadata", "supersedes"] as const;

/** No details. */
export const NO_DETAILS: Details = { expires_at: 0, metadata: "", supersedes: "" };

/** Arguments of a write. */
export const detailArguments = {
  expires_in: expiresIn.optional().describe("Seconds until it is deleted; 0: never."),
  metadata: metadataArgument.optional().describe("JSON object to filter by."),
  supersedes: z.array(otherId).max(MAX_SUPERSEDED).optional().describe("Ids that it replaces."),
};

/** The argument of a list that filters by metadata. */
export const metadataFilter = metadataArgument.optional().describe("JSON object of members it has.");

type DetailInput = z.output<z.ZodObject<typeof detailArguments>>;

/** The details in the command of a write; left out: unchanged. */
export interface DetailsCommand {
  /** In seconds from the write; 0: never. */
  expiresIn?: number;
  metadata?: string;
  supersedes?: string[];
}

/** Returns the fleet level that the details of a write need. */
export function levelOfDetails({ expires_in, metadata, supersedes }: DetailInput): number {
  if (expires_in === undefined && metadata === undefined && supersedes === undefined) return 1;
  return Math.max(DETAILS_LEVEL, ...(supersedes ?? []).map(levelOfId));
}

/** Returns the spaces that a write touches by what it supersedes: that is part of those contexts. */
export function spacesOfSuperseded(supersedes: readonly string[] | undefined): string[] {
  return (supersedes ?? []).map(spaceOf);
}

/** Returns the details of a command. Throws `invalid_input`, `too_large`. */
export function detailsOf(id: string, { expires_in, metadata, supersedes }: DetailInput): DetailsCommand {
  if (supersedes?.includes(id) === true) {
    throw new Fault("invalid_input", `${JSON.stringify(id)} cannot supersede itself`, {
      hint: "Leave its own id out of supersedes: each write supersedes its earlier versions anyway.",
      details: { field: "supersedes" },
    });
  }
  return {
    ...(expires_in === undefined ? {} : { expiresIn: expires_in }),
    ...(metadata === undefined ? {} : { metadata: metadataText(metadata) }),
    ...(supersedes === undefined ? {} : { supersedes: [...new Set(supersedes)] }),
  };
}

/** Returns the details of the next version. `before`: those of the context, if it is there. */
export function nextDetails(
  { expiresIn: seconds, metadata, supersedes }: DetailsCommand,
  before: Partial<Details> | undefined,
  timeMs: number,
): Details {
  return {
    expires_at: expiresAt(seconds, timeMs, before?.expires_at ?? 0),
    metadata: metadata ?? before?.metadata ?? "",
    supersedes: supersedes === undefined ? (before?.supersedes ?? "") : framedTags(supersedes),
  };
}

/**
 * Returns the details of a version that is restored. A time that is over is none. Contexts of other spaces are
 * superseded only if they are now: the caller need not be allowed to write there.
 */
export function restoredDetails(
  id: string,
  { expires_at: until = 0, metadata = "", supersedes = "" }: Partial<Details>,
  now: Partial<Details> | undefined,
  timeMs: number,
): Details {
  const present = tagsOf(now?.supersedes ?? "");
  const kept = tagsOf(supersedes).filter((other) => spaceOf(other) === spaceOf(id) || present.includes(other));
  return { expires_at: until > timeMs ? until : 0, metadata, supersedes: framedTags(kept) };
}

/** Returns the bytes of details for quotas. */
export function detailBytes({ metadata = "", supersedes = "" }: Partial<Details>): number {
  return Buffer.byteLength(metadata) + Buffer.byteLength(supersedes);
}

/** Members of outputs: the details of a version, absent where it has none. */
export const shownDetails = {
  expires_at: z.string().optional().describe("When it is deleted by itself."),
  metadata: z.record(z.string(), z.unknown()).optional(),
  supersedes: z.array(z.string()).optional().describe("Ids of the contexts that it replaces."),
};

/** Returns details as callers see them. */
export function detailsShown({ expires_at: until = 0, metadata = "", supersedes = "" }: Partial<Details>) {
  return {
    ...(until === 0 ? {} : { expires_at: timeOf(until) }),
    ...(metadata === "" ? {} : { metadata: JSON.parse(metadata) as Record<string, unknown> }),
    ...(supersedes === "" ? {} : { supersedes: tagsOf(supersedes) }),
  };
}
