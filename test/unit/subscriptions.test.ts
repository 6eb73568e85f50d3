// Subscriptions over a store and a log: who may declare and subscribe, what is recorded, dead letters, the trial of
// rules, and deliveries from a published event to a target by the outbox of the node.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { localAdmin } from "../kit/core.ts";
import { sender } from "../kit/events.ts";
import { refusal } from "../kit/refusal.ts";
import { startSubscriptions, until } from "../kit/subscriptions.ts";

let node: ReturnType<typeof startSubscriptions>;
beforeEach(() => {
  node = startSubscriptions();
});
afterEach(() => node[Symbol.asyncDispose]());

const OPS = { name: "ops", target: { kind: "http", url: "https://ops.example.com/in" }, spaces: ["team-*"] };
const declare = (changes: object = {}) => node.call("event_target_set", { ...OPS, ...changes }, localAdmin);
const ID = "team-a/alerts";

describe("who may", () => {
  test("only an admin declares targets, and only spaces that it names use them", async () => {
    expect((await refusal(node.call("event_target_set", OPS))).code).toBe("forbidden");
    expect(await declare()).toEqual({ name: "ops", created: true });
    expect(await declare()).toEqual({ name: "ops", created: false });
    expect(await node.call("subscription_create", { id: ID, target: "ops" })).toMatchObject({
      owner: "user:ann@x",
      state: "active",
    });
    const hidden = await refusal(node.call("subscription_create", { id: "other/x", target: "ops" }, sender("bob")));
    expect(hidden.code).toBe("not_found");
    const none = await refusal(node.call("subscription_create", { id: "other/x", target: "none" }, sender("bob")));
    expect(none.message).toBe('There is no target "none" for the space "other"');
    expect((await refusal(node.call("subscription_create", { id: "other/x", target: "ops" }))).code).toBe("forbidden");
    expect((await refusal(node.call("event_target_remove", { name: "ops" }, localAdmin))).message).toContain(ID);
  });

  test("whoever changes or resumes a subscription owns it from then on", async () => {
    await declare();
    await node.call("subscription_create", { id: ID, target: "ops" });
    expect(await node.call("subscription_pause", { id: ID }, sender("bob"))).toMatchObject({
      owner: "user:ann@x",
      state: "paused",
      reason: "asked",
    });
    expect(await node.call("subscription_resume", { id: ID }, sender("bob"))).toMatchObject({
      owner: "user:bob@x",
      state: "active",
    });
    expect(await node.call("subscription_change", { id: ID, rules: [] })).toMatchObject({ owner: "user:ann@x" });
    expect(await node.call("subscription_list", {}, sender("eve", { role: "reader", spaces: ["team-b"] }))).toEqual({
      subscriptions: [],
    });
    expect(await node.call("subscription_end", { id: ID })).toEqual({ ended: true });
    expect(await node.call("subscription_end", { id: ID })).toEqual({ ended: false });
  });
});

test("a list has pages, of what its caller may read alone", async () => {
  await declare();
  for (const name of ["a", "b", "c", "d"])
    await node.call("subscription_create", { id: `team-a/${name}`, target: "ops" });
  const eve = sender("eve", { role: "reader", spaces: ["team-b"] });
  const page = async (input: Record<string, unknown>, who?: typeof eve) => {
    const { subscriptions, cursor } = await node.call("subscription_list", input, who);
    return { ids: (subscriptions as { id: string }[]).map(({ id }) => id), cursor: cursor as string | undefined };
  };
  const first = await page({ limit: 2 });
  expect(first).toEqual({ ids: ["team-a/a", "team-a/b"], cursor: expect.any(String) });
  expect(await page({ limit: 2, cursor: first.cursor })).toEqual({ ids: ["team-a/c", "team-a/d"], cursor: undefined });
  expect(await page({ cursor: first.cursor, space: "team-a", limit: 1 })).toMatchObject({ ids: ["team-a/c"] });
  expect(await page({ limit: 2, cursor: first.cursor }, eve)).toEqual({ ids: [], cursor: undefined });
  const { code, details } = await refusal(node.call("subscription_list", { cursor: "team-a/b" }));
  expect([code, details]).toEqual(["invalid_input", expect.anything()]);
});

test.each<[Record<string, unknown>, string]>([
  [{ id: ID }, "needs a target or a context"],
  [{ id: ID, target: "ops", context: { kind: "context", mode: "put", id: "team-a/x" } }, "not both"],
  [{ id: "noslash", target: "ops" }, "id"],
  [{ id: ID, target: "ops", rules: [{ id: "r", match: { cel: "event.type.matches('a')" } }] }, "regex"],
  [{ id: ID, target: "ops", since: "1f3a9c0b22-e7" }, "history"],
])("%j is refused", async (input, words) => {
  await declare();
  const { message } = await refusal(node.call("subscription_create", input));
  expect(message).toContain(words);
});

