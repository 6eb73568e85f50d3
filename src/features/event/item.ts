// An event as a command carries it: every field judged, in one form, before the log. The shapes of the surfaces are
// read by codecs/, which all end here.

import { z } from "zod";
import { Fault } from "../../lib/fault.ts";
import { checkJsonValue, parseJson } from "../../lib/json-text.ts";
import { essenceOf, isJsonType } from "../../lib/media-type.ts";
import { shownValue } from "../../lib/schema-issue.ts";

/** Most characters of the fields of an event. */
export const MAX = { id: 128, source: 512, type: 256, subject: 512, contentType: 256, extensions: 64, value: 4096 };

const CONTROL = /[\p{Cc}\ufdd0-\ufdef\ufffe\uffff]/u;
/** RFC 3986: what a URI reference consists of; its parts are up to the sender. */
const URI_REFERENCE = /^[A-Za-z0-9\-._~:/?#[\]@!$&'()*+,;=%]+$/;
const TIME = /^\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})$/;
/** Its parameters are printable ASCII: targets get the type as a header. */
const MEDIA_TYPE = /^[A-Za-z0-9!#$&^_.+-]+\/[A-Za-z0-9!#$&^_.+*-]+([\t ]*;[\t -~]*)?$/;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
const EXTENSION = /^[a-z0-9]{1,20}$/;

/** Names of attributes that no extension may have. */
export const RESERVED: ReadonlySet<string> = new Set([
  ...["specversion", "id", "source", "type", "subject", "time", "datacontenttype", "data"],
]);

/** A value of an extension (CloudEvents 1.0: String, Boolean, Integer). */
export type Extension = string | number | boolean;

const text = (max: number) =>
  z
    .string()
    .min(1)
    .max(max)
    .refine((value) => value.isWellFormed() && !CONTROL.test(value), "must hold no control or invalid characters");

const extensionValue = z.union([
  text(MAX.value).or(z.literal("")),
  z.boolean(),
  z.number().int().min(-2_147_483_648).max(2_147_483_647),
]);

const fields = {
  id: text(MAX.id),
  source: text(MAX.source).regex(URI_REFERENCE, "must be a URI reference, with other characters percent-encoded"),
  type: text(MAX.type),
  subject: text(MAX.subject).optional(),
  time: z.string().refine(isTime, "must be a time as of RFC 3339, such as 2026-11-29T16:31:00Z").optional(),
  datacontenttype: z.string().max(MAX.contentType).regex(MEDIA_TYPE, "must be a media type").optional(),
};

const FIELDS = Object.keys(fields) as (keyof typeof fields)[];

const judgedFields = z.strictObject({
  ...fields,
  extensions: z
    .record(z.string().regex(EXTENSION, "must be 1 to 20 lower-case letters and digits"), extensionValue)
    .refine((all) => Object.keys(all).length <= MAX.extensions, `must have at most ${MAX.extensions} names`)
    .refine((all) => !Object.keys(all).some(isOurs), "must have no name that begins with cairn, but cairnhops")
    .refine((all) => !Object.keys(all).some((name) => RESERVED.has(name)), "must have no name of another attribute"),
  kind: z.enum(["none", "json", "text", "base64"]),
  data: z.string(),
});

/** An event as a command carries it. `source` is without the caller. */
export type EventItem = Readonly<z.output<typeof judgedFields>>;

/** What `itemOf` returned: an event is judged once, and nothing changes it. */
const judged = new WeakSet<EventItem>();

/** An event as a command carries it: what brings one itself may have data that are not what it says. */
export const eventItem = z.withParser(
  judgedFields.superRefine(({ kind, data }, context) => {
    const message = dataProblem(kind, data);
    if (message !== undefined) context.addIssue({ code: "custom", path: ["data"], message });
  }),
  (value) => (judged.has(value as EventItem) ? (value as EventItem) : z.INVALID),
);

/** Made at the first event, since making it takes some ms: `judgedFields` as code of its own. */
let compiledFields: typeof judgedFields | undefined;

/** What a sender says of an event, in the words of CloudEvents. */
export interface SaidEvent {
  id?: unknown;
  source?: unknown;
  type?: unknown;
  subject?: unknown;
  time?: unknown;
  datacontenttype?: unknown;
  /** Set: the data as a JSON value, or as text where the type is no JSON type. */
  data?: unknown;
  data_base64?: unknown;
  /** Every other attribute. */
  extensions: Readonly<Record<string, unknown>>;
}

/** Reports whether an attribute is one that Cairn adds: it is never taken from outside. */
export function isOurs(name: string): boolean {
  return name.startsWith("cairn") && name !== "cairnhops";
}

function isTime(value: string): boolean {
  return TIME.test(value) && !Number.isNaN(Date.parse(value));
}

/** Every reader parses the data: an event that it cannot parse would end all reading there. */
function dataProblem(kind: EventItem["kind"], data: string): string | undefined {
  switch (kind) {
    case "none":
      return data === "" ? undefined : "must be empty where there is none";
    case "text":
      return data.isWellFormed() ? undefined : "must be well-formed Unicode";
    case "base64":
      return BASE64.test(data) ? undefined : "must be base64";
    case "json":
      return jsonProblem(data);
  }
}

function jsonProblem(text: string): string | undefined {
  try {
    parseJson(text, "it");
    return undefined;
  } catch (error) {
    if (error instanceof Fault) return `must be JSON as text: ${error.message}`;
    throw error;
  }
}

/**
 * Returns the event that a sender said. Throws Fault `invalid_input` with the first field that is not as it should be,
 * and `too_large`. `maxBytes`: most bytes of all fields together.
 */
export function itemOf(said: SaidEvent, maxBytes: number): EventItem {
  const { extensions, data, data_base64, datacontenttype: contentType } = said;
  const held = dataOf(data, data_base64, typeof contentType === "string" ? contentType : undefined);
  const present = presentOf(said);
  compiledFields ??= z.compile(judgedFields);
  const parsed = compiledFields.safeParse({ ...present, extensions: extensionsOf(extensions), ...held });
  if (!parsed.success) throw refusal(parsed.error.issues[0], { ...present, ...extensions });
  refuseSize(parsed.data, maxBytes);
  judged.add(parsed.data);
  return parsed.data;
}

/** Returns what a sender said of the fields that an event may have. */
function presentOf(given: SaidEvent): Record<string, unknown> {
  const present: Record<string, unknown> = {};
  for (const name of FIELDS) {
    const value = given[name];
    if (value !== undefined && value !== null) present[name] = value;
  }
  return present;
}

/** Returns the extensions that are a sender's to give. */
function extensionsOf(extensions: SaidEvent["extensions"]): SaidEvent["extensions"] {
  const entries = Object.entries(extensions);
  if (entries.length === 0) return {};
  return Object.fromEntries(entries.filter(([name, value]) => value !== null && !isOurs(name)));
}

function dataOf(data: unknown, base64: unknown, type: string | undefined): Pick<EventItem, "kind" | "data"> {
  if (base64 !== undefined && base64 !== null) {
    if (data !== undefined) throw wrongField("data_base64", "must not be there beside data");
    if (typeof base64 !== "string" || !BASE64.test(base64)) throw wrongField("data_base64", "must be base64");
    return { kind: "base64", data: base64 };
  }
  if (data === undefined) return { kind: "none", data: "" };
  if (typeof data === "string" && type !== undefined && !isJsonType(essenceOf(type))) {
    if (!data.isWellFormed()) throw wrongField("data", "must be well-formed Unicode");
    return { kind: "text", data };
  }
  checkJsonValue(data, "data");
  return { kind: "json", data: JSON.stringify(data) };
}

/** Returns the bytes of an event: of all that its sender sent. */
export function sizeOf(item: EventItem, attributes: string): number {
  const { id, source, type, subject = "", time = "", datacontenttype = "", data } = item;
  return (
    Buffer.byteLength(`${id}${source}${type}${subject}${time}${datacontenttype}${attributes}`) + Buffer.byteLength(data)
  );
}

function refuseSize(item: EventItem, maxBytes: number): void {
  const size = sizeOf(item, JSON.stringify(item.extensions));
  if (size <= maxBytes) return;
  throw new Fault("too_large", `The event ${JSON.stringify(item.id)} has ${size} bytes; the limit is ${maxBytes}`, {
    hint: "Put the data into a context and its id into the event, or ask an admin to raise events.max_bytes.",
    details: { field: "data", limit: maxBytes },
  });
}

const EXAMPLE = '{"specversion":"1.0","id":"build-7","source":"ci","type":"build.done","data":{"ok":true}}';

/** Returns the refusal of a field of an event; `example` is one in the form that was sent. */
export function wrongField(field: string, what: string, example = EXAMPLE): Fault {
  return new Fault("invalid_input", `event: ${field} ${what}`, {
    hint: `A complete event: ${example}`,
    details: { field },
  });
}

interface Issue {
  path: readonly PropertyKey[];
  message: string;
  code: string;
}

function refusal(issue: Issue | undefined, given: Readonly<Record<string, unknown>>): Fault {
  const [first = "event", second] = issue?.path ?? [];
  const field = String(first === "extensions" ? (second ?? first) : first);
  const value = given[field];
  if (value === undefined) return wrongField(field, field === "extensions" ? (issue?.message ?? "") : "is missing");
  if (issue?.code === "too_big" && typeof value === "string")
    return wrongField(field, `has ${value.length} characters; ${/\d+/.exec(issue.message)?.[0] ?? ""} are allowed`);
  if (issue?.code === "too_small") return wrongField(field, "is empty");
  return wrongField(field, `${issue?.message ?? "is not valid"}; it is ${shownValue(value)}`);
}
