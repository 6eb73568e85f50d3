// events.forward_to: each address becomes a target and a subscription, once; what an admin did to them stays.

import { afterEach, expect, test } from "bun:test";
import { declareForwards, forwardName } from "../../src/features/event/subscription/forward-to.ts";
import { localAdmin } from "../kit/core.ts";
import { startSubscriptions, until } from "../kit/subscriptions.ts";

let node: ReturnType<typeof startSubscriptions>;
afterEach(() => node[Symbol.asyncDispose]());

const URLS = ["https://a.example.com/in", "https://b.example.com/in"];
const NAMES = URLS.map(forwardName);
const SETTINGS = { "events.forward_to": URLS, "events.forward_timeout": 40 };
const declare = (signal = new AbortController().signal) => declareForwards(node.node, { signal });

test("events of the space default go to each address in the form of tas-mcp", async () => {
  node = startSubscriptions(SETTINGS);
  await declare();
  const { targets } = (await node.call("event_target_list", {}, localAdmin)) as { targets: Record<string, unknown>[] };
  expect(targets.map(({ name }) => name)).toEqual(NAMES.toSorted());
  expect(targets[0]).toMatchObject({
    target: { kind: "http", format: "tas", timeout_seconds: 40 },
    spaces: ["default"],
    by: "local",
  });
  node.start();
  await node.publish("build.done", { n: 1 }, "default");
  await node.publish("other", {}, "team-a");
  await until(() => expect(node.sent.map(({ host }) => host).toSorted()).toEqual(["a.example.com", "b.example.com"]));
  expect(node.sent[0]?.body).toMatchObject({ event_type: "build.done", data: '{"n":1}' });
});

test("a second leader declares nothing again, and what an admin changed stays", async () => {
  node = startSubscriptions(SETTINGS);
  await declare();
  const id = `default/${NAMES[0]}`;
  await node.call("subscription_pause", { id }, localAdmin);
  const target = { kind: "http", url: "https://c.example.com" };
  await node.call("event_target_set", { name: NAMES[1], target, spaces: ["default"] }, localAdmin);
  await declare();
  expect(await node.call("subscription_get", { id }, localAdmin)).toMatchObject({ subscription: { state: "paused" } });
  const { targets } = (await node.call("event_target_list", {}, localAdmin)) as { targets: { target: object }[] };
  expect(targets.map((each) => each.target)).toContainEqual(target);
});

test("without addresses, and once the node leads no more, nothing is declared", async () => {
  node = startSubscriptions({ "events.forward_to": [] });
  await declare();
  await node[Symbol.asyncDispose]();
  node = startSubscriptions(SETTINGS);
  await declare(AbortSignal.abort());
  expect(await node.call("event_target_list", {}, localAdmin)).toEqual({ targets: [] });
});