test("a published event is sent as the rules make it, and the place is recorded", async () => {
  await declare();
  await node.publish("before");
  const rules = [
    {
      id: "r",
      match: { conditions: [{ field: "data.n", operator: "gt", value: 1 }] },
      transform: { add_fields: { "data.by": "cairn" } },
    },
  ];
  await node.call("subscription_create", { id: ID, target: "ops", rules });
  node.start();
  await node.publish("build", { n: 1 });
  await node.publish("build", { n: 2 });
  await node.publish("build", { n: 3 }, "team-b");
  await until(() => expect(node.sent.length).toBe(1));
  expect(node.sent[0]).toMatchObject({
    host: "ops.example.com",
    body: { type: "build", cairncaller: "user:bob@x", data: { n: 2, by: "cairn" } },
  });
  await until(async () => {
    const shown = await node.call("subscription_get", { id: ID });
    expect(shown).toMatchObject({
      behind: 0,
      counts: { delivered: 1, dropped: 1 },
      attempts: [{ result: "delivered", status: 200, offset: 3 }],
    });
    expect(shown["at"]).toBe((shown["subscription"] as Record<string, unknown>)["cursor"]);
  });
});

test("the oldest events are sent where that is asked, and a target that was changed is used at once", async () => {
  await declare();
  for (const type of ["one", "two"]) await node.publish(type);
  await node.call("subscription_create", { id: ID, target: "ops", since: "oldest" });
  node.start();
  await until(() => expect(node.sent.map(({ body }) => body["type"])).toEqual(["one", "two"]));
  await declare({ target: { kind: "http", url: "https://new.example.com/" } });
  await until(() => expect(node.outbox.queue(ID)?.revision).toBeGreaterThan(4));
  await node.publish("three");
  await until(() => expect(node.sent.at(-1)).toMatchObject({ host: "new.example.com", body: { type: "three" } }));
});

test("an owner that loses its rights stops the subscription, and nothing is sent", async () => {
  await declare();
  await node.call("subscription_create", { id: ID, target: "ops" });
  node.tailnet.set("user:ann@x", { ...node.ann, grants: [] });
  node.start();
  await node.publish("secret");
  await until(
    async () =>
      expect(await node.call("subscription_list", {}, localAdmin)).toMatchObject({
        subscriptions: [{ state: "paused", reason: "revoked" }],
      }),
    20_000,
  );
  expect(node.sent).toEqual([]);
  await until(() => expect(node.conditions.has("subscription_stopped")).toBe(true));
}, 30_000);

test("events that a target refuses are dead letters with the whole event: listed, counted, sent again, removed", async () => {
  await declare({ policy: "mcp" });
  await node.call("subscription_create", { id: ID, target: "ops" });
  node.answers.push(...Array(2).fill(() => new Response("too large for very-secret", { status: 413 })));
  node.start();
  for (const type of ["a", "b", "c"]) await node.publish(type);
  await until(() => expect(node.sent.length).toBe(3));
  await until(async () => expect(await node.call("dead_letter_list", { id: ID })).toMatchObject({ total: 2 }));
  const { letters } = (await node.call("dead_letter_list", { id: ID })) as { letters: Record<string, unknown>[] };
  expect(letters[0]).toMatchObject({ offset: 1, state: "dead", status: 413, event: { type: "a" } });
  expect(await node.call("dead_letter_redrive", { id: ID, dry: true })).toEqual({ letters: 2 });
  expect(await node.call("dead_letter_redrive", { id: ID, offsets: [1] })).toEqual({ letters: 1 });
  await until(() => expect(node.sent.at(-1)?.body).toMatchObject({ type: "a" }));
  await until(async () => expect(await node.call("dead_letter_list", { id: ID })).toMatchObject({ total: 1 }));
  node.answers.push(() => new Response("still", { status: 413 }));
  await node.call("dead_letter_redrive", { id: ID });
  await until(async () =>
    expect(await node.call("dead_letter_list", { id: ID })).toMatchObject({
      total: 1,
      letters: [{ state: "dead", attempts: 2, detail: "still" }],
    }),
  );
  expect(await node.call("dead_letter_purge", { id: ID, dry: true })).toEqual({ letters: 1 });
  expect(await node.call("dead_letter_purge", { id: ID })).toEqual({ letters: 1 });
  expect(await node.call("dead_letter_list", { id: ID })).toMatchObject({ total: 0, bytes: 0 });
});

test("a target that wants no more stops the subscription, and one that is down is said", async () => {
  await declare();
  await node.call("subscription_create", { id: ID, target: "ops" });
  node.answers.push(() => new Response("", { status: 410 }));
  node.start();
  await node.publish("x");
  await until(async () =>
    expect(await node.call("subscription_get", { id: ID })).toMatchObject({
      subscription: { state: "paused", reason: "ended" },
    }),
  );
  expect(await node.call("subscription_resume", { id: ID })).toMatchObject({ state: "active" });
  await until(() => expect(node.sent.length).toBe(2));
});

