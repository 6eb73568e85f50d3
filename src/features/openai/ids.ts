// Ids of what the tools return, and URLs for citations. The id of a context is its own; the others are URIs, which are
// no ids of contexts: they have an empty segment.

import { URLS } from "../../operation/node-parts.ts";
import type { Services } from "../../operation/services.ts";
import { type Found, foundAddress } from "../../page/address.ts";

const CONTEXT = "cairn:///";
const MESSAGE = /^message:\/\/\/(.+)\/(m_[0-9a-f]{12})$/;
/** Part of a context: what follows the first characters of a long one. */
const CHARS = /^(.*)\?chars=([1-9][0-9]{0,8}-[0-9]{0,9})$/;

/** What an id names. */
export type Named =
  | { kind: "context"; id: string; chars: string | undefined }
  | { kind: "message"; session: string; message: string };

/** Returns the id of what a search found. */
export function idOf({ id, session = "", message = "" }: Found): string {
  return id ?? `message:///${session}/${message}`;
}

/** Returns the id of a part of a context. */
export function partId(id: string, chars: string): string {
  return `${CONTEXT}${encodeURIComponent(id)}?chars=${chars}`;
}

/** Returns what an id names. Any text is the id of a context, unless it is one of the URIs. */
export function namedBy(text: string): Named {
  const [, session, message] = MESSAGE.exec(text) ?? [];
  if (session !== undefined && message !== undefined) return { kind: "message", session, message };
  if (!text.startsWith(CONTEXT)) return { kind: "context", id: text, chars: undefined };
  const rest = text.slice(CONTEXT.length);
  const [, path = rest, chars] = CHARS.exec(rest) ?? [];
  return { kind: "context", id: decoded(path), chars };
}

/** Returns the page of it on this node, and where it has no address yet, the URI. */
export function urlOf(node: Services, found: Found): string {
  const base = node.find(URLS)?.()[0];
  if (base !== undefined) return base + foundAddress(found);
  return found.id === undefined ? idOf(found) : `${CONTEXT}${encodeURIComponent(found.id)}`;
}

function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}
