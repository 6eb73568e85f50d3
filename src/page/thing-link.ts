// The pages of things that operations and events name, such as a service of a space, and what happened to them.

import { address } from "./address.ts";

/** Path of the page that says what happened. */
export const INCIDENTS = "/ui/incidents";

/** What has a name in a space. */
export interface NamedThing {
  space: string;
  name: string;
}

/** Returns the address of a service. */
export function serviceAddress({ space, name }: NamedThing): string {
  return `/ui/services/${encodeURIComponent(space)}/${encodeURIComponent(name)}`;
}

/** Returns the address of a probe. */
export function probeAddress({ space, name }: NamedThing): string {
  return `/ui/probes/${encodeURIComponent(space)}/${encodeURIComponent(name)}`;
}

/** Returns the address of a job, by its id. */
export function jobAddress(id: string): string {
  return `/ui/jobs/${id.split("/").map(encodeURIComponent).join("/")}`;
}

/** What the page of incidents shows; "" is no filter. */
export interface IncidentsView {
  thing?: string;
  at?: string;
  span?: string;
}

/** Returns the address of what happened, to one thing where `thing` names it as events do. */
export function incidentsAddress(view: IncidentsView): string {
  return address(INCIDENTS, { ...view });
}
