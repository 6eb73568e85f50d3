// Addresses of the pages of probes.

import { address } from "../../../page/address.ts";
import { probeAddress } from "../../../page/thing-link.ts";

export { probeAddress as probeLink };

/** Path of the list, and of the pages below it. */
export const PROBES = "/ui/probes";
export const PROBE_PAGE = `${PROBES}/`;

/** What the list shows; "" is no filter. */
export interface ProbesView {
  space: string;
  label: string;
  state: string;
}

/** A probe: names are unique in the fleet, and rights are those of its space. */
export interface Which {
  space: string;
  name: string;
}

/** Returns the probe that the rest of an address names. */
export function whichOf(rest: string): Which {
  const at = rest.indexOf("/");
  return { space: rest.slice(0, Math.max(0, at)), name: rest.slice(at + 1) };
}

/** Returns where a form of a probe's page goes. */
export function probeForm(which: Which, form: string): string {
  return address(probeAddress(which), { form });
}
