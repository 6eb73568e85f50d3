// What other rooms may use of a node's membership in its fleet.

export { ownChanges } from "./plan.ts";
