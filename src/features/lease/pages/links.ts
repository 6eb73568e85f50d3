// URLs of the page of leases.

import { address } from "../../../page/address.ts";

/** Path of the page. */
export const LEASES = "/ui/leases";

/** What the page shows; "" filters nothing. */
export interface ListView {
  prefix: string;
  own: string;
  cursor: string;
}

/** Returns the URL of the page. */
export function listLink(view: Partial<ListView>): string {
  return address(LEASES, { ...view });
}
