// What is inside an argument that is an object or a list of objects: rows for docs/operations.md. A shape that several
// operations take is written once, and the others link to it.

import { typeOf } from "../src/lib/json-type.ts";
import { code, table } from "./markdown.ts";

type Json = Record<string, unknown>;

/** One field of a shape: its path from the argument on, and the alternatives of the argument that have it. */
interface Field {
  path: string;
  of: string[];
  type: string;
  isRequired: boolean;
  about: string;
}

/** Fewest fields for which a link is shorter than the table. */
const WORTH_A_LINK = 3;

/** Writes the fields of arguments, over all operations of a page. */
export class FieldTables {
  private readonly places = new Map<string, string>();

  /** Returns the lines for one argument of an operation; none where it has no fields. */
  linesOf(operation: string, argument: string, schema: Json): string[] {
    const fields = merged(fieldsOf(schema, argument, []));
    if (fields.length === 0) return [];
    const key = JSON.stringify(fields);
    const place = this.places.get(key);
    if (place !== undefined && fields.length >= WORTH_A_LINK)
      return [`Inside ${code(argument)}: as in [${code(place)}](#${place}).`, ""];
    this.places.set(key, operation);
    const rows = fields.map(({ path, of, type, isRequired, about }) => [
      of.length === 0 ? code(path) : `${code(path)} (${of.join(", ")})`,
      ...[type, isRequired ? "yes" : "", about],
    ]);
    return [`Inside ${code(argument)}:`, "", table(["Field", "Type", "Required", "Description"], rows), ""];
  }
}

/** `of`: the alternatives that lead here, such as notify and ntfy. */
function fieldsOf(schema: Json, path: string, of: readonly string[]): Field[] {
  if (schema["type"] === "array") return fieldsOf((schema["items"] ?? {}) as Json, `${path}[]`, of);
  const either = (schema["anyOf"] ?? schema["oneOf"]) as readonly Json[] | undefined;
  if (either !== undefined) return either.flatMap((one) => fieldsOf(one, path, [...of, ...namesOf(one)]));
  const required = (schema["required"] ?? []) as readonly string[];
  return Object.entries((schema["properties"] ?? {}) as Record<string, Json>).flatMap(([name, property]) => [
    {
      path: `${path}.${name}`,
      of: of.length === 0 ? [] : [of.join(" ")],
      type: typeOf(property),
      isRequired: required.includes(name),
      about: String(property["description"] ?? ""),
    },
    ...fieldsOf(property, `${path}.${name}`, of),
  ]);
}

/** Returns what one alternative of several is called: by the fields that have one value there. */
function namesOf(schema: Json): string[] {
  if (schema["properties"] === undefined) return [];
  const constants = Object.values(schema["properties"] as Record<string, Json>).map((property) => property["const"]);
  return constants.filter((value) => typeof value === "string").slice(-1);
}

/** Returns the fields, with those that several alternatives have alike written once. */
function merged(fields: readonly Field[]): Field[] {
  const known = new Map<string, Field>();
  for (const field of fields) {
    const key = JSON.stringify({ ...field, of: [] });
    const before = known.get(key);
    if (before === undefined) known.set(key, { ...field, of: [...field.of] });
    else before.of.push(...field.of.filter((name) => !before.of.includes(name)));
  }
  return [...known.values()];
}
