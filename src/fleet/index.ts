// What other folders need of the fleet.

export { type NodeReport, nodeReport, nodeStatus } from "./node-status.ts";
