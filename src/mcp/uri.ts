// Names of contexts as MCP resources: `cairn://{id}`. One spelling per context, so that a URI can be compared and indexed as text.

const SCHEME = "cairn://";

/** RFC 6570 template of all context resources; `+` keeps the slashes of an id. */
export const CONTEXT_TEMPLATE = "cairn://{+id}";

/** The resource URI of a context; ids hold only characters that need no escaping there. */
export function uriOf(id: string): string {
  return SCHEME + id;
}

/** The context id that a URI names, or undefined where the URI is not of this server. Whether the id is valid is for the operation to say. */
export function contextIdOf(uri: string): string | undefined {
  if (!uri.startsWith(SCHEME) || uri.length === SCHEME.length) return undefined;
  return uri.slice(SCHEME.length);
}
