// Moves of the log of events where they are delicate, over a real nats-server: events of one id, many own events that
// wait, retention that is faster, and streams that were left.

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { Access } from "../../src/access/access.ts";
import { STORED_BY_NODE } from "../../src/features/event/jetstream/jetstream-log.ts";
import { NatsLink } from "../../src/features/event/jetstream/nats.ts";
import { limitStream, makeStream, prefixOf } from "../../src/features/event/jetstream/stream.ts";
import { MOVABLE_LOG, MOVER } from "../../src/features/event/moves/open.ts";
import {
  type LogRow,
  logPlaces,
  MAX_WAITING,
  sharedWith,
  streamOf,
  waitingRows,
} from "../../src/features/event/moves/place.ts";
import { type EventRow, eventHead } from "../../src/features/event/rows.ts";
import { CALLBACK_KEYS, CallbackKeys } from "../../src/features/event/subscription/callback-keys.ts";
import { openOutbox } from "../../src/features/event/subscription/open-outbox.ts";
import { timeOf } from "../../src/lib/time-of.ts";
import { ACCESS, CALL_AS, FIND_CALLERS, HOST, type Outbound } from "../../src/operation/node-parts.ts";
import { CAPABILITY } from "../kit/core.ts";
import { sender } from "../kit/events.ts";
import { eventually } from "../kit/eventually.ts";
import { startMovingEvents } from "../kit/moving-events.ts";
import { loopbackConnections, NATS_SERVER, type NatsServer, startNats } from "../kit/nats.ts";
import { refusal } from "../kit/refusal.ts";

