// Media types (RFC 9110 8.3.1), always compared by essence and never as a substring.

/** The media type of JSON. */
export const JSON_TYPE = "application/json";

/** Returns type and subtype in lower case, without parameters; "" for null. */
export function essenceOf(contentType: string | null): string {
  return (contentType ?? "").split(";")[0]?.trim().toLowerCase() ?? "";
}

/** Reports whether text of this essence is JSON. */
export function isJsonType(essence: string): boolean {
  return essence === JSON_TYPE || /^application\/[a-z0-9.!#$&^_-]+\+json$/.test(essence);
}
