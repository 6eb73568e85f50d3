// JSON merge patch (RFC 7396): objects are merged key by key, null removes a key, everything else replaces.

import { isJsonObject, type JsonObject, setOwn } from "./json-value.ts";

/** Returns `target` with `patch` applied. `target` is changed in place and must not be used afterwards. */
export function applyMergePatch(target: unknown, patch: unknown): unknown {
  if (!isJsonObject(patch)) return patch;
  const result: JsonObject = isJsonObject(target) ? target : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else setOwn(result, key, applyMergePatch(Object.hasOwn(result, key) ? result[key] : undefined, value));
  }
  return result;
}
