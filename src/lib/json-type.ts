// What a JSON schema allows, in a few words: for pages and for messages.

type Json = Record<string, unknown>;

/** Returns such as `integer 1–500`, `list of text` or `"merge", "edit"`. */
export function typeOf(schema: Json): string {
  const choices = schema["enum"];
  if (Array.isArray(choices)) return choices.map((choice) => JSON.stringify(choice)).join(", ");
  const either = schema["anyOf"] ?? schema["oneOf"];
  if (Array.isArray(either)) return [...new Set(either.map((one: Json) => typeOf(one)))].join(" or ");
  if (schema["const"] !== undefined) return JSON.stringify(schema["const"]);
  switch (schema["type"]) {
    case "string":
      return "text";
    case "integer":
    case "number":
      return `${schema["type"]}${rangeOf(schema)}`;
    case "array":
      return `list of ${typeOf((schema["items"] ?? {}) as Json)}`;
    case "object":
    case "boolean":
      return schema["type"];
    default:
      return "any JSON";
  }
}

function rangeOf({ minimum, maximum }: Json): string {
  const isBounded = typeof maximum === "number" && maximum < Number.MAX_SAFE_INTEGER;
  if (typeof minimum !== "number" || minimum < -1e9) return isBounded ? ` up to ${maximum}` : "";
  return isBounded ? ` ${minimum}–${maximum}` : ` from ${minimum}`;
}

/** Returns a value that the schema may allow, for examples. */
export function sampleOf(schema: Json): unknown {
  const [choice] = Array.isArray(schema["enum"]) ? schema["enum"] : [];
  if (choice !== undefined) return choice;
  switch (schema["type"]) {
    case "integer":
    case "number":
      return Math.max(1, Number(schema["minimum"] ?? 1));
    case "array":
      return [sampleOf((schema["items"] ?? {}) as Json)];
    case "boolean":
      return true;
    case "object":
      return {};
    default:
      return schema["format"] === "date-time" ? "2026-01-31T09:00:00Z" : "…";
  }
}
