// JSON bodies of events, within the bounds of all JSON by callers (security.md 22), and the answers to single events.

import { Fault, isFaultCode } from "../../../lib/fault.ts";
import { isObject } from "../../../lib/json-object.ts";
import { parseJson } from "../../../lib/json-text.ts";
import { keepNumbers } from "../../../lib/json-value.ts";
import { textOfUtf8, withoutBom } from "../../../lib/utf8.ts";
import type { DecodedBody } from "../../../operation/rest-route.ts";

/** Most events of one request. */
const MAX_EVENTS = 1000;

/** Returns the JSON of a body; numbers keep their digits. Throws Fault `invalid_input`. */
export function jsonOf(bytes: Uint8Array): unknown {
  const text = withoutBom(textOfUtf8(bytes, "The body"));
  return keepNumbers(text, parseJson(text, "The body"));
}

/** Returns a body that is one JSON object. Throws Fault `invalid_input`. */
export function objectIn(value: unknown, what: string): Record<string, unknown> {
  if (isObject(value)) return value;
  throw new Fault("invalid_input", `${what} must be a JSON object`, { details: { field: "body" } });
}

/** Returns a body that is a list of events. Faults: `invalid_input`, `too_large`. */
export function listIn(value: unknown): readonly unknown[] {
  if (!Array.isArray(value))
    throw new Fault("invalid_input", "The body must be a JSON array of events", { details: { field: "body" } });
  if (value.length <= MAX_EVENTS) return value;
  throw new Fault("too_large", `The batch has ${value.length} events; the limit is ${MAX_EVENTS}`, {
    hint: "Send it in parts.",
    details: { limit: MAX_EVENTS },
  });
}

/** Returns what publishes one event; a refusal of it is the answer. `form`: how its sender sees its outcome. */
export function singleEvent(
  event: Readonly<Record<string, unknown>>,
  form: (result: Record<string, unknown>) => Record<string, unknown> = (result) => result,
): DecodedBody {
  return {
    input: { events: [event] },
    shape: ({ results }) => {
      const [result] = Array.isArray(results) ? results : [];
      if (!isObject(result)) throw new Error("an event without an outcome");
      const fault = faultOf(result);
      if (fault !== undefined) throw fault;
      return form(result);
    },
  };
}

/** Returns the Fault that the outcome of an event is; undefined: it was published. */
export function faultOf(result: Readonly<Record<string, unknown>>): Fault | undefined {
  const { error } = result;
  if (!isObject(error)) return undefined;
  const { code, message, hint, field } = error;
  const known = typeof code === "string" && isFaultCode(code) ? code : "internal";
  return new Fault(known, String(message), {
    hint: typeof hint === "string" ? hint : undefined,
    details: typeof field === "string" ? { field } : {},
  });
}
