// The route of the MCP endpoint, for the endpoint, the listeners and docs/routes.md.

import type { ServedRoute } from "../operation/served-route.ts";

/** Where the endpoint is, and its methods. */
export const MCP_ROUTE: ServedRoute = {
  methods: ["POST", "GET", "DELETE"],
  path: "/mcp",
  summary:
    "MCP: a message, the stream of a session, the end of a session; `?preset=read-only` connects as a reader, " +
    "`?preset=core` with few tools",
  right: "any caller; each tool, resource and prompt needs that of its operation",
};
