// What other folders may use of leases.

export { leaseFeature, leaseOperations } from "./feature.ts";
export { LeaseTerms } from "./terms.ts";
