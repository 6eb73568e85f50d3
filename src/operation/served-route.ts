// A route beside REST, as the MCP endpoint and the pages serve it. docs/routes.md is made from these and from the rows
// of rest-route.ts.

/** One path and what it serves. */
export interface ServedRoute {
  methods: readonly string[];
  /** The path; one that ends with `/` serves every path below it, except for `/` itself. */
  path: string;
  /** What it serves, in a few words. */
  summary: string;
  /** Which callers may use it, in words. */
  right: string;
}
