// URLs of the pages of contexts.

import { address } from "../../../page/address.ts";

/** Path of the list. */
export const LIST = "/ui/contexts";
/** Path of the pages of single contexts; the id follows. */
export const CONTEXTS = "/ui/contexts/";

/** Filter of the list; "" and undefined filter nothing. */
export interface ListFilter {
  prefix?: string;
  tag?: string;
  cursor?: string;
}

/** What the page of a context shows; "" and undefined: the newest text, no diff, the newest versions. */
export interface ContextView {
  version?: string;
  from?: string;
  to?: string;
  format?: string;
  before?: string;
}

/** Returns the URL of the list. */
export function listLink({ prefix, tag, cursor }: ListFilter): string {
  return address(LIST, { prefix, tag, cursor });
}

/** Returns the URL of a context's page. Ids are encoded, although all their characters are allowed in a path. */
export function contextLink(id: string, view: ContextView = {}): string {
  return address(CONTEXTS + encoded(id), { ...view });
}

/** Returns the URL of the document itself, as REST serves it. */
export function rawLink(id: string, version: number): string {
  return address(`/contexts/${encoded(id)}`, { version: String(version) });
}

function encoded(id: string): string {
  return id.split("/").map(encodeURIComponent).join("/");
}
