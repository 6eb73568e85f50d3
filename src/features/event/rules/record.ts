// An event as rules see it: the attributes of CloudEvents in one object, and who sent it. Names of fields are read
// here, for conditions and transforms alike; tas-mcp's names mean the same fields.

import { isJsonObject, type JsonObject } from "../../../lib/json-value.ts";

/**
 * The attributes and extensions of an event by their names, and `data`: JSON as `parseExact` reads it, or text. `time`
 * is RFC 3339.
 */
export interface EventRecord {
  readonly id: string;
  readonly source: string;
  readonly type: string;
  readonly time: string;
  readonly subject?: string | undefined;
  readonly data?: unknown;
  readonly [attribute: string]: unknown;
}

/** Who published an event, as the tailnet proved it: the name of the caller, its tags, and its device. */
export interface Sender {
  readonly caller: string;
  readonly tags: readonly string[];
  readonly node: string;
}

/** A field of an event: an attribute, or a path into `data` ([] for all of it). */
export type Field = { readonly attribute: string } | { readonly data: readonly string[] } | { readonly seconds: true };

/** Most characters of the name of a field. */
export const MAX_FIELD = 256;
/** Most steps into `data`. */
const MAX_STEPS = 16;

const TAS_NAMES: Readonly<Record<string, string>> = { event_id: "id", event_type: "type" };
const ATTRIBUTE = /^[a-z0-9]{1,20}$/;
const METADATA = "metadata.";

/**
 * Returns the field of a name: `type`, `data`, `data.a.b` (a step into a list is an index), `metadata.x` or `x` for
 * an extension, `event_id`, `event_type`, and `timestamp`, which is `time` in seconds. Otherwise a text that says
 * what is wrong.
 */
export function fieldOf(name: string): Field | string {
  if (name === "timestamp") return { seconds: true };
  if (name === "data") return { data: [] };
  if (name.startsWith("data.")) {
    const steps = name.slice("data.".length).split(".");
    if (steps.includes("")) return `${JSON.stringify(name)} has an empty step`;
    return steps.length > MAX_STEPS ? `a path into data has at most ${MAX_STEPS} steps` : { data: steps };
  }
  const plain = name.startsWith(METADATA) ? name.slice(METADATA.length).toLowerCase() : name;
  const attribute = Object.hasOwn(TAS_NAMES, plain) ? (TAS_NAMES[plain] ?? plain) : plain;
  if (ATTRIBUTE.test(attribute)) return { attribute };
  return `${JSON.stringify(name)} is no field: known are type, source, subject, id, time, data, data.a.b and extensions`;
}

/** Returns the value of a field; undefined where the event has none. */
export function fieldValue(record: EventRecord, field: Field): unknown {
  if ("seconds" in field) {
    const ms = Date.parse(record.time);
    return Number.isNaN(ms) ? undefined : Math.floor(ms / 1000);
  }
  if ("attribute" in field) return Object.hasOwn(record, field.attribute) ? record[field.attribute] : undefined;
  let value = record.data;
  for (const step of field.data) {
    value = memberOf(value, step);
    if (value === undefined) return undefined;
  }
  return value;
}

function memberOf(value: unknown, step: string): unknown {
  if (Array.isArray(value)) return /^\d{1,6}$/.test(step) ? value[Number(step)] : undefined;
  return isJsonObject(value) && Object.hasOwn(value, step) ? (value as JsonObject)[step] : undefined;
}
