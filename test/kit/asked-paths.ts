// What a schema of an output has, as paths: for tests that a page reads of an operation only what that returns.

/** Returns the names of a JSON schema, those below others behind a dot. */
export function pathsOf(schema: unknown): string[] {
  const { properties = {}, items } = schema as { properties?: Record<string, unknown>; items?: unknown };
  const own = Object.entries(properties).flatMap(([key, value]) => [
    key,
    ...pathsOf(value).map((at) => `${key}.${at}`),
  ]);
  return items === undefined ? own : [...own, ...pathsOf(items)];
}
