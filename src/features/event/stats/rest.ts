// The HTTP routes of counts of events.

import type { QueryParameter, RestRoute } from "../../../operation/rest-route.ts";

const tag = "events";
const space: QueryParameter = { kind: "text", description: "Only events of this space" };

/** The routes. */
export const statsRoutes: readonly RestRoute[] = [
  {
    ...{ method: "GET", path: "/events/stats", operationId: "eventStats", summary: "Count events", tag },
    operation: "event_stats",
    response: { kind: "json" },
    query: {
      space,
      types: {
        kind: "list",
        description:
          "Only events of these types, with commas between them (\\, is one within a type); with * at the end all that begin so",
      },
      source: { kind: "text", description: "Only events of this source; with * at the end all that begin so" },
      subject: { kind: "text", description: "Only events with this subject; with * at the end all that begin so" },
      after: { kind: "text", description: "Events that were ordered at this time or later (default: an hour ago)" },
      until_time: { kind: "text", description: "Events that were ordered before this time" },
      bucket_seconds: { kind: "count", maximum: 86_400, description: "Length of intervals (default 60)" },
      top: { kind: "count", maximum: 100, description: "So many names of each kind (default 10)" },
    },
  },
  {
    ...{ method: "GET", path: "/events/topology", operationId: "eventTopology", summary: "Show how events flow", tag },
    operation: "event_topology",
    response: { kind: "json" },
    query: { space },
  },
];
