// One problem that a schema found, in words for people: the place, what is wanted, and the value that is there.

import { memberOf } from "./json-object.ts";

/** The part of a zod issue that is shown. */
interface Issue {
  code?: string | undefined;
  path: readonly PropertyKey[];
  message: string;
  /** The values of the field that chooses one of several shapes. */
  options?: readonly unknown[] | undefined;
}

/** Longest value that is shown, in characters. */
const MAX_SHOWN = 80;
/** Characters of a value by which a message that names it already is known. */
const MAX_REPEATED = 40;

/**
 * Returns the place of a problem (`grants.0.role`; "" for the whole value) and the problem in words. `value` is what
 * the schema parsed.
 */
export function describeIssue(issue: Issue | undefined, value: unknown): { place: string; text: string } {
  const place = issue?.path.map(String).join(".") ?? "";
  const options = issue?.code === "invalid_union" ? issue.options?.map((option) => JSON.stringify(option)) : undefined;
  const message = options === undefined ? (issue?.message ?? "invalid") : `takes one of ${options.join(", ")}`;
  const at = place === "" ? "" : `${place}: `;
  const found = issue?.path.reduce<unknown>(memberOf, value);
  if (found === undefined) {
    const wanted = options === undefined ? "" : `; it ${message}`;
    return { place, text: place === "" ? message : `${place} is missing${wanted}` };
  }
  // An unknown name is in the message already, and the value is all of its object.
  if (issue?.code === "unrecognized_keys") return { place, text: `${at}${message}` };
  if (typeof found === "string" && message.includes(JSON.stringify(found).slice(0, MAX_REPEATED)))
    return { place, text: `${at}${message}` };
  return { place, text: `${at}${message}; it is ${shownValue(found)}` };
}

/** Returns a value as JSON, cut. `clean` removes what is not to be shown, before a cut may leave a part of it. */
export function shownValue(value: unknown, clean: (text: string) => string = (text) => text): string {
  const text = clean(JSON.stringify(value) ?? String(value));
  return text.length <= MAX_SHOWN ? text : `${text.slice(0, MAX_SHOWN)}… (${text.length} characters)`;
}
