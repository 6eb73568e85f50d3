// The environment of a child process (security.md 20): only the variables that are named. Keys, and variables that
// steer runtimes (TS_*, BUN_*, LD_*, NODE_OPTIONS), reach a child in no other way.

/** Returns the named variables that are set in `source`. */
export function childEnvironment(
  source: Readonly<Record<string, string | undefined>>,
  names: Iterable<string>,
): Record<string, string> {
  const found: Record<string, string> = {};
  for (const name of names) {
    const value = source[name];
    if (value !== undefined) found[name] = value;
  }
  return found;
}
