// The HTTP route of the fleet: the state of a node for programs.

import type { RestRoute } from "../operation/rest-route.ts";
import { NODE_STATUS } from "./node-status.ts";

/** The routes. */
export const fleetRoutes: readonly RestRoute[] = [
  {
    ...{ method: "GET", path: "/status", operationId: "getStatus", tag: "node" },
    summary: "State of this node and its fleet",
    operation: NODE_STATUS.name,
    query: { machines: { kind: "flag", description: "Adds the machine of each member, for who may read all spaces." } },
    response: { kind: "json" },
  },
];
