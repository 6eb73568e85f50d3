// Replays over a store and a log: the count, the range by cursors and times, what is sent, and how it ends.

import { afterEach, beforeEach, expect, test } from "bun:test";
import { Webhook } from "standardwebhooks";
import { replayCommand } from "../../src/features/event/subscription/replay-command.ts";
import { localAdmin } from "../kit/core.ts";
import { sender } from "../kit/events.ts";
import { refusal } from "../kit/refusal.ts";
import { startSubscriptions, until } from "../kit/subscriptions.ts";

let node: ReturnType<typeof startSubscriptions>;
beforeEach(async () => {
  node = startSubscriptions();
  const target = { kind: "http", url: "https://ops.example.com/in" };
  await node.call("event_target_set", { name: "ops", target, spaces: ["team-*"] }, localAdmin);
});
afterEach(() => node[Symbol.asyncDispose]());

const ID = "team-a/again";
const ALL = { id: ID, target: "ops", since: "oldest" };
const RULES = [{ id: "two", match: { conditions: [{ field: "data.n", operator: "gte", value: 2 }] } }];

async function publish(count: number, from = 1): Promise<string[]> {
  const cursors: string[] = [];
  for (let n = from; n < from + count; n++) cursors.push(String((await node.publish("build", { n }))["cursor"]));
  return cursors;
}
const sentNumbers = () => node.sent.map(({ body }) => (body["data"] as { n: number }).n);
const isDone = async () =>
  expect(await node.call("subscription_get", { id: ID })).toMatchObject({
    subscription: { state: "paused", reason: "done" },
  });

test("a replay is counted first, and nothing is sent until dry is false", async () => {
  const cursors = await publish(3);
  await node.publish("other", {}, "team-b");
  node.start();
  const counted = await node.call("event_replay", { ...ALL, rules: RULES, rate: 1 });
  expect(counted).toMatchObject({ events: 2, left_out: 1, complete: true, seconds: 2 });
  expect(counted["subscription"]).toBeUndefined();
  // What could not be sent is refused before it is counted.
  const { id, since } = ALL;
  const place = { context: { kind: "context", mode: "append", id: "team-a/log" } };
  for (const where of [{}, { target: ALL.target, ...place }])
    expect((await refusal(node.call("event_replay", { id, since, ...where }))).message).toContain("a target");
  expect(await node.call("subscription_list", {})).toEqual({ subscriptions: [] });
  expect(node.sent).toEqual([]);
  const begun = await node.call("event_replay", { ...ALL, until: cursors[2], rules: RULES, rate: 500, dry: false });
  expect(begun).toMatchObject({ events: 2, subscription: { id: ID, state: "active", until: cursors[2], rate: 500 } });
  await until(isDone);
  await publish(2, 4);
  await Bun.sleep(50);
  expect(sentNumbers()).toEqual([2, 3]);
  // Newer events are none of its own.
  expect(await node.call("subscription_get", { id: ID })).toMatchObject({ behind: 0 });
  expect(await node.call("event_topology", {})).toMatchObject({ subscriptions: [{ behind: 0, lag_seconds: 0 }] });
  // It is no subscription that stopped for a reason that somebody has to mend.
  expect(node.conditions.has("subscription_stopped")).toBe(false);
  expect(await node.call("audit_verify", {}, localAdmin)).toMatchObject({ ok: true });
});

test("a range is given by cursors or times", async () => {
  const cursors = await publish(4);
  const count = (range: object) => node.call("event_replay_count", { space: "team-a", ...range });
  expect(await count({ since: cursors[0], until: cursors[2] })).toMatchObject({
    ...{ events: 2, since: cursors[0], until: cursors[2] },
  });
  expect(await count({ time: "2020-01-01T00:00:00Z" })).toMatchObject({ events: 4 });
  expect(await count({ since: "oldest", until_time: "2100-01-01T00:00:00Z" })).toMatchObject({ events: 4 });
  for (const [range, field] of [
    [{}, "since"],
    [{ since: "oldest", time: "2020-01-01T00:00:00Z" }, "since"],
    [{ since: "oldest", until: "now", until_time: "2020-01-01T00:00:00Z" }, "until"],
    [{ since: cursors[2], until: cursors[1] }, "until"],
    [{ since: "oldest", until_time: "2020-01-01T00:00:00Z" }, "until_time"],
    [{ time: "2100-01-01T00:00:00Z" }, "until"],
    [{ since: "nothing" }, "since"],
  ] as const) {
    const { code, details } = await refusal(count(range));
    expect([code, details["field"]]).toEqual(["invalid_input", field]);
  }
});

