// JSON Pointer (RFC 6901): "/a~1b/0" ↔ ["a/b", "0"].

import { Fault } from "./fault.ts";
import { MAX_JSON_DEPTH } from "./json-text.ts";

/** Parses a pointer; Fault `invalid_input`. */
export function parsePointer(text: string): string[] {
  if (text === "") return [];
  if (!text.startsWith("/") || /~(?![01])/.test(text)) {
    throw new Fault("invalid_input", `${JSON.stringify(text.slice(0, 80))} is not a JSON pointer`, {
      hint: 'A pointer is "" or begins with "/"; in a key, ~ is written ~0 and / is written ~1.',
    });
  }
  const keys = text.slice(1).split("/");
  if (keys.length > MAX_JSON_DEPTH) {
    throw new Fault("invalid_input", `A JSON pointer of ${keys.length} levels points below ${MAX_JSON_DEPTH} levels`);
  }
  return keys.map((key) => key.replaceAll("~1", "/").replaceAll("~0", "~"));
}

/** Returns the pointer of keys, outermost first. */
export function formatPointer(keys: readonly string[]): string {
  return keys.map((key) => `/${key.replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");
}
