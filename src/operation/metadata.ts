// Metadata: a small JSON object beside what a caller writes, for programs and filters. One argument, one stored form,
// one filter for every feature.

import { z } from "zod";
import { Fault } from "../lib/fault.ts";
import { checkJsonValue } from "../lib/json-text.ts";
import { isJsonObject, jsonEqual, numberText } from "../lib/json-value.ts";
import { shownValue } from "../lib/schema-issue.ts";
import { objectIn } from "./lenient.ts";

/** Most bytes of metadata as text. */
export const MAX_METADATA_BYTES = 4096;

/**
 * The argument `metadata`: a JSON object, or its text as models and routes give it. Not an object of zod, which would
 * lose a member `__proto__`.
 */
export const metadataArgument = z
  .unknown()
  .transform((value, context): Record<string, unknown> => {
    const found = typeof value === "string" ? objectIn(value) : value;
    if (isJsonObject(found)) return found;
    context.addIssue({ code: "custom", message: `${shownValue(value)} is no JSON object`, input: value });
    return z.NEVER;
  })
  .meta({ type: "object", additionalProperties: true });

/**
 * Returns the one text of a JSON object: members in order, at every depth; "" for an empty one. JSON.parse returns what
 * was given. Throws `invalid_input`, `too_large`.
 */
export function metadataText(metadata: Readonly<Record<string, unknown>>): string {
  checkJsonValue(metadata, "metadata");
  const text = orderedJson(metadata);
  const bytes = Buffer.byteLength(text);
  if (bytes > MAX_METADATA_BYTES) {
    throw new Fault("too_large", `The metadata has ${bytes} bytes; the limit is ${MAX_METADATA_BYTES}`, {
      hint: "Put what is not needed for filters into the content.",
      details: { limit: MAX_METADATA_BYTES },
    });
  }
  return text === "{}" ? "" : text;
}

function orderedJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(orderedJson).join(",")}]`;
  if (isJsonObject(value)) {
    const members = Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1));
    return `{${members.map(([key, item]) => `${JSON.stringify(key)}:${orderedJson(item)}`).join(",")}}`;
  }
  const text = JSON.stringify(value);
  if (typeof value !== "number" && numberText(value) !== undefined) {
    throw new Fault("invalid_input", `The metadata has the number ${text.slice(0, 80)}, which is not kept exactly`, {
      hint: "Give it as a string.",
      details: { field: "metadata" },
    });
  }
  return text;
}

/** The members that a list filters by. */
export interface WantedMetadata {
  members: Readonly<Record<string, unknown>>;
  /** Texts that the stored metadata of every match contains. */
  texts: readonly string[];
}

/** Returns what a filter wants; undefined: everything. Throws `invalid_input`, `too_large`. */
export function wantedMetadata(filter: Readonly<Record<string, unknown>> | undefined): WantedMetadata | undefined {
  if (filter === undefined || metadataText(filter) === "") return undefined;
  const texts = Object.entries(filter).map(([key, value]) => `${JSON.stringify(key)}:${orderedJson(value)}`);
  return { members: filter, texts };
}

/** Reports whether stored metadata has all wanted members, with equal values. */
export function hasMembers(metadata: string, { members }: WantedMetadata): boolean {
  const has = metadata === "" ? {} : (JSON.parse(metadata) as Record<string, unknown>);
  return Object.entries(members).every(([key, value]) => Object.hasOwn(has, key) && jsonEqual(has[key], value));
}