test("who may not read the space counts nothing, and who may not write there sends nothing", async () => {
  await publish(1);
  const reader = sender("eve", { role: "reader", spaces: ["team-a"] });
  expect(await node.call("event_replay_count", { space: "team-a", since: "oldest" }, reader)).toMatchObject({
    events: 1,
  });
  expect((await refusal(node.call("event_replay", ALL, reader))).code).toBe("forbidden");
  const other = sender("eve", { role: "member", spaces: ["team-b"] });
  const asked = node.call("event_replay_count", { space: "team-a", since: "oldest" }, other);
  expect((await refusal(asked)).code).toBe("forbidden");
  const strange = node.call("event_replay", { ...ALL, target: "none", dry: false });
  expect((await refusal(strange)).code).toBe("not_found");
});

test("a dry run refuses what the real one would: the target, the id, the right to create and to write", async () => {
  await publish(1);
  const both = async (input: object, who = sender("ann")) => {
    const codes: string[] = [];
    for (const dry of [true, false]) {
      const { code, message } = await refusal(node.call("event_replay", { ...input, dry }, who));
      codes.push(code);
      expect(message).not.toBe("");
    }
    return codes;
  };
  const elsewhere = { kind: "http", url: "https://ops.example.com/in" };
  await node.call("event_target_set", { name: "other", target: elsewhere, spaces: ["team-b"] }, localAdmin);
  expect(await both({ ...ALL, target: "none" })).toEqual(["not_found", "not_found"]);
  expect(await both({ ...ALL, target: "other" })).toEqual(["not_found", "not_found"]);
  await node.call("subscription_create", { id: "team-a/taken", target: "ops" });
  expect(await both({ ...ALL, id: "team-a/taken" })).toEqual(["id_taken", "id_taken"]);
  const some = sender("eve", { role: "member", spaces: ["team-a"], tools: ["event_replay", "event_replay_count"] });
  expect(await both(ALL, some)).toEqual(["forbidden", "forbidden"]);
  const eve = sender("eve", { role: "member", spaces: ["team-a"] });
  const into = (id: string) => ({ id: ID, since: "oldest", context: { kind: "context", mode: "append", id } });
  expect(await both(into("team-b/log"), eve)).toEqual(["forbidden", "forbidden"]);
  expect(await node.call("event_replay", into("team-a/log"), eve)).toMatchObject({ events: 1 });
  // A repetition under its key gets what the first one got.
  const once = { ...into("team-a/log"), dry: false, idempotency_key: "k" };
  const made = await node.call("event_replay", once, eve);
  expect(await node.call("event_replay", once, eve)).toEqual(made);
});

test("what a target refuses during a replay is a dead letter, sent again once it is resumed", async () => {
  await publish(2);
  node.answers.push(...Array(3).fill(() => new Response("no", { status: 413 })));
  await node.call(
    "event_target_set",
    {
      ...{
        name: "ops",
        target: { kind: "http", url: "https://ops.example.com/in" },
        spaces: ["team-*"],
        policy: "mcp",
      },
    },
    localAdmin,
  );
  await node.call("event_replay", { ...ALL, dry: false });
  node.start();
  await until(isDone);
  expect(await node.call("dead_letter_list", { id: ID })).toMatchObject({ total: 2 });
  node.answers.length = 0;
  await node.call("dead_letter_redrive", { id: ID });
  await node.call("subscription_resume", { id: ID });
  await until(async () => expect(await node.call("dead_letter_list", { id: ID })).toMatchObject({ total: 0 }));
  await until(isDone);
});

test("a webhook is signed at the time of sending, and the event keeps its own time", async () => {
  const secret = `whsec_${Buffer.from("0123456789abcdef0123456789abcdef").toString("base64")}`;
  node.env["CAIRN_SECRET_HOOK"] = secret;
  const target = { kind: "webhook", url: "https://ops.example.com/hook", secret: "secret:HOOK" };
  await node.call("event_target_set", { name: "hook", target, spaces: ["*"] }, localAdmin);
  const time = "2020-01-01T00:00:00Z";
  await node.core.call("event_publish", { space: "team-a", type: "old", time }, sender("bob"));
  await node.call("event_replay", { ...ALL, target: "hook", dry: false });
  node.start();
  await until(isDone);
  const [sent] = node.sent;
  expect(sent?.body).toMatchObject({ type: "old", timestamp: time });
  expect(new Webhook(secret).verify(sent?.text ?? "", { ...sent?.headers })).toMatchObject({ type: "old" });
});

test("the words of the command", () => {
  const words = { args: [ID], options: { to: "ops", since: "oldest", type: "build.*", rate: "5" } };
  expect(replayCommand.input(words)).toEqual({
    ...{ id: ID, target: "ops", since: "oldest", rate: 5, dry: true },
    rules: [{ id: "type", match: { conditions: [{ field: "type", operator: "regex", value: String.raw`^build\.` }] } }],
  });
  const send = { args: [ID], options: { document: "team-a/log", time: "2020-01-01T00:00:00Z", send: true } };
  expect(replayCommand.input(send)).toMatchObject({
    ...{ dry: false, context: { kind: "context", mode: "append", id: "team-a/log" } },
  });
});
