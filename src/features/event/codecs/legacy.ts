// The event of servers before MCP: `POST /mcp` with the members `id` and `data`, both texts, and no others.

import { Fault } from "../../../lib/fault.ts";
import { isObject } from "../../../lib/json-object.ts";
import { parseJson } from "../../../lib/json-text.ts";
import { keepNumbers } from "../../../lib/json-value.ts";

/** Returns the event of such a body as the arguments of event_publish; undefined for any other body. */
export function legacyEvent(body: unknown): Record<string, unknown> | undefined {
  if (!isObject(body) || Object.keys(body).length !== 2) return undefined;
  const { id, data } = body;
  if (typeof id !== "string" || typeof data !== "string") return undefined;
  return { type: "legacy.event", source: "legacy-api", id, ...dataOf(data) };
}

/** What is no JSON is a text. */
function dataOf(data: string): Record<string, unknown> {
  try {
    return { datacontenttype: "application/json", data: keepNumbers(data, parseJson(data, "data")) };
  } catch (error) {
    if (error instanceof Fault) return { datacontenttype: "text/plain", data };
    throw error;
  }
}
