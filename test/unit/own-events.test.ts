// Events of what Cairn itself does: which changes have one, who may read it, that a fleet chooses the types, and that a
// check holds them against the changes.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { agentFeature } from "../../src/features/agent/index.ts";
import { contextFeature } from "../../src/features/context/index.ts";
import { eventFeature } from "../../src/features/event/index.ts";
import { makeContextTarget } from "../../src/features/event/subscription/targets/context.ts";
import { FEATURES, OPERATIONS } from "../../src/features/index.ts";
import { leaseFeature } from "../../src/features/lease/index.ts";
import { sessionFeature } from "../../src/features/session/index.ts";
import { writeMeta } from "../../src/log/meta.ts";
import { eventTypesOf } from "../../src/operation/derive.ts";
import { localAdmin } from "../kit/core.ts";
import { type Events, sender, startEvents } from "../kit/events.ts";
import { DEFAULT_FLEET_SETTINGS } from "../kit/limits.ts";

const features = [agentFeature, contextFeature, eventFeature, sessionFeature, leaseFeature];
let events: Events;
beforeEach(() => {
  events = startEvents({ features });
});
afterEach(() => events[Symbol.asyncDispose]());

const choose = (...types: string[]) => {
  const text = JSON.stringify({ ...DEFAULT_FLEET_SETTINGS, "events.own": types });
  events.core.store.transaction((tx) => writeMeta(tx, { fleet_settings: text }));
};
const as = (who: string) => sender(who);
const put = (id: string, more: object = {}, who = "ann") =>
  events.core.call("context_put", { id, content: "secret words", ...more }, as(who));
const listed = async (input: object = {}) => (await events.list({ limit: 100, ...input })).events;
const typesOf = async () => (await listed()).map(({ type }) => type).reverse();

describe("what is published", () => {
  test("a change of a context, with what the audit says of it and none of its text", async () => {
    choose("*");
    await put("team-a/plan");
    await events.core.call("context_delete", { id: "team-a/plan" }, as("bob"));
    const [deleted, created] = await listed();
    expect(created).toMatchObject({
      ...{ type: "cairn.context.changed", source: "node/cairn", subject: "team-a/plan", cairnspace: "team-a" },
      ...{
        cairncaller: "node",
        data: { operation: "context_put", outcome: "created", version: 1, caller: "user:ann@x" },
      },
    });
    expect(created).toMatchObject({ data: { position: created?.id ?? "" } });
    expect(deleted).toMatchObject({ data: { operation: "context_delete", outcome: "deleted", caller: "user:bob@x" } });
    expect(JSON.stringify([created, deleted])).not.toContain("secret words");
  });

  test("nothing where the log has no setting, and by default neither contexts nor messages", async () => {
    const work = async () => {
      await put("team-a/x");
      const { session } = await events.core.call("session_create", { purpose: "p", space: "team-a" }, as("ann"));
      await events.core.call("message_post", { session, content: "hi" }, as("ann"));
      await events.core.call("lease_acquire", { name: `team-a/${String(session)}`, ttl_seconds: 60 }, as("ann"));
    };
    await work();
    expect(await typesOf()).toEqual([]);
    choose(...DEFAULT_FLEET_SETTINGS["events.own"]);
    await work();
    expect(await typesOf()).toEqual(["cairn.session.changed", "cairn.lease.changed"]);
    choose("cairn.message.posted");
    await work();
    expect((await typesOf()).slice(2)).toEqual(["cairn.message.posted"]);
  });

  test("one event for each change of a command, at offsets without a gap, among those of callers", async () => {
    choose("*");
    await events.publish("bob", { type: "t" });
    const steps = ["a", "b", "c"].map((name) => ({ operation: "context_put", id: `team-a/${name}`, content: name }));
    await events.core.call("context_many", { writes: steps }, as("ann"));
    await events.publish("bob", { type: "t" });
    const all = (await listed()).reverse();
    expect(all.map(({ subject }) => subject)).toEqual([undefined, "team-a/a", "team-a/b", "team-a/c", undefined]);
    expect(all.map(({ cairnposition }) => cairnposition.split("-e")[1])).toEqual(["1", "2", "3", "4", "5"]);
  });

  test("an event makes no event, and a refused write none either", async () => {
    choose("*");
    await events.publish("ann", { type: "t" });
    await put("team-a/x", { if_match: "7" }).catch(() => {});
    expect(await typesOf()).toEqual(["t"]);
  });

  test("their sender is no one's own: also who made the change gets them", async () => {
    choose("*");
    const since = (await events.list()).cursor;
    await put("team-a/x");
    const { events: got } = await events.wait({ space: "team-a", since, timeout_seconds: 1 }, as("ann"));
    expect(got.map(({ subject }) => subject)).toEqual(["team-a/x"]);
  });
});

