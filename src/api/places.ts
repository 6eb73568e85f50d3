// The places under /contexts/{id} (architecture.md 8): which one a path means. Ids hold no such segment, so an encoded slash and a plain one mean the same.

import { Fault } from "../lib/fault.ts";

export type Place = "document" | "metadata" | "versions" | "version" | "diff" | "restore" | "stream";

const ROOT = "/contexts/";

/** Methods of each place, in the words of `Allow`. */
export const METHODS_OF: Readonly<Record<Place, string>> = {
  document: "GET, HEAD, PUT, PATCH, DELETE, OPTIONS",
  metadata: "GET, HEAD, OPTIONS",
  versions: "GET, HEAD, OPTIONS",
  version: "GET, HEAD, OPTIONS",
  diff: "GET, HEAD, OPTIONS",
  restore: "POST, OPTIONS",
  stream: "GET, HEAD, OPTIONS",
};

/** Media types of patches, by essence → `format` of context_patch. */
export const PATCHES: Readonly<Record<string, string>> = {
  "application/merge-patch+json": "merge",
  "application/json-patch+json": "json-patch",
  "application/cairn-edit+json": "edit",
};

/** RFC 5789 3.1. */
export const ACCEPT_PATCH: string = Object.keys(PATCHES).join(", ");

/** A place of one context. */
export interface Placed {
  place: Place;
  id: string;
  /** Of the place `version`. */
  version?: number;
}

/** What the path of a request means, percent-encoding decoded exactly once; undefined where it names no context. Fault `invalid_input`. */
export function placeOf(url: string): Placed | undefined {
  const { pathname } = new URL(url);
  const path = pathname.startsWith(ROOT) ? decoded(pathname.slice(ROOT.length)) : "";
  if (path === "") return undefined;
  const version = /^(.+)\/versions\/([1-9][0-9]{0,14})$/s.exec(path);
  if (version?.[1] !== undefined) return { place: "version", id: version[1], version: Number(version[2]) };
  const below = /^(.+)\/(metadata|versions|diff|restore|stream)$/s.exec(path);
  if (below?.[1] !== undefined) return { place: below[2] as Place, id: below[1] };
  return { place: "document", id: path };
}

function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    throw new Fault("invalid_input", `The path ${JSON.stringify(path.slice(0, 100))} is not valid percent-encoding`, {
      hint: "Encode the id once, as UTF-8.",
    });
  }
}
