// Addresses with parameters, for links of pages. All are paths of this node: nothing on a page leads elsewhere.

/** Returns the path with the parameters that have a value. */
export function address(path: string, values: Readonly<Record<string, string | undefined>>): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) if (value !== undefined && value !== "") query.set(name, value);
  return query.size === 0 ? path : `${path}?${query}`;
}
