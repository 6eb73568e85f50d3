// Transforms: what a rule makes of an event before it is sent. Fields are removed, renamed and added in this order;
// then a template or an expression may make new data. Who sent the event, its id, source and time stay as they are.

import { z } from "zod";
import { Fault } from "../../../lib/fault.ts";
import { isJsonObject, type JsonObject, setOwn } from "../../../lib/json-value.ts";
import { CelExpression, mapExpression } from "./cel.ts";
import { Effort } from "./effort.ts";
import { RuleFailure } from "./failure.ts";
import { type EventRecord, type Field, fieldOf, fieldValue, MAX_FIELD } from "./record.ts";
import { fillTemplate, readTemplate } from "./template.ts";

/** Most fields that one transform removes, renames or adds. */
const MAX_FIELDS = 50;
const MAX_TEMPLATE = 16_384;
/** Most characters of a value that is added. */
const MAX_ADDED = 4096;
/** Most characters of JSON that a transform may make of an event. */
export const MAX_MADE = 1_048_576;
/** What others rely on: identity, order, and what the tailnet proved. */
const FIXED: ReadonlySet<string> = new Set(["id", "source", "time", "specversion", "datacontenttype"]);
const OURS = "cairn";

/** A field that a transform may change. */
const changeable = z.string().min(1).max(MAX_FIELD).superRefine(refuseFixed);
const added = z.unknown().refine((value) => (JSON.stringify(value) ?? "").length <= MAX_ADDED, {
  message: `is above ${MAX_ADDED} characters`,
});
const template = z
  .string()
  .max(MAX_TEMPLATE)
  .superRefine((text, context) => {
    const found = readTemplate(text);
    if (typeof found === "string") context.addIssue({ code: "custom", message: found });
  });

/** The schema of a transform. */
export const transform = z
  .strictObject({
    remove_fields: z.array(changeable).max(MAX_FIELDS).optional(),
    rename_fields: z
      .record(changeable, changeable)
      .refine((names) => Object.keys(names).length <= MAX_FIELDS, { message: `has more than ${MAX_FIELDS} names` })
      .optional()
      .describe("The field as it is, and as it is to be"),
    add_fields: z
      .record(changeable, added)
      .refine((names) => Object.keys(names).length <= MAX_FIELDS, { message: `has more than ${MAX_FIELDS} names` })
      .optional(),
    template: template.optional().describe("JSON with {{data.title}} in it, which becomes the data"),
    map: mapExpression.optional().describe('CEL whose result becomes the data, as {"text": event.type}'),
  })
  .refine(({ template: text, map }) => text === undefined || map === undefined, {
    message: "takes a template or a map, not both",
    path: ["map"],
  });

/** A transform as it is written. */
export type Transform = z.infer<typeof transform>;

/** Units of effort (effort.ts) of copying an item of a list, and a member of an object. */
const COPY_ITEM = 30;
const COPY_MEMBER = 200;

/** Returns the event that a transform makes. Throws `RuleFailure`. */
export type Change = (record: EventRecord, effort?: Effort) => EventRecord;

/** Returns the change of a transform that the schema took. */
export function compileTransform({
  remove_fields: removed = [],
  rename_fields: renamed = {},
  add_fields: addedFields = {},
  template: text,
  map,
}: Transform): Change {
  const removals = removed.map(readField);
  const renames = Object.entries(renamed).map(([from, to]) => [readField(from), readField(to)] as const);
  const additions = Object.entries(addedFields).map(([name, value]) => [readField(name), value] as const);
  const filled = text === undefined ? undefined : readTemplate(text);
  if (typeof filled === "string") throw new Fault("invalid_input", `The template ${filled}`);
  const expression = map === undefined ? undefined : new CelExpression(map, "map");
  return (record, effort = new Effort()) => {
    const made: Record<string, unknown> = { ...record };
    for (const field of removals) removeField(made, field, effort);
    for (const [from, to] of renames) renameField(made, from, to, effort);
    for (const [field, value] of additions) setField(made, field, value, effort);
    const changed = made as unknown as EventRecord;
    if (filled !== undefined) return withData(changed, fillTemplate(filled, changed, MAX_MADE, effort));
    return expression === undefined ? changed : withData(changed, expression.map(changed, MAX_MADE, effort));
  };
}

