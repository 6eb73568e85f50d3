// How the words of a target or a job are shown and kept: one line, without secrets, of bounded length.

import { printableLine } from "../../lib/printable.ts";
import { redactText } from "../../observe/redact.ts";

const MAX_DETAIL = 300;

/** Returns a text of others as it may be shown. A secret is looked for before its characters are escaped or cut. */
export function shownDetail(text: string): string {
  return printableLine(redactText(text)).slice(0, MAX_DETAIL);
}
