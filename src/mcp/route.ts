// The routes of the MCP endpoint, for the endpoint, the listeners and docs/routes.md.

import type { Feature } from "../operation/feature.ts";
import { presetsOf } from "../operation/presets.ts";
import type { ServedRoute } from "../operation/served-route.ts";

/** Where the endpoint is, and its methods. */
export const MCP_ROUTE: ServedRoute = {
  methods: ["POST", "GET", "DELETE"],
  path: "/mcp",
  summary:
    "MCP: a message, the stream of a session, the end of a session; `?preset=read-only` connects as a reader, " +
    "`?preset=NAME` with the tools of a preset",
  right: "any caller; each tool, resource and prompt needs that of its operation",
};

/** Returns every route of MCP: `/mcp`, and one for each preset. */
export function mcpRoutes(features: readonly Feature[]): readonly ServedRoute[] {
  return [
    MCP_ROUTE,
    ...presetsOf(features).map(({ name, summary }) => ({
      ...MCP_ROUTE,
      path: `${MCP_ROUTE.path}/${name}`,
      summary: `MCP with ${summary}; also \`${MCP_ROUTE.path}?preset=${name}\``,
    })),
  ];
}

/** Reports whether a path is one of MCP: that of the endpoint, or of a preset, known or not. */
export function isMcpPath(path: string): boolean {
  return path === MCP_ROUTE.path || path.startsWith(`${MCP_ROUTE.path}/`);
}
