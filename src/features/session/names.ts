// The names by which messages address agents and callers, in the form in which rows keep recipients
// (operation/visibility.ts): `agent:builder`, `user:ann@example.com`, `tag:ci`.

import { z } from "zod";
import { foldedAgentName } from "../../lib/agent-key.ts";
import type { Viewer } from "../../operation/viewer.ts";
import { framedRecipients, recipientOf } from "../../operation/visibility.ts";

/** Most names that a message is addressed to, and most that it mentions. */
export const MAX_NAMES = 64;

/** A name in a call. It may begin with @, as in a text. */
export const addressee = z.string().min(1).max(256);

/** Returns names of a call, framed as rows keep them. Throws Fault `invalid_input`. */
export function framedNames(names: readonly string[]): string {
  return framedRecipients([...new Set(names.map((name) => recipientOf(name.replace(/^@/, "").trim())))]);
}

/** Returns every name that means a viewer. */
export function namesOfViewer({ callers, tags, agent }: Viewer): string[] {
  return [...(agent === undefined ? [] : [`agent:${foldedAgentName(agent)}`]), ...callers, ...tags];
}

/** Returns a kept name as people write it. */
export function shownName(name: string): string {
  if (name.startsWith("agent:")) return name.slice("agent:".length);
  return /^user:.+@/.test(name) ? name.slice("user:".length) : name;
}

/** `@name` in a text, where no word or address goes on before it. */
const MENTION = /(?<![\p{L}\p{N}_@./-])@([A-Za-z0-9][A-Za-z0-9._-]{0,63}(?:@[A-Za-z0-9.-]{1,190})?)/gu;

/** Returns the names that a text mentions as `@name`, at most MAX_NAMES. */
export function mentionsIn(text: string): string[] {
  const found = new Set<string>();
  for (const [, name = ""] of text.matchAll(MENTION)) {
    if (found.size === MAX_NAMES) break;
    found.add(name.replace(/[.-]+$/, ""));
  }
  return [...found];
}
