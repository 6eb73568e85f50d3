// What other rooms may use of the bridge.

export { runBridge } from "./bridge.ts";
export { type BridgeAddress, fetchBy } from "./endpoint.ts";
export { FleetRoute, type FleetRouteOptions, type FleetTimes } from "./fleet-route.ts";
export { BridgeTransport } from "./in-process.ts";
export { memberCacheFile } from "./known-members.ts";
export { BridgeNode } from "./node.ts";
export { OneRoute, type Route } from "./route.ts";
