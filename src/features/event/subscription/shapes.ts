// An event as targets get it: CloudEvents in both modes of HTTP, the six fields of tas-mcp, the body of Standard
// Webhooks.

import { essenceOf, isJsonType } from "../../../lib/media-type.ts";
import type { EventRecord } from "../rules/index.ts";
import type { SHAPES } from "./shape-names.ts";

/** A body with its headers. */
export interface Shape {
  headers: Record<string, string>;
  body: string | Uint8Array;
}

const PLAIN = "application/json";
/** Attributes of tas-mcp that have fields of their own, and what is no metadata. */
const NO_METADATA: ReadonlySet<string> = new Set([
  ...["specversion", "id", "source", "type", "time", "data", "data_base64", "datacontenttype"],
]);

/** Returns the event in one of the shapes. */
export function shapeOf(record: EventRecord, shape: (typeof SHAPES)[number]): Shape {
  switch (shape) {
    case "cloudevents":
      return {
        headers: { "content-type": "application/cloudevents+json; charset=utf-8" },
        body: JSON.stringify({ specversion: "1.0", ...record }),
      };
    case "binary":
      return binaryOf(record);
    case "tas":
      return { headers: { "content-type": PLAIN }, body: JSON.stringify(tasEvent(record)) };
    case "data":
      return dataOf(record);
  }
}

/** Returns the body of Standard Webhooks: type, time of the event, data, and what tells the event. */
export function standardBody(record: EventRecord): string {
  const { type, time: timestamp, id, source, subject, data, data_base64 } = record;
  const found = data_base64 === undefined ? { data: data ?? null } : { data_base64 };
  return JSON.stringify({ type, timestamp, id, source, ...(subject === undefined ? {} : { subject }), ...found });
}

/** Returns the six fields of tas-mcp; those that are empty are left out. */
export function tasEvent(record: EventRecord): Record<string, unknown> {
  const seconds = Math.floor(Date.parse(record.time) / 1000);
  const data = record["data_base64"] ?? record.data;
  const metadata = Object.entries(record).filter(([name, value]) => !NO_METADATA.has(name) && value !== undefined);
  return {
    event_id: record.id,
    event_type: record.type,
    source: record.source,
    ...(Number.isNaN(seconds) ? {} : { timestamp: seconds }),
    ...(data === undefined ? {} : { data: JSON.stringify(data) }),
    ...(metadata.length === 0
      ? {}
      : { metadata: Object.fromEntries(metadata.map(([name, value]) => [name, String(value)])) }),
  };
}

function binaryOf(record: EventRecord): Shape {
  const headers: Record<string, string> = { "ce-specversion": "1.0" };
  for (const [name, value] of Object.entries(record)) {
    if (name === "data" || name === "data_base64" || name === "datacontenttype" || value === undefined) continue;
    headers[`ce-${name}`] = headerValue(String(value));
  }
  const { headers: typed, body } = dataOf(record);
  return { headers: { ...headers, ...typed }, body };
}

/** Values of headers are percent-encoded beyond printable ASCII, and for blank, quote and percent (CloudEvents). */
function headerValue(text: string): string {
  const isPlain = (character: string) => /^[!-~]$/.test(character) && character !== '"' && character !== "%";
  return [...text].map((each) => (isPlain(each) ? each : percentOf(each))).join("");
}

function percentOf(character: string): string {
  const bytes = [...Buffer.from(character, "utf8")];
  return bytes.map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`).join("");
}

/** Returns the data alone, with its type. */
function dataOf({ data, data_base64, datacontenttype }: EventRecord): Shape {
  const type = typeof datacontenttype === "string" ? datacontenttype : undefined;
  if (typeof data_base64 === "string") {
    const headers = { "content-type": type ?? "application/octet-stream" };
    return { headers, body: Buffer.from(data_base64, "base64") };
  }
  if (data === undefined) return { headers: {}, body: "" };
  const isText = typeof data === "string" && type !== undefined && !isJsonType(essenceOf(type));
  return { headers: { "content-type": type ?? PLAIN }, body: isText ? data : JSON.stringify(data) };
}
