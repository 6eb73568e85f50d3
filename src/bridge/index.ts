// What other rooms may use of the bridge.

export { type AgentOptions, AgentRoute } from "./agent-route.ts";
export { runBridge } from "./bridge.ts";
export { BridgeTransport } from "./client-transport.ts";
export { memberCacheFile } from "./discovery/member-cache.ts";
export { type BridgeAddress, fetchThrough } from "./endpoint.ts";
export { FleetRoute, type FleetRouteOptions, type FleetTimes } from "./fleet-route.ts";
export { type Route, SingleNodeRoute } from "./route.ts";
export { BridgeNode } from "./tailnet-node.ts";
