// CloudEvents 1.0 over HTTP: batch, structured and binary mode, told apart by Content-Type as the binding says; and
// bare JSON: the arguments of event_publish, or what Argo Events dispatches.

import { Fault } from "../../../lib/fault.ts";
import { isObject } from "../../../lib/json-object.ts";
import { parseJson } from "../../../lib/json-text.ts";
import { keepNumbers } from "../../../lib/json-value.ts";
import { essenceOf, isJsonType, JSON_TYPE } from "../../../lib/media-type.ts";
import { textOfUtf8 } from "../../../lib/utf8.ts";
import type { DecodedBody, RawBody } from "../../../operation/rest-route.ts";
import { wrongField } from "../item.ts";
import { argoEvent } from "./argo.ts";
import { jsonOf, listIn, objectIn, singleEvent } from "./json-body.ts";

/** The media types of the modes, and of bare JSON. */
export const EVENT_TYPES = ["application/cloudevents+json", "application/cloudevents-batch+json", JSON_TYPE] as const;

const BATCH = "application/cloudevents-batch";
const STRUCTURED = "application/cloudevents";

/** Decodes the body of `POST /events`: one event in any mode, or a batch. */
export function decodeEvent(body: RawBody): DecodedBody {
  const essence = essenceOf(body.contentType);
  // The media type of a batch begins with that of a single event.
  if (essence.startsWith(BATCH)) return decodeBatch(body);
  if (essence.startsWith(STRUCTURED)) {
    refuseFormat(essence, STRUCTURED);
    return singleEvent(structured(objectIn(jsonOf(body.bytes), "The event")));
  }
  if (isBinaryMode(body.headers)) return singleEvent(binaryEvent(body));
  if (essence !== JSON_TYPE) throw wrongType(essence);
  const value = jsonOf(body.bytes);
  return Array.isArray(value) ? decodeList(value) : singleEvent(bareEvent(objectIn(value, "The event")));
}

/** Decodes the body of `POST /events/batch`: a list of events, of CloudEvents or bare. */
export function decodeBatch({ bytes, contentType }: RawBody): DecodedBody {
  const essence = essenceOf(contentType);
  if (essence.startsWith(BATCH)) {
    refuseFormat(essence, BATCH);
    return { input: { events: listIn(jsonOf(bytes)).map((event) => (isObject(event) ? structured(event) : event)) } };
  }
  if (essence !== JSON_TYPE) throw wrongType(essence);
  return decodeList(jsonOf(bytes));
}

function decodeList(value: unknown): DecodedBody {
  return { input: { events: listIn(value).map((event) => (isObject(event) ? bareEvent(event) : event)) } };
}

/** A CloudEvent says its version: with it, id and source are not made up. */
function structured(event: Record<string, unknown>): Record<string, unknown> {
  return { ...event, specversion: event["specversion"] ?? null };
}

function bareEvent(event: Record<string, unknown>): Record<string, unknown> {
  return argoEvent(event) ?? event;
}

function refuseFormat(essence: string, mode: string): void {
  if (essence === `${mode}+json` || essence === mode) return;
  throw new Fault("unsupported_media_type", `Events of the type ${JSON.stringify(essence.slice(0, 80))} are not read`, {
    hint: `Send them in the JSON format: ${mode}+json.`,
  });
}

function wrongType(essence: string): Fault {
  return new Fault(
    "unsupported_media_type",
    `The content type ${JSON.stringify(essence.slice(0, 80))} is not read here`,
    {
      hint: `Send ${EVENT_TYPES.join(", ")}; or the data itself, with the attributes of the event in headers such as ce-type.`,
    },
  );
}

function isBinaryMode(headers: RawBody["headers"]): boolean {
  return Object.keys(headers).some((name) => name.startsWith("ce-"));
}

/** Returns the event whose attributes are headers and whose data is the body. */
function binaryEvent({ bytes, contentType, headers }: RawBody): Record<string, unknown> {
  const event: Record<string, unknown> = { specversion: null };
  for (const [header, value] of Object.entries(headers)) {
    if (!header.startsWith("ce-")) continue;
    const name = header.slice("ce-".length);
    if (name === "datacontenttype") throw wrongField(name, "is the header Content-Type, and not ce-datacontenttype");
    if (name === "data" || name === "data_base64") throw wrongField(name, "is the body, and no header");
    event[name] = headerValue(name, value);
  }
  return { ...event, ...dataOf(bytes, contentType) };
}

function dataOf(bytes: Uint8Array, contentType: string | null): Record<string, unknown> {
  const type = contentType === null ? {} : { datacontenttype: contentType };
  if (bytes.byteLength === 0) return type;
  const essence = essenceOf(contentType);
  if (isJsonType(essence)) {
    const text = textOfUtf8(bytes, "data");
    return { ...type, data: keepNumbers(text, parseJson(text, "data")) };
  }
  if (essence.startsWith("text/")) return { ...type, data: textOfUtf8(bytes, "data") };
  return { ...type, data_base64: Buffer.from(bytes).toString("base64") };
}

/**
 * Returns the value of an attribute: quoted parts lose their quotes and backslashes, then percent-encoding is decoded
 * once, and the bytes must be UTF-8.
 */
function headerValue(name: string, value: string): string {
  const plain = value.replace(/"((?:[^"\\]|\\.)*)"/g, (_, quoted: string) => quoted.replace(/\\(.)/g, "$1"));
  const bytes = plain.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  try {
    return textOfUtf8(Buffer.from(bytes, "latin1"), name);
  } catch (error) {
    if (error instanceof Fault) throw wrongField(name, "is not UTF-8 once its percent-encoding is decoded");
    throw error;
  }
}
