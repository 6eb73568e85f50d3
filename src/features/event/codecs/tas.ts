// The REST interface of tas-mcp, version 1: `POST /api/v1/events` and `/api/v1/events/batch`.

import { Fault } from "../../../lib/fault.ts";
import { isObject } from "../../../lib/json-object.ts";
import { parseJson } from "../../../lib/json-text.ts";
import { keepNumbers } from "../../../lib/json-value.ts";
import type { DecodedBody, RawBody } from "../../../operation/rest-route.ts";
import { isOurs, RESERVED, wrongField } from "../item.ts";
import { faultOf, jsonOf, listIn, objectIn, singleEvent } from "./json-body.ts";

const EXAMPLE = JSON.stringify({
  ...{ event_id: "build-7", event_type: "build.done", source: "ci", timestamp: 1_767_225_600 },
  ...{ data: '{"ok":true}', metadata: { branch: "main" } },
});
const FIELDS = new Set(["event_id", "event_type", "source", "timestamp", "data", "metadata"]);
/** The extension with metadata whose names are no names of extensions. */
const FURTHER = "tasmetadata";
/** The year 9999, in seconds. */
const MAX_SECONDS = 253_402_300_799;

/** Decodes one event. */
export function decodeTasEvent({ bytes }: RawBody): DecodedBody {
  return singleEvent(tasEvent(objectIn(jsonOf(bytes), "The event")), ({ id }) => ({
    event_id: id,
    status: "accepted",
  }));
}

/** Decodes a list of up to 1,000 events; each has its own outcome. */
export function decodeTasBatch({ bytes }: RawBody): DecodedBody {
  const list = listIn(jsonOf(bytes));
  if (list.length === 0) throw new Fault("invalid_input", "The batch has no events", { details: { field: "body" } });
  const events = list.map(eventOrFault);
  return {
    // A refused event leaves a place that is refused again, by the same words.
    input: { events: events.map((event) => (event instanceof Fault ? null : event)) },
    shape: ({ results }) => {
      const all = Array.isArray(results) ? results : [];
      return {
        processed: all.length,
        results: all.map((result, index) => resultOf(list[index], result, events[index])),
      };
    },
  };
}

function resultOf(raw: unknown, result: unknown, event: unknown): Record<string, unknown> {
  const event_id = isObject(raw) && typeof raw["event_id"] === "string" ? raw["event_id"] : "";
  const fault = event instanceof Fault ? event : isObject(result) ? faultOf(result) : undefined;
  if (fault === undefined) return { event_id, status: "accepted" };
  return { event_id, status: "error", error: fault.message };
}

function eventOrFault(raw: unknown): Record<string, unknown> | Fault {
  try {
    return tasEvent(objectIn(raw, "An event"));
  } catch (error) {
    if (error instanceof Fault) return error;
    throw error;
  }
}

/** Returns an event of tas-mcp as a CloudEvent. Throws Fault `invalid_input` with the field as tas-mcp names it. */
export function tasEvent(raw: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const unknown = Object.keys(raw).find((name) => !FIELDS.has(name));
  if (unknown !== undefined) throw refusal(unknown.slice(0, 80), "is no field of an event");
  const { event_id: id, event_type: type, source, timestamp, data, metadata } = raw;
  for (const [name, value] of Object.entries({ event_id: id, event_type: type, source }))
    if (typeof value !== "string" || value === "") throw refusal(name, "must be a text that is not empty");
  return {
    ...{ specversion: "1.0", id, type, source },
    ...timeOf(timestamp),
    ...{ datacontenttype: "application/json", data: dataOf(data) },
    extensions: metadataOf(metadata),
  };
}

function timeOf(timestamp: unknown): { time?: string } {
  if (timestamp === undefined || timestamp === null || timestamp === 0) return {};
  if (typeof timestamp !== "number" || !Number.isInteger(timestamp) || timestamp < 0 || timestamp > MAX_SECONDS)
    throw refusal("timestamp", "must be whole seconds since 1970");
  return { time: new Date(timestamp * 1000).toISOString() };
}

function dataOf(data: unknown): unknown {
  if (typeof data !== "string") {
    if (isObject(data) || Array.isArray(data)) return data;
    throw refusal("data", "must be JSON as a text that is not empty");
  }
  try {
    return keepNumbers(data, parseJson(data, "data"));
  } catch (error) {
    if (error instanceof Fault) throw refusal("data", `must be JSON as a text: ${error.message}`);
    throw error;
  }
}

function metadataOf(metadata: unknown): Record<string, unknown> {
  if (metadata === undefined || metadata === null) return {};
  if (!isObject(metadata)) throw refusal("metadata", "must be an object of texts");
  const extensions: Record<string, unknown> = {};
  const further: Record<string, string> = {};
  for (const [name, value] of Object.entries(metadata)) {
    if (typeof value !== "string")
      throw refusal("metadata", `must have texts alone, which ${name.slice(0, 80)} is not`);
    const extension = name.toLowerCase();
    const isFree = /^[a-z0-9]{1,20}$/.test(extension) && !RESERVED.has(extension) && !isOurs(extension);
    if (isFree && extension === name) extensions[extension] = value;
    else further[name] = value;
  }
  return Object.keys(further).length === 0 ? extensions : { ...extensions, [FURTHER]: JSON.stringify(further) };
}

function refusal(field: string, what: string): Fault {
  return wrongField(field, what, EXAMPLE);
}
