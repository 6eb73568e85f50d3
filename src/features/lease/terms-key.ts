// The service key of the terms of leases, apart from their code: operations import it, and apply code holds no timers.

import { ServiceKey } from "../../operation/services.ts";
import type { LeaseTerms } from "./terms.ts";

/** Service key of the terms of a full member. */
export const LEASE_TERMS: ServiceKey<LeaseTerms> = new ServiceKey("the terms of leases");
