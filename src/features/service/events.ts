// The events about services.

import type { OwnEventTable } from "../../operation/own-events.ts";

const subject = "the service, as SPACE/services/NAME, with /NODE where each member has a copy";
const kind = (when: string, ...outcomes: string[]) => ({
  ...{ when, subject, outcomes },
  operations: ["service_step", "service_note"],
});

/** By type. */
export const serviceEvents: OwnEventTable = {
  "cairn.service.asked": {
    ...{ when: "somebody asked for a move or a restart of a service", subject, outcomes: ["asked"] },
    operations: ["service_move", "service_restart"],
  },
  "cairn.service.started": kind("a member was given a service, and starts it", "starting"),
  "cairn.service.ready": kind(
    "a service is ready, on the member on which it was before or for the first time",
    "ready",
  ),
  "cairn.service.moved": kind("a service is ready on another member than before", "moved"),
  "cairn.service.down": kind("a service that was ready has ended, or its member was not heard in time", "down"),
  "cairn.service.failed": kind("a start of a service failed", "failed"),
  "cairn.service.stopped": kind("a service has ended because it was to", "stopped"),
};
