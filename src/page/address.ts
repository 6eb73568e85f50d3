// Addresses with parameters, for links of pages. All are paths of this node: nothing on a page leads elsewhere.

/** Returns the path with the parameters that have a value. */
export function address(path: string, values: Readonly<Record<string, string | undefined>>): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) if (value !== undefined && value !== "") query.set(name, value);
  return query.size === 0 ? path : `${path}?${query}`;
}

/** What a search found: a context, or a message of a session. */
export interface Found {
  id?: string | undefined;
  session?: string | undefined;
  message?: string | undefined;
}

/** Returns the page of what a search found. */
export function foundAddress({ id, session = "", message }: Found): string {
  const path = (id ?? session).split("/").map(encodeURIComponent).join("/");
  return id === undefined ? `/ui/sessions/${path}#${message}` : `/ui/contexts/${path}`;
}
