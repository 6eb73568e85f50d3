// The manifest of events (docs/features.md 4): what happened, in one durable order.

import { logFor } from "../../observe/logging.ts";
import type { Operation } from "../../operation/define.ts";
import type { Feature } from "../../operation/feature.ts";
import { LOG, NODE } from "../../operation/node-parts.ts";
import { ServiceKey, type Services } from "../../operation/services.ts";
import { eventAppend } from "./append.ts";
import { legacyEvent } from "./codecs/legacy.ts";
import { eventCommands } from "./commands.ts";
import { EVENT_LOG } from "./event-log.ts";
import { eventMetrics } from "./event-metrics.ts";
import { EVENT_FEED, EventFeed } from "./feed.ts";
import { eventGet, eventList } from "./list.ts";
import { eventPoll } from "./mcp/poll.ts";
import { eventsRecent } from "./mcp/recent.ts";
import { eventTypes } from "./mcp/types.ts";
import { mcpEvents } from "./mcp/wire.ts";
import { EVENT_METER, EventMeter } from "./meter.ts";
import { moveConditions } from "./moves/conditions.ts";
import { MOVABLE_LOG, MOVER, openLog } from "./moves/open.ts";
import { moveOperations } from "./moves/operations.ts";
import places from "./moves/schema.sql" with { type: "text" };
import { moveCommands } from "./moves/words.ts";
import { ownEvents } from "./own.ts";
import style from "./pages/event.css" with { type: "text" };
import { eventsPage } from "./pages/events-page.tsx";
import { incidentsPage } from "./pages/incidents-page.tsx";
import { eventPosition } from "./position.ts";
import positions from "./positions.sql" with { type: "text" };
import { publishOperations } from "./publish.ts";
import { eventRoutes } from "./rest.ts";
import { Retention } from "./retention.ts";
import { EVENT_LEVEL } from "./rows.ts";
import schema from "./schema.sql" with { type: "text" };
import { eventTables } from "./tables.ts";
import { eventTrim } from "./trim.ts";
import { eventProblem } from "./verify.ts";
import { eventWait } from "./wait.ts";

const RETENTION: ServiceKey<Retention> = new ServiceKey("the retention of events");

/** Returns every operation on events, the internal one included. */
export function eventOperations(node: Services): readonly Operation[] {
  return [
    ...publishOperations(node),
    eventAppend,
    eventTrim,
    eventPosition,
    eventList(node),
    eventGet(node),
    eventWait(node),
    eventsRecent(node),
    eventTypes(node),
    eventPoll(node),
    ...moveOperations(node),
  ];
}

/** The manifest. */
export const eventFeature: Feature = {
  name: "event",
  migrations: [
    { id: 19, level: EVENT_LEVEL, sql: schema },
    { id: 20, level: EVENT_LEVEL, sql: positions },
    { id: 26, level: EVENT_LEVEL, sql: places },
  ],
  tables: eventTables,
  open: (node) => {
    const { store, limits } = node.get(NODE);
    const log = () => node.get(LOG);
    const onError = (error: unknown) => logFor("events")("warning", `old events were not removed: ${String(error)}`);
    node.provide(EVENT_METER, new EventMeter());
    openLog(node);
    node.provide(EVENT_FEED, new EventFeed(node.get(EVENT_LOG)));
    node.provide(RETENTION, new Retention({ reader: store.reader, log, limits, onError }));
  },
  operations: eventOperations,
  rest: eventRoutes,
  commands: [...eventCommands, ...moveCommands],
  preset: {
    name: "events",
    summary: "publishing events, reading them and waiting for them",
    tools: ["event_publish", "event_publish_many", "event_list", "event_get", "event_wait", "events_recent"],
    partsOf: ["event"],
  },
  mcpEvents,
  foreignBody: { operation: "event_publish", input: legacyEvent, answer: { status: "accepted" } },
  duties: (node) => [(lead) => node.get(RETENTION).lead(lead), (lead) => node.find(MOVER)?.lead(lead)],
  conditions: moveConditions,
  jobs: (node) => [
    {
      name: "the connection to NATS",
      start: () => node.get(MOVABLE_LOG).start(),
      stop: () => node.get(MOVABLE_LOG).close(),
    },
  ],
  pages: [eventsPage, incidentsPage],
  style,
  metrics: eventMetrics,
  publishes: ownEvents,
  verify: eventProblem,
};