const upTo = (count: number) => Array.from({ length: count }, (_, at) => at + 1);
const linkTo = ({ url }: NatsServer) =>
  new NatsLink({ ...loopbackConnections, place: () => ({ url, login: undefined }) });

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
    expect(events.problems.filter((problem) => problem !== undefined)).toEqual([]);
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
    // The stream is followed no longer.
    const isOpen = () => events.sockets.some(({ destroyed }) => !destroyed);
    await eventually("the connection to NATS is ended", () => !isOpen());
  });

  test("the setting for new fleets moves nothing in one where something was published", async () => {
    const begins = () => Object.assign(events.events.nats, { isFirst: true });
    await events.publish("ann", { type: "t", id: "1" });
    begins();
    await events.node.get(MOVER).look(new AbortController().signal);
    expect(logPlaces(events.core.store.reader)).toEqual({ current: undefined, moving: undefined });
    await events[Symbol.asyncDispose]();

    events = startMovingEvents(server);
    events.chooseOwn("cairn.context.*");
    await events.call("context_put", { id: "team-a/x", content: "x" }, sender("ann"));
    begins();
    events.lead();
    await events.isIn("jetstream");
  });

  const propose = (name: string, input: object) =>
    events.core.log.propose({ name, v: 1, input, caller: "node", via: "", key: "" });
  const reader = () => events.core.store.reader;
  const put = (id: string) => events.call("context_put", { id: `team-a/${id}`, content: "x" }, sender("ann"));
  const movable = () => events.node.get(MOVABLE_LOG);
  const timeOfChange = (seq: number) => {
    const sql = "SELECT log_time FROM changes WHERE seq = ?";
    return timeOf(reader().get<{ log_time: number }>(sql, seq)?.log_time ?? 0);
  };
  const current = () => streamOf(logPlaces(reader())) as LogRow;
  const limitTo = async (limits: object) => {
    Object.assign(events.events, limits);
    const link = linkTo(server);
    await limitStream(link, current(), events.events);
    await link.close();
  };

  test("more own events than one command takes are published once, in order, and leave the tables again", async () => {
    events.chooseOwn("cairn.context.*");
    await events.move("jetstream");
    events.rest();
    await Promise.all(upTo(520).map((at) => put(`a${at}`)));
    // A leader that ended had sent two of them, and had not said so.
    for (const { event, seq } of waitingRows(reader(), 2))
      await movable().streamLog(current())[STORED_BY_NODE](JSON.parse(event), seq);
    await events.call("event_log_move", { to: "fleet", dry: false });
    await propose("event_log_step", { n: 2, state: "closing", last: 0 });
    events.lead();
    await events.isIn("fleet");
    await eventually("none waits", () => waitingRows(reader(), 1).length === 0 || undefined);
    const ids = (await events.all()).map(({ id }) => id);
    expect([ids.length, new Set(ids).size]).toEqual([520, 520]);
    const seqs = ids.map((id) => Number(id.split("-").at(-1)));
    // Each says when its change was, also those that the stream took later.
    const page = await events.call("event_list", { since: "oldest", limit: 10 });
    const times = (page["events"] as { time: string; cairntime: string }[]).map(({ time }) => time);
    expect(times).toEqual(seqs.slice(0, 10).map(timeOfChange));
    expect(seqs).toEqual(seqs.toSorted((one, other) => one - other));
    expect(await events.call("audit_verify", {})).toMatchObject({ ok: true });
    await events.move("jetstream");
    await eventually("the tables are empty", () => eventHead(reader()).floor === eventHead(reader()).tail || undefined);
    expect((await events.all()).map(({ id }) => id)).toEqual(ids);
  });

  test("own events that were forgotten twice take none of those behind them along", async () => {
    events.chooseOwn("cairn.context.*");
    await events.move("jetstream");
    events.rest();
    await put("a1");
    const [{ n, seq } = { n: 0, seq: 0 }] = waitingRows(reader(), 1);
    await propose("event_forwarded", { upTo: n, seq });
    expect(waitingRows(reader(), 1)).toEqual([]);
    await put("a2");
    // Its first answer was lost, so the leader proposes it again.
    await propose("event_forwarded", { upTo: n, seq });
    expect(waitingRows(reader(), 2).map(({ event }) => JSON.parse(event).subject)).toEqual(["team-a/a2"]);
  });

  test("a move back that retention overtakes begins again behind it, also where nothing is left", async () => {
    await events.move("jetstream");
    await Promise.all(upTo(300).map((at) => events.publish("ann", { type: "t", id: `${at}` })));
    await eventually("the tables are empty", () => eventHead(reader()).floor === eventHead(reader()).tail || undefined);
    events.rest();
    await events.call("event_log_move", { to: "fleet", dry: false });
    const kept = await movable().streamLog(current()).keptAfter(0, 100);
    await propose("event_log_copy", { events: kept.map(({ row }) => row), floor: 0 });
    expect(eventHead(reader())).toMatchObject({ floor: 0, tail: 100 });
    expect(await events.call("event_log_get", {})).toMatchObject({
      events: 300,
      move: { state: "copying", copied: 100 },
    });
    await limitTo({ keepCount: 10 });
    events.lead();
    await events.isIn("fleet");
    expect((await events.all()).map(({ offset }) => offset)).toEqual(upTo(300).slice(290));
    await events.move("jetstream");
    events.rest();
    await limitTo({ keepMs: 100 });
    await eventually("the stream is empty", async () => {
      const { floor, tail } = await movable().streamLog(current()).look();
      return floor === tail;
    });
    events.lead();
    await events.move("fleet");
    expect((await events.publish("ann", { type: "t", id: "next" })).cursor).toEndWith("-e301");
    expect(await events.call("audit_verify", {})).toMatchObject({ ok: true });
  });

  test("a stream into which others write is not switched to, takes no event's place, and is left by a stop", async () => {
    for (const at of upTo(5)) await events.publish("ann", { type: "t", id: `${at}` });
    events.rest();
    await events.call("event_log_move", { to: "jetstream", dry: false });
    const row = logPlaces(reader()).moving as LogRow;
    const link = linkTo(server);
    await makeStream(link, row, 0, events.events);
    const write = async () => (await link.client()).connection.request(`${prefixOf(row.stream)}.0`, "no event");
    await movable()
      .streamLog(row)
      .put((await events.log.at(1)) as EventRow, 1);
    await write();
    expect(await events.call("event_log_get", {})).toMatchObject({ events: 5, move: { to: "jetstream", copied: 2 } });
    events.lead();
    const isTold = () => [...events.raised.values()].some((text) => text.includes("that Cairn did not write"));
    await eventually("it is told", () => isTold() || undefined);
    // Events are taken meanwhile, and none of them is where the strange one is.
    for (const at of [6, 7]) await events.publish("ann", { type: "t", id: `${at}` });
    for (const _ of upTo(9)) await write();
    events.lead();
    await eventually("it is told again", () => isTold() || undefined);
    expect(await events.call("event_log_get", {})).toMatchObject({ log: "fleet", move: { state: "copying" } });
    await events.call("event_log_move", { cancel: true, dry: false });
    await events.move("jetstream");
    expect((await events.all()).map(({ id }) => id)).toEqual(upTo(7).map(String));
    await link.close();
  });

  test("a secret of NATS that this node has not is reported, without effect on anything else", async () => {
    await events.publish("ann", { type: "t", id: "1" });
    await events.move("jetstream");
    Object.assign(events.events.nats, { credentials: "secret:NATS_OF_NOBODY" });
    const refused = await refusal(events.publish("ann", { type: "t", id: "2" }));
    expect(refused.code).toBe("event_log_unavailable");
    expect(refused.message).not.toContain("NATS_OF_NOBODY");
    const isTold = () => events.raised.get("event_log_away")?.includes("secret:NATS_OF_NOBODY is not set on this node");
    await eventually("operators are told", isTold);
    await put("a1");
    Object.assign(events.events.nats, { credentials: undefined });
    await events.publish("ann", { type: "t", id: "2" });
    expect((await events.all()).map(({ id }) => id)).toEqual(["1", "2"]);
  });

  test("a cursor of any earlier log is good up to where the fleet left that log the last time", async () => {
    events.rest();
    const epoch = events.log.name();
    expect(sharedWith(reader(), epoch)).toBeUndefined();
    const rows: [string, string, string, number][] = [
      ["jetstream", "aaaaaaaaaa", "left", 10],
      ["fleet", "", "left", 20],
      ["jetstream", "bbbbbbbbbb", "left", 30],
      ["fleet", "", "left", 40],
      ["jetstream", "dddddddddd", "cancelled", 0],
      ["jetstream", "cccccccccc", "current", 50],
    ];
    events.core.store.transaction((tx) => {
      for (const [at, row] of rows.entries())
        tx.run(
          "INSERT INTO event_logs (n, kind, id, state, first, stream, replicas) VALUES (?,?,?,?,?,'',1)",
          ...[at + 1, ...row],
        );
    });
    const names = ["aaaaaaaaaa", "bbbbbbbbbb", epoch, "dddddddddd", "eeeeeeeeee", ""];
    expect(names.map((name) => sharedWith(reader(), name))).toEqual([20, 40, 50, undefined, undefined, undefined]);
  });

  test("two fleets keep their events in one NATS, and neither sees or limits those of the other", async () => {
    await using other = startMovingEvents(server);
    other.lead();
    for (const fleet of [events, other]) await fleet.move("jetstream");
    for (const at of upTo(4)) await events.publish("ann", { type: "t", id: `${at}` });
    for (const at of upTo(3)) await other.publish("ann", { type: "t", id: `${at}` });
    await limitTo({ keepCount: 1 });
    expect((await other.all()).map(({ offset }) => offset)).toEqual([1, 2, 3]);
    await other.move("fleet");
    expect((await events.publish("ann", { type: "t", id: "5" })).cursor).toEndWith("-e5");
    expect((await events.publish("ann", { type: "t", id: "3" })).duplicate).toBe(true);
  });

  test("a subscription goes on behind a stream that is given up, and counts what it missed", async () => {
    const ann = sender("ann", { role: "member", spaces: ["team-a"] });
    const sent: string[] = [];
    const outbound: Outbound = async (_, { body }) => {
      sent.push(JSON.parse(Buffer.from(body ?? []).toString("utf8")).id);
      return new Response("ok");
    };
    Object.assign(events.node.get(HOST), { outbound, tailnet: outbound });
    events.node
      .provide(ACCESS, new Access({ capability: CAPABILITY, defaultRole: "none", admins: [] }, undefined))
      .provide(FIND_CALLERS, async () => [{ caller: ann, note: "" }])
      .provide(CALL_AS, (call) => events.core.invoker.invoke(call))
      .provide(CALLBACK_KEYS, new CallbackKeys(Date.now));
    const target = { kind: "http", url: "https://ci.example.com/e" };
    await events.call("event_target_set", { name: "ci", target, spaces: ["team-a"] });
    await events.call("subscription_create", { id: "team-a/ci", target: "ci" }, ann);
    const publish = (id: string) => events.publish("bob", { type: "t", id });
    const outbox = openOutbox(events.node);
    const isSent = (id: string) => eventually(`the event ${id} is sent`, () => sent.includes(id) || undefined);
    const first = new AbortController();
    const runs = outbox.run(first.signal);
    await publish("1");
    await events.move("jetstream");
    await publish("2");
    await isSent("2");
    const cursor = () => reader().get<{ cursor: number }>("SELECT cursor FROM subscriptions")?.cursor;
    await eventually("that is recorded", () => cursor() === 2 || undefined);
    first.abort();
    await runs;
    for (const id of ["3", "4", "5"]) await publish(id);
    await server.kill();
    await eventually("the problem is known", () => events.raised.has("event_log_away") || undefined);
    await events.call("event_log_move", { to: "fleet", lost: true, dry: false });
    await events.isIn("fleet");
    await server.start();
    const second = new AbortController();
    const goes = openOutbox(events.node).run(second.signal);
    await publish("6");
    await isSent("6");
    expect(sent).toEqual(["1", "2", "6"]);
    // The three, and the place at which the log begins anew.
    const missed = async () => {
      const { subscription } = await events.call("subscription_get", { id: "team-a/ci" }, ann);
      return (subscription as { missed: number }).missed;
    };
    await eventually("what it missed is counted", async () => (await missed()) === 4);
    second.abort();
    await goes;
  });

  test("what keeps the leader is reported while it leads, once, and what keeps a follower apart from it", async () => {
    events.chooseOwn("cairn.context.*");
    const raised = () => [...events.raised.keys()].sort();
    // Events are taken meanwhile: the move alone is kept.
    Object.assign(events.events.nats, { credentials: "secret:NATS_OF_NOBODY" });
    await events.call("event_log_move", { to: "jetstream", dry: false });
    await eventually("the move is told to be kept", () => raised().length > 0 || undefined);
    expect(raised()).toEqual(["event_log_stuck"]);
    Object.assign(events.events.nats, { credentials: undefined });
    await events.isIn("jetstream");
    events.rest();
    await eventually("nothing keeps it", () => raised().length === 0 || undefined);
    events.core.store.transaction((tx) =>
      tx.run(
        `WITH RECURSIVE more(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM more WHERE n < ?)
         INSERT INTO event_waiting (n, seq, event) SELECT n, 0, '{}' FROM more`,
        0.9 * MAX_WAITING,
      ),
    );
    await server.kill();
    events.lead();
    await eventually("all are told", () => raised().length === 2 || undefined);
    // The leader has tried some times, and says nothing of its own.
    const before = events.told.length;
    const looks = () => events.told.slice(before).filter(({ code }) => code === "event_log_stuck");
    await eventually("the leader tries", () => looks().length > 2 || undefined);
    expect(looks().filter(({ text }) => text !== undefined)).toEqual([]);
    expect(raised()).toEqual(["event_log_away", "own_events_waiting"]);
    events.rest();
    await eventually("those of the leader end", () => raised().length === 1 || undefined);
    expect(raised()).toEqual(["event_log_away"]);
    await server.start();
    await eventually("the node reads the stream again", () => raised().length === 0 || undefined);
  });
});
