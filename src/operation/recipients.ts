// The names of recipients in calls and answers: agents, logins and tags. Their form in rows: visibility.ts.

import { z } from "zod";
import { framedRecipients, recipientOf } from "./visibility.ts";

/** Most names that a row is addressed to. */
export const MAX_NAMES = 64;

/** A name in a call. It may begin with @, as in a text. */
export const addressee = z.string().min(1).max(256);

/** Returns names of a call, framed as rows keep them. Throws Fault `invalid_input`. */
export function framedNames(names: readonly string[]): string {
  return framedRecipients([...new Set(names.map((name) => recipientOf(name.replace(/^@/, "").trim())))]);
}

/** Returns a kept name as people write it. */
export function shownName(name: string): string {
  if (name.startsWith("agent:")) return name.slice("agent:".length);
  return /^user:.+@/.test(name) ? name.slice("user:".length) : name;
}
