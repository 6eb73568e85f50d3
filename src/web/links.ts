// Every address of the pages, made in one place. All are paths of this node: nothing on a page leads elsewhere.

const UI = "/ui/contexts/";

/** The list at `/`, narrowed. */
export function listLink(filter: { prefix?: string; tag?: string; cursor?: string }): string {
  return withQuery("/", filter);
}

export interface ContextView {
  version?: string;
  from?: string;
  to?: string;
  format?: string;
  before?: string;
}

/** The page of one context. Ids hold only characters that a path may hold; they are encoded all the same. */
export function contextLink(id: string, view: ContextView = {}): string {
  return withQuery(`${UI}${id.split("/").map(encodeURIComponent).join("/")}`, { ...view });
}

/** The document itself, as REST serves it. */
export function rawLink(id: string, version: number): string {
  return withQuery(`/contexts/${id.split("/").map(encodeURIComponent).join("/")}`, { version: String(version) });
}

/** The stream that tells a page of changes. */
export function liveLink(since: string, about: { id?: string; prefix?: string }): string {
  return withQuery("/ui/live", { since, ...about });
}

/** The id in a path under /ui/contexts/, or undefined where the path is another one or badly encoded. */
export function idOfPath(path: string): string | undefined {
  if (!path.startsWith(UI)) return undefined;
  try {
    return decodeURIComponent(path.slice(UI.length));
  } catch {
    return undefined;
  }
}

function withQuery(path: string, values: Record<string, string | undefined>): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) if (value !== undefined && value !== "") query.set(name, value);
  return query.size === 0 ? path : `${path}?${query}`;
}
