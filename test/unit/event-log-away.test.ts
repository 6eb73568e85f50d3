// What a node says of a log of events in NATS that it has not reached since it started, and what goes on all the same.

import { afterEach, beforeEach, expect, test } from "bun:test";
import { type Fault, writeFault } from "../../src/lib/fault.ts";
import { localAdmin } from "../kit/core.ts";
import { sender } from "../kit/events.ts";
import { eventually } from "../kit/eventually.ts";
import { freePort } from "../kit/free-port.ts";
import { movingFeatures, startMovingEvents } from "../kit/moving-events.ts";
import { webOver } from "../kit/web.ts";

const NAME = "aaaaaaaaaa";
const TARGET = { name: "ops", target: { kind: "http", url: "https://ops.example.com/in" }, spaces: ["team-*"] };

let events: ReturnType<typeof startMovingEvents>;
const port = freePort();
beforeEach(async () => {
  events = startMovingEvents({ url: `nats://127.0.0.1:${port}` });
  await events.call("event_target_set", TARGET);
  await events.call("subscription_create", { id: "team-a/x", target: "ops" }, sender("ann"));
  await events.call("subscription_create", { id: "team-a/y", target: "ops" }, sender("ann"));
  events.core.store.transaction((tx) => {
    const row = "INSERT INTO event_logs (n, kind, id, stream, replicas, state, first) VALUES (1,?,?,?,1,'current',10)";
    tx.run(row, "jetstream", NAME, `cairn-${NAME}`);
    tx.run("UPDATE subscriptions SET cursor = 25 WHERE id = 'team-a/y'");
  });
  await eventually("the problem is known", async () => (await events.call("event_log_get", {}))["problem"]);
});
afterEach(() => events[Symbol.asyncDispose]());

test("what is not known of a stream that is given up is said, and no place that is known is used again", async () => {
  expect(await events.call("event_log_get", {})).toMatchObject({ heard: false, newest: `${NAME}-e25` });
  const lost = { to: "fleet", lost: true };
  expect(await events.call("event_log_move", lost)).toMatchObject({ heard: false, after: `${NAME}-e25`, begun: false });
  await events.call("event_log_move", { ...lost, dry: false });
  events.lead();
  await events.isIn("fleet");
  expect((await events.publish("ann", { type: "t" })).cursor).toEndWith("-e27");
});

test("subscriptions are shown without their lag, and the page of events says where the log is", async () => {
  const found = await events.call("event_topology", {}, sender("ann"));
  expect(found).toMatchObject({
    log: { kind: "jetstream", durability: "jetstream; replicas=1; sync=server", reached: false },
    ...{ looked_at: 0, senders: [], subscriptions: [{ id: "team-a/x" }, { id: "team-a/y", behind: 0 }] },
  });
  for (const each of found["subscriptions"] as object[]) expect(each).not.toHaveProperty("lag_seconds");
  const web = webOver(events.core, { features: movingFeatures, nowMs: Date.now, onUnexpected: String });
  const page = async (caller = localAdmin) => {
    const response = await web.fetch(new Request("http://cairn/ui/events"), caller, "http");
    return [response?.status, await response?.text()] as const;
  };
  const [status, text] = await page();
  expect(status).toBe(200);
  for (const part of ["team-a/x", "lag unknown", "In NATS JetStream", "cannot be reached now", `cairn-${NAME}`])
    expect(text).toContain(part);
  // Who reads no operation of the fleet sees the place, and nothing of NATS.
  expect((await page(sender("ann")))[1]).toContain("In NATS JetStream");
  expect((await page(sender("ann")))[1]).not.toContain(`cairn-${NAME}`);
});

test("who publishes is told what to do, and nothing of where NATS is or how the node gets in", async () => {
  const said = async () => {
    const error = await events.publish("ann", { type: "t" }).catch((refused: unknown) => refused);
    return JSON.stringify(writeFault(error as Fault));
  };
  const first = await said();
  expect(first).toContain("Send it again later");
  expect(first).not.toMatch(/127\.0\.0\.1|NATS_OF_NOBODY/);
  Object.assign(events.events.nats, { credentials: "secret:NATS_OF_NOBODY" });
  expect(await said()).not.toMatch(/127\.0\.0\.1|NATS_OF_NOBODY/);
  // Operators see it.
  await eventually("it is told", () => events.raised.get("event_log_away")?.includes("CAIRN_SECRET_NATS_OF_NOBODY"));
});
