// The contract of `EventLog` over a stream of a real nats-server.

import { describe } from "bun:test";
import { JetStreamLog } from "../../src/features/event/jetstream/jetstream-log.ts";
import { NatsLink } from "../../src/features/event/jetstream/nats.ts";
import { limitStream, makeStream } from "../../src/features/event/jetstream/stream.ts";
import { eventLogSuite } from "../kit/event-log-suite.ts";
import { DEFAULT_WRITE_LIMITS } from "../kit/limits.ts";
import { loopbackConnections, NATS_SERVER, type NatsServer, startNats } from "../kit/nats.ts";

const FLEET = "f0f1f2f3f4";
let server: NatsServer;
let streams = 0;

describe.skipIf(NATS_SERVER === undefined)("JetStream [needs nats-server]", () => {
  eventLogSuite({
    name: "jetstream",
    before: async () => {
      server = await startNats();
    },
    after: () => server.kill(),
    async open() {
      streams += 1;
      const id = `${streams}`.padStart(10, "a");
      const limits = { ...DEFAULT_WRITE_LIMITS.events };
      const link = new NatsLink({ ...loopbackConnections, place: () => ({ url: server.url, login: undefined }) });
      const place = { id, stream: `cairn-${id}`, replicas: 1 };
      await makeStream(link, place, 0, limits);
      await limitStream(link, place, limits);
      const over = new Set<() => void>();
      let isOver = false;
      const log = new JetStreamLog({
        ...{ link, place, fleetId: () => FLEET, seq: () => 1, limits: () => limits, earlier: () => undefined },
        isOver: () => isOver,
        onOver: (listener) => {
          over.add(listener);
          return () => over.delete(listener);
        },
      });
      await log.open();
      return {
        ...{ log, fleetId: FLEET },
        as: (user) => ({
          ask: async (_operation, { space, events }) => ({
            ...(await log.store({ caller: `user:${user}@x`, agent: "", node: "n" }, space as string, events as [])),
          }),
        }),
        keep: async (count) => {
          limits.keepCount = count;
          await limitStream(link, place, limits);
        },
        pass: () => Bun.sleep(20),
        stop: () => {
          isOver = true;
          for (const listener of over) listener();
        },
        async [Symbol.asyncDispose]() {
          log.close();
          await link.close();
        },
      };
    },
  });
});
