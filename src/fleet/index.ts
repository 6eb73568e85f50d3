// What other folders need of the fleet.

export { type NodeReport, nodeStatus } from "./node-status.ts";
