// The manifest of services (docs/features.md 5): programs that the fleet keeps running, on one member or another.

import type { Feature } from "../../operation/feature.ts";
import { serviceCommands } from "./commands.ts";
import { serviceConditions } from "./conditions.ts";
import { fleetDrain, fleetUndrain, serviceMove, serviceRestart } from "./control.ts";
import { SERVICE } from "./declared.ts";
import { serviceDeploy, serviceRollback } from "./deploy.ts";
import { EdgeServiceProxy } from "./edge-proxy.ts";
import { serviceEvents } from "./events.ts";
import { serviceNote, serviceStep } from "./internal.ts";
import { serviceOpen } from "./open.ts";
import { servicePage } from "./pages/service-page.tsx";
import { servicesPage } from "./pages/services-page.tsx";
import { openServices, SERVICE_WORKER } from "./parts.ts";
import { servicePeerPaths } from "./peer-paths.ts";
import { KEEPER, servicePlan } from "./plan.ts";
import { SERVICE_ROUTE, ServiceProxy } from "./proxy.ts";
import { serviceGet, serviceList, serviceOutput } from "./read.ts";
import { serviceRoutes } from "./rest.ts";
import { SERVICE_LEVEL } from "./rows.ts";
import schema from "./schema.sql" with { type: "text" };
import { serviceProblem } from "./verify.ts";
import { serviceWork } from "./work.ts";

/** Services. A new history keeps them: what a member may have running is waited for. */
export const serviceFeature: Feature = {
  name: "service",
  migrations: [{ id: 32, level: SERVICE_LEVEL, sql: schema }],
  tables: [
    { name: "services", scope: "replicated", fork: "keep", sql: "SELECT * FROM services ORDER BY name, copy" },
    { name: "service_nodes", scope: "replicated", fork: "keep", sql: "SELECT * FROM service_nodes ORDER BY node" },
    { name: "drained_nodes", scope: "replicated", fork: "keep", sql: "SELECT * FROM drained_nodes ORDER BY node" },
  ],
  declares: [SERVICE],
  conditions: serviceConditions,
  events: serviceEvents,
  open: openServices,
  operations: (node) => [
    ...[serviceStep, serviceNote, serviceMove, serviceRestart, fleetDrain, fleetUndrain],
    ...[serviceList, serviceGet(node), servicePlan(node), serviceOutput(node), serviceWork(node)],
    ...[serviceOpen(node), serviceDeploy, serviceRollback],
  ],
  commands: serviceCommands,
  rest: serviceRoutes,
  pages: [servicesPage, servicePage],
  jobs: (node) => [node.get(SERVICE_WORKER)],
  duties: (node) => [(lead) => node.get(KEEPER).lead(lead)],
  served: {
    route: SERVICE_ROUTE,
    open: (node) => new ServiceProxy(node),
    openOnEdge: (node) => new EdgeServiceProxy(node),
  },
  peerPaths: (node) => servicePeerPaths(node.get(SERVICE_WORKER)),
  verify: serviceProblem,
};