describe("who may read them", () => {
  test("readers of the space alone", async () => {
    choose("*");
    await put("team-a/x");
    await put("team-b/y");
    const some = sender("cy", { role: "reader", spaces: ["team-b"] });
    const { events: seen } = await events.list({}, some);
    expect(seen.map(({ subject }) => subject)).toEqual(["team-b/y"]);
  });

  test("a private context has none, and has one once it is shared", async () => {
    choose("*");
    await put("team-a/own", { visibility: "private" });
    await put("team-a/own", { visibility: "private", content: "more" });
    expect(await typesOf()).toEqual([]);
    await put("team-a/own", { visibility: "public", content: "all" });
    expect(await typesOf()).toEqual(["cairn.context.changed"]);
  });

  test("of messages only those that all may read who may read the session", async () => {
    choose("*");
    const { session } = await events.core.call("session_create", { purpose: "p", space: "team-a" }, as("ann"));
    const post = (more: object) =>
      events.core.call("message_post", { session, content: "hush", ...more }, as("ann")) as Promise<{ id: string }>;
    const hidden = await post({ visibility: "private", to: ["user:bob@x"] });
    await post({ visibility: "admin_only" });
    await events.core.call("message_edit", { session, id: hidden.id, content: "hush!" }, as("ann")).catch(() => {});
    expect(await typesOf()).toEqual(["cairn.session.changed"]);
    await post({});
    const [posted] = await listed();
    expect(posted).toMatchObject({ type: "cairn.message.posted", subject: session });
    expect(JSON.stringify(posted)).not.toContain("hush");
  });
});

describe("audit_verify", () => {
  const verify = async () => JSON.stringify(await events.core.call("audit_verify", {}, localAdmin));
  const change = (sql: string) => events.core.store.transaction((tx) => tx.run(sql));

  test("holds each against its change", async () => {
    choose("*");
    await put("team-a/x");
    await events.publish("ann", { type: "t" });
    await put("team-a/y");
    expect(await verify()).toContain('"ok":true');
    change(`UPDATE events SET data = replace(data, 'ann', 'bob') WHERE offset = 3`);
    expect(await verify()).toContain("do not match their hash");
  });

  test("finds one that is in the chain and says another thing than its change", async () => {
    choose("*");
    await put("team-a/x");
    const hash = await rehashed();
    change(`UPDATE event_segments SET hash = '${hash}'`);
    change(`UPDATE event_head SET hash = '${hash}'`);
    expect(await verify()).toContain("are not those that the change names");
  });

  /** Changes the event and returns the hash that its segment would have. */
  async function rehashed(): Promise<string> {
    const { eventsAfter, segmentHash } = await import("../../src/features/event/rows.ts");
    change(`UPDATE events SET data = replace(data, 'ann', 'bob')`);
    return segmentHash("", eventsAfter(events.core.store.reader, 0, 10));
  }
});

test("retention takes them off the bytes of their sender and space, and no quota refuses the write", async () => {
  await events[Symbol.asyncDispose]();
  events = startEvents({ features, events: { keepCount: 1, callerBytes: 1, spaceBytes: 1 } });
  choose("*");
  for (const name of ["a", "b", "c"]) await put(`team-a/${name}`);
  await events.retain();
  expect(await typesOf()).toEqual(["cairn.context.changed"]);
  const kept = events.core.store.reader.all<{ kind: string; name: string; bytes: number }>(
    "SELECT kind, name, bytes FROM event_usage ORDER BY kind",
  );
  const { bytes } = events.core.store.reader.get<{ bytes: number }>("SELECT bytes FROM event_head") ?? { bytes: 0 };
  expect(kept).toEqual([
    { kind: "caller", name: "node", bytes },
    { kind: "space", name: "team-a", bytes },
  ]);
});

test("a subscription into a context skips changes of contexts", async () => {
  const asked: string[] = [];
  const config = { kind: "context", id: "team-a/log", mode: "append" } as const;
  const target = makeContextTarget(config, async (operation) => {
    asked.push(operation);
    return { output: {}, position: "" } as never;
  });
  const record = { id: "1", source: "node/cairn", type: "cairn.context.changed", time: "2026-01-01T00:00:00Z" };
  const send = (changes: object) =>
    target.send(
      { record: { ...record, ...changes }, offset: 1, messageId: "m" } as never,
      new AbortController().signal,
    );
  expect(await send({})).toMatchObject({ result: "skipped" });
  expect(asked).toEqual([]);
  // The same type of a caller is an event like any other.
  expect(await send({ source: "user:ann@x/ci" })).toMatchObject({ result: "delivered" });
  expect(await send({ type: "cairn.lease.changed" })).toMatchObject({ result: "delivered" });
});

test("the catalogue names writes that there are, each change of them once", () => {
  const kinds = eventTypesOf(FEATURES);
  const names = new Set(OPERATIONS.filter(({ kind }) => kind === "write").map(({ name }) => name));
  for (const [type, { operations }] of kinds)
    expect({ type, unknown: operations.filter((name) => !names.has(name)) }).toEqual({ type, unknown: [] });
  const twice = [...kinds.values()].flatMap(({ operations, outcomes = ["*"] }) =>
    operations.flatMap((name) => outcomes.map((outcome) => `${name} ${outcome}`)),
  );
  expect(new Set(twice).size).toBe(twice.length);
});

test("/openapi.json has the catalogue", async () => {
  const document = (await (await events.core.http("/openapi.json")).json()) as Record<string, unknown>;
  const part = document["x-cairn-events"] as { messages: Record<string, { payload: { properties: object } }> };
  expect(Object.keys(part.messages)).toEqual([...eventTypesOf(features).keys()]);
  expect(Object.keys(part.messages["cairn.context.changed"]?.payload.properties ?? {})).toContain("position");
});