/** Names of fields in these places were judged by the schema. */
function readField(name: string): Field {
  const field = fieldOf(name);
  if (typeof field === "string") throw new Fault("invalid_input", field);
  return field;
}

function refuseFixed(name: string, context: z.RefinementCtx): void {
  const problem = fixedProblem(name);
  if (problem !== undefined) context.addIssue({ code: "custom", message: problem });
}

/** Returns why a transform may not change a field, or undefined. */
function fixedProblem(name: string): string | undefined {
  const field = fieldOf(name);
  if (typeof field === "string") return field;
  if ("seconds" in field) return "the time of an event does not change";
  if (!("attribute" in field)) return undefined;
  const isFixed = FIXED.has(field.attribute) || field.attribute.startsWith(OURS);
  return isFixed ? `${JSON.stringify(name)} does not change; type, subject, data and extensions may` : undefined;
}

function withData(record: EventRecord, data: unknown): EventRecord {
  return { ...record, datacontenttype: "application/json", data };
}

function renameField(made: Record<string, unknown>, from: Field, to: Field, effort: Effort): void {
  const value = fieldValue(made as unknown as EventRecord, from);
  if (value === undefined) return;
  removeField(made, from, effort);
  setField(made, to, value, effort);
}

function removeField(made: Record<string, unknown>, field: Field, effort: Effort): void {
  if ("attribute" in field) {
    // An event has a type, whatever a rule removes.
    if (field.attribute !== "type") delete made[field.attribute];
  } else if ("data" in field) {
    if (field.data.length === 0) delete made["data"];
    else made["data"] = without(made["data"], field.data, effort);
  }
}

/** Returns a value without the member at a path; what is on the way is copied, since others use it too. */
function without(value: unknown, [step = "", ...rest]: readonly string[], effort: Effort): unknown {
  if (Array.isArray(value)) {
    effort.spend(COPY_ITEM * value.length);
    const at = /^\d{1,6}$/.test(step) ? Number(step) : -1;
    if (at < 0 || at >= value.length) return value;
    return rest.length === 0 ? value.toSpliced(at, 1) : value.with(at, without(value[at], rest, effort));
  }
  if (!isJsonObject(value) || !Object.hasOwn(value, step)) return value;
  const copy = copyOf(value, effort);
  if (rest.length === 0) delete copy[step];
  else setOwn(copy, step, without(value[step], rest, effort));
  return copy;
}

function setField(made: Record<string, unknown>, field: Field, value: unknown, effort: Effort): void {
  if ("attribute" in field) {
    if (value !== null && typeof value === "object")
      throw new RuleFailure("an attribute takes a text, number or boolean");
    if (field.attribute === "type" && (typeof value !== "string" || value === ""))
      throw new RuleFailure("the type of an event is a text");
    if (value === null) delete made[field.attribute];
    else made[field.attribute] = field.attribute === "subject" ? String(value) : value;
  } else if ("data" in field)
    made["data"] = field.data.length === 0 ? value : withMember(made["data"], field.data, value, effort);
}

/** Returns a value with a member at a path; objects that are missing on the way are made. */
function withMember(value: unknown, [step = "", ...rest]: readonly string[], member: unknown, effort: Effort): unknown {
  if (Array.isArray(value)) {
    effort.spend(COPY_ITEM * value.length);
    const at = /^\d{1,6}$/.test(step) ? Number(step) : -1;
    if (at < 0 || at >= value.length) throw new RuleFailure(`a list has no item ${step}`);
    return value.with(at, rest.length === 0 ? member : withMember(value[at], rest, member, effort));
  }
  if (value !== undefined && value !== null && !isJsonObject(value))
    throw new RuleFailure(`the data has a value where ${step} would go`);
  const copy = isJsonObject(value) ? copyOf(value, effort) : {};
  setOwn(copy, step, rest.length === 0 ? member : withMember(own(copy, step), rest, member, effort));
  return copy;
}

function own(value: JsonObject, step: string): unknown {
  return Object.hasOwn(value, step) ? value[step] : undefined;
}

function copyOf(value: JsonObject, effort: Effort): JsonObject {
  const copy: JsonObject = {};
  const members = Object.entries(value);
  effort.spend(COPY_MEMBER * members.length);
  for (const [key, item] of members) setOwn(copy, key, item);
  return copy;
}
