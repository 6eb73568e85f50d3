// A link to what happened to one thing, for those who may read the events of its space.
/** @jsxImportSource hono/jsx */

import { incidentsAddress } from "./thing-link.ts";

/** Name of the operation that lists events, for a question of rights before the link is offered. */
export const EVENTS_OPERATION = "event_list";

/** `thing` as events name it, such as SPACE/services/NAME. */
export function IncidentsLink({ thing }: { thing: string }) {
  return (
    <a href={incidentsAddress({ thing })} aria-label={`What happened to ${thing}`}>
      what happened
    </a>
  );
}
