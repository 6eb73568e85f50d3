// Moves of the log of events where they are delicate, over a real nats-server: events of one id, many own events that
// wait, retention that is faster, and streams that were left.

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { startMovingEvents } from "../kit/moving-events.ts";
import { NATS_SERVER, type NatsServer, startNats } from "../kit/nats.ts";

describe.skipIf(NATS_SERVER === undefined)("edges of moves of the log of events [needs nats-server]", () => {
  let server: NatsServer;
  let events: ReturnType<typeof startMovingEvents>;
  beforeAll(async () => {
    server = await startNats();
  });
  afterAll(() => server.kill());
  beforeEach(() => {
    events = startMovingEvents(server);
    events.lead();
  });
  afterEach(() => events[Symbol.asyncDispose]());

  test("two events of one id that the log took as different ones keep their offsets in a move", async () => {
    (events.events as { dedupeSeconds: number }).dedupeSeconds = 0;
    for (const id of ["1", "1", "2", "1"]) await events.publish("ann", { type: "t", id });
    (events.events as { dedupeSeconds: number }).dedupeSeconds = 3600;
    await events.move("jetstream");
    const next = await events.publish("ann", { type: "t", id: "3" });
    expect(next.cursor).toEndWith("-e5");
    expect((await events.all()).map(({ id, offset }) => [offset, id])).toEqual([
      [1, "1"],
      [2, "1"],
      [3, "2"],
      [4, "1"],
      [5, "3"],
    ]);
    await events.move("fleet");
    expect((await events.all()).map(({ id }) => id)).toEqual(["1", "1", "2", "1", "3"]);
  });
});
