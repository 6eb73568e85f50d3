// The contract of `EventLog` over the replicated log.

import { EVENT_LOG } from "../../src/features/event/event-log.ts";
import { readMeta } from "../../src/log/meta.ts";
import { eventLogSuite } from "../kit/event-log-suite.ts";
import { sender, startEvents } from "../kit/events.ts";

eventLogSuite({
  name: "replicated",
  async open() {
    const events = startEvents();
    const { core, node } = events;
    return {
      log: node.get(EVENT_LOG),
      fleetId: readMeta(core.store.reader, "fleet_id") ?? "",
      as: (user) => ({ ask: (operation, input) => core.call(operation, input, sender(user)) }),
      keep: async (count) => {
        events.limits.events.keepCount = count;
        await events.retain();
      },
      pass: async () => events.pass(5000),
      stop: () => core.log.changes.end(),
      [Symbol.asyncDispose]: () => events[Symbol.asyncDispose](),
    };
  },
});
