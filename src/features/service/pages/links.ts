// Addresses of the pages of services.

import { address } from "../../../page/address.ts";
import { serviceAddress } from "../../../page/thing-link.ts";

export { serviceAddress as serviceLink };

/** Path of the list, and of the pages below it. */
export const SERVICES = "/ui/services";
export const SERVICE = `${SERVICES}/`;

/** What names a service. */
export interface ServiceKey {
  space: string;
  name: string;
}

/** Returns the address of a list; "" is no filter. */
export function servicesLink(view: { space?: string; state?: string }): string {
  return address(SERVICES, { ...view });
}

/** Returns where a form of a service's page goes. */
export function serviceForm(key: ServiceKey, form: string): string {
  return address(serviceAddress(key), { form });
}

/** Returns the service that the rest of an address names. */
export function serviceOf(rest: string): ServiceKey {
  const [space = "", ...name] = rest.split("/");
  return { space, name: name.join("/") };
}