test("a document is written with the rights of the owner", async () => {
  await node.call("subscription_create", { id: ID, context: { kind: "context", mode: "append", id: "team-a/log" } });
  await node.call("subscription_create", {
    id: "team-a/far",
    context: { kind: "context", mode: "put", id: "team-b/log" },
  });
  node.start();
  await node.publish("one");
  await node.publish("two");
  await until(async () => {
    const { content, author } = (await node.call("context_get", { id: "team-a/log" })) as {
      content: { type: string }[];
      author: string;
    };
    expect(content.map(({ type }) => type)).toEqual(["one", "two"]);
    expect(author).toBe("user:ann@x");
  });
  const far = await node.call("subscription_get", { id: "team-a/far" });
  expect(far).toMatchObject({ attempts: [{ result: "failed" }] });
  expect(JSON.stringify(far)).toContain("team-b");
});

test("rules are tried on the newest events, and nothing is sent", async () => {
  for (const n of [1, 2, 3]) await node.publish("build", { n });
  await node.publish("other", {}, "team-b");
  const rules = [
    { id: "broken", match: { cel: "event.data.missing > 1.0" }, priority: 1 },
    { id: "some", match: { cel: "event.data.n >= 2.0" }, transform: { map: '{"n": event.data.n}' } },
  ];
  const tried = await node.call("subscription_test", { space: "team-a", rules, last: 2 });
  expect(tried).toMatchObject({
    counts: { forward: 2, none: 0 },
    events: [{ outcome: "forward", rule: "some", event: { data: { n: 2 } } }, {}],
  });
  expect((tried["events"] as { problems: unknown[] }[])[0]?.problems).toEqual([
    { rule: "broken", reason: expect.stringContaining("missing") },
  ]);
  const denied = await refusal(
    node.call("subscription_test", { space: "team-a", rules: [] }, sender("eve", { role: "reader", spaces: ["b"] })),
  );
  expect(denied.code).toBe("forbidden");
  expect(node.sent).toEqual([]);
});

test("a subscription that is asked to begin again writes again, also by other rules and after it was ended", async () => {
  const context = { kind: "context", mode: "append", id: "team-a/list" };
  const writes = async (count: number) =>
    until(async () => {
      const { content } = await node.call("context_get", { id: "team-a/list" });
      expect((content as { data: unknown }[]).map(({ data }) => data)).toHaveLength(count);
    });
  await node.publish("a", { n: 1 });
  await node.call("subscription_create", { id: ID, context, since: "oldest" });
  node.start();
  await writes(1);
  await node.call("subscription_resume", { id: ID, since: "oldest" });
  await writes(2);
  const rules = [{ id: "r", transform: { add_fields: { "data.by": "x" } } }];
  await node.call("subscription_change", { id: ID, rules });
  await node.call("subscription_resume", { id: ID, since: "oldest" });
  await writes(3);
  await node.call("subscription_end", { id: ID });
  await node.call("subscription_create", { id: ID, context, rules, since: "oldest" });
  await writes(4);
  expect(await node.call("subscription_get", { id: ID })).toMatchObject({ dead_letters: 0, counts: { failed: 0 } });
}, 30_000);

test("one owner has a bounded number of subscriptions", async () => {
  await declare();
  for (let at = 0; at < 100; at++) await node.call("subscription_create", { id: `team-a/s${at}`, target: "ops" });
  expect((await refusal(node.call("subscription_create", { id: "team-a/more", target: "ops" }))).code).toBe(
    "quota_exceeded",
  );
});

test("audit_verify finds a target, an owner or rules that no change made", async () => {
  await declare();
  await node.call("subscription_create", { id: ID, target: "ops" });
  await node.call("subscription_create", { id: "team-a/other", target: "ops" });
  await node.call("subscription_pause", { id: ID });
  node.answers.push(() => new Response("", { status: 410 }));
  node.start();
  await node.publish("x");
  await until(async () =>
    expect(await node.call("subscription_get", { id: "team-a/other" })).toMatchObject({
      subscription: { reason: "ended" },
    }),
  );
  const verify = () => node.call("audit_verify", {}, localAdmin);
  expect(await verify()).toMatchObject({ ok: true });
  for (const [edit, undo] of [
    [
      "UPDATE subscriptions SET caller = 'user:eve@x' WHERE id = 'team-a/alerts'",
      "UPDATE subscriptions SET caller = 'user:ann@x'",
    ],
    [
      "UPDATE subscriptions SET state = 'active' WHERE id = 'team-a/other'",
      "UPDATE subscriptions SET state = 'paused'",
    ],
    ["UPDATE event_targets SET spaces = '[\"*\"]'", "UPDATE event_targets SET spaces = '[\"team-*\"]'"],
  ]) {
    node.core.store.transaction((tx) => tx.run(edit ?? ""));
    expect(JSON.stringify(await verify())).toContain("is not as that made it");
    node.core.store.transaction((tx) => tx.run(undo ?? ""));
    expect(await verify()).toMatchObject({ ok: true });
  }
});
