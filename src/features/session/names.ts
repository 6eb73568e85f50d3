// The names that messages mention, and those that mean a viewer, in the form in which rows keep recipients
// (operation/visibility.ts): `agent:builder`, `user:ann@example.com`, `tag:ci`.

import { foldedAgentName } from "../../lib/agent-key.ts";
import { MAX_NAMES } from "../../operation/recipients.ts";
import type { Viewer } from "../../operation/viewer.ts";

/** Returns every name that means a viewer. */
export function namesOfViewer({ callers, tags, agent }: Viewer): string[] {
  return [...(agent === undefined ? [] : [`agent:${foldedAgentName(agent)}`]), ...callers, ...tags];
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
