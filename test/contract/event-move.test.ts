// The log of events is moved into a real nats-server and back while events are published and read, and the server is
// killed meanwhile: nothing is lost, nothing is there twice, and cursors stay good.

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { addWaiting, MAX_WAITING } from "../../src/features/event/moves/place.ts";
import { type EventRow, eventHead } from "../../src/features/event/rows.ts";
import { sender } from "../kit/events.ts";
import { eventually } from "../kit/eventually.ts";
import { startMovingEvents } from "../kit/moving-events.ts";
import { NATS_SERVER, type NatsServer, startNats } from "../kit/nats.ts";
import { refusal } from "../kit/refusal.ts";

const upTo = (count: number) => Array.from({ length: count }, (_, at) => at + 1);

describe.skipIf(NATS_SERVER === undefined)("moves of the log of events [needs nats-server]", () => {
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

  /** Publishes without end from some senders; `stop` returns the ids that were acknowledged, with their cursors. */
  function load(senders: number) {
    const kept = new Map<string, string>();
    const failed: string[] = [];
    let isOver = false;
    const runs = upTo(senders).map(async (each) => {
      for (let at = 1; !isOver; at += 1) {
        const id = `${each}-${at}`;
        for (;;) {
          try {
            kept.set(id, (await events.publish(`user${each}`, { type: "t", id, source: "load" })).cursor);
            break;
          } catch (error) {
            failed.push(String(error));
            await Bun.sleep(50);
          }
        }
      }
    });
    const stop = async () => {
      isOver = true;
      await Promise.all(runs);
      return kept;
    };
    return { kept, failed, stop };
  }

  test("a move counts first, and its end keeps offsets, cursors and duplicates", async () => {
    for (const at of upTo(20)) await events.publish("ann", { type: "t", id: `${at}` });
    const first = await events.publish("ann", { type: "t", id: "21" });
    expect(first.durability).toBe("replicated; voters=1; sync=always");
    const counted = await events.call("event_log_move", { to: "jetstream" });
    expect(counted).toMatchObject({ from: "fleet", to: "jetstream", events: 21, begun: false });
    // NATS is asked: it is there, and has no such stream yet.
    const nats = counted["nats"] as Record<string, unknown>;
    expect(nats).toEqual({ stream: nats["stream"], replicas: 1, max_payload: 1_048_576 });
    await eventually("the connection for that is ended", () => events.sockets.every(({ destroyed }) => destroyed));
    await events.move("jetstream");
    expect((await events.call("event_log_get", {}))["stream"]).toBe(nats["stream"]);
    const back = await events.call("event_log_move", { to: "fleet" });
    expect(back).toMatchObject({ events: 21, nats: { stream: nats["stream"], events: 21 } });
    expect((await refusal(events.call("event_log_move", { to: "jetstream" }))).code).toBe("invalid_input");
    const moved = await events.publish("ann", { type: "t", id: "22" });
    expect(moved.durability).toBe("jetstream; replicas=1; sync=server");
    const offsets = (await events.all()).map(({ offset }) => offset);
    expect(offsets).toEqual(upTo(22));
    expect((await events.publish("ann", { type: "t", id: "7" })).duplicate).toBe(true);
    // A cursor from before is the same place; one of a place that the log before never had is refused.
    const page = await events.call("event_list", { since: first.cursor }, sender("reader"));
    expect((page["events"] as { id: string }[]).map(({ id }) => id)).toEqual(["22"]);
    const ahead = first.cursor.replace(/e\d+$/, "e22");
    const other = await refusal(events.call("event_list", { since: ahead }, sender("reader")));
    expect([other.code, typeof other.details["oldest"]]).toEqual(["history_forked", "string"]);
    await events.move("fleet");
    expect((await events.all()).map(({ offset }) => offset)).toEqual(upTo(22));
    expect((await events.publish("ann", { type: "t", id: "22" })).duplicate).toBe(true);
    const last = await events.publish("ann", { type: "t", id: "23" });
    expect(last.cursor).toEndWith("-e23");
    const after = await events.call("event_list", { since: moved.cursor }, sender("reader"));
    expect((after["events"] as { id: string }[]).map(({ id }) => id)).toEqual(["23"]);
    expect(await events.call("audit_verify", {})).toMatchObject({ ok: true });
  });

  test("an event of a call with a key has the trace of that call there, too", async () => {
    await events.move("jetstream");
    const trace = { traceId: "a".repeat(32), spanId: "b".repeat(16), flags: 1, state: "", isRemote: true };
    const input = { space: "team-a", type: "t", id: "keyed", idempotency_key: "key-1" };
    const call = { operation: "event_publish", input, caller: sender("ann"), signal: new AbortController().signal };
    const { output } = await events.core.invoker.invoke({ ...call, trace });
    expect(output).toMatchObject({ durability: "jetstream; replicas=1; sync=server", duplicate: false });
    const page = await events.call("event_list", { since: "oldest" });
    const traceparent = `00-${trace.traceId}-${trace.spanId}-01`;
    expect(page["events"]).toMatchObject([{ id: "keyed", cairnposition: output["cursor"], traceparent }]);
    const again = await events.core.invoker.invoke({ ...call, trace: { ...trace, traceId: "c".repeat(32) } });
    expect(again.output).toMatchObject({ cursor: output["cursor"] });
  });

  test("moves both ways under load lose and double nothing, over a change of leader and a killed server", async () => {
    const running = load(4);
    const reached = (count: number) => eventually(`${count} events`, () => running.kept.size >= count || undefined);
    await reached(150);
    await events.call("event_log_move", { to: "jetstream", dry: false });
    events.lead();
    await events.isIn("jetstream");
    await reached(running.kept.size + 100);
    await server.kill();
    const before = running.failed.length;
    await eventually("an event is refused", () => running.failed.length > before || undefined);
    await server.start();
    await reached(running.kept.size + 100);
    await events.call("event_log_move", { to: "fleet", dry: false });
    events.lead();
    await events.isIn("fleet");
    await reached(running.kept.size + 100);
    const kept = await running.stop();
    const all = await events.all();
    const ids = all.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    expect([...kept.keys()].filter((id) => !ids.includes(id))).toEqual([]);
    expect(all.map(({ offset }) => offset)).toEqual(upTo(all.length));
    // Each is where its sender was told, and those of a sender are in order.
    const places = new Map(all.map(({ id, offset }) => [id, offset]));
    for (const [id, cursor] of kept) expect(places.get(id)).toBe(Number(cursor.split("-e")[1]));
    for (const each of upTo(4)) {
      const own = ids.filter((id) => id.startsWith(`${each}-`)).map((id) => Number(id.split("-")[1]));
      expect(own).toEqual(upTo(own.length));
    }
    expect(await events.call("audit_verify", {})).toMatchObject({ ok: true });
  });

  test("while NATS is away reads and events are refused with what to do, and go on once it is back", async () => {
    await events.publish("ann", { type: "t", id: "1" });
    await events.move("jetstream");
    await server.kill();
    const refused = await eventually("it is refused", async () => {
      const found = await events.publish("ann", { type: "t", id: "2" }).then(
        () => undefined,
        (error) => error,
      );
      return found as { code: string; hint?: string } | undefined;
    });
    expect([refused.code, refused.hint !== undefined]).toEqual(["event_log_unavailable", true]);
    const waits = events.call("event_wait", { timeout_seconds: 30 }, sender("reader"));
    await server.start();
    const sent = await eventually("it is taken again", () =>
      events.publish("ann", { type: "t", id: "3" }).then(
        (done) => done,
        () => undefined,
      ),
    );
    expect(Number(sent.cursor.split("-e")[1])).toBeGreaterThan(1);
    expect(((await waits)["events"] as { id: string }[]).length).toBeGreaterThan(0);
  });

  test("what Cairn does goes on to be an event, once and in order", async () => {
    events.chooseOwn("cairn.context.*");
    await events.move("jetstream");
    const put = (id: string) => events.call("context_put", { id: `team-a/${id}`, content: "x" }, sender("ann"));
    for (const at of upTo(5)) await put(`a${at}`);
    const own = async () => {
      const page = await events.call("event_list", { since: "oldest", types: ["cairn.*"], limit: 1000 });
      return (page["events"] as { id: string; subject: string }[]).map(({ subject }) => subject);
    };
    const agents = (list: readonly string[]) => list.filter((subject) => /a\d$/.test(subject));
    await eventually("all are there", async () => agents(await own()).length >= 5 || undefined);
    events.lead();
    await put("a6");
    await eventually("the sixth is there", async () => agents(await own()).length >= 6 || undefined);
    await events.move("fleet");
    await put("a7");
    expect(agents(await own()).map((subject) => subject.slice(-2))).toEqual(upTo(7).map((at) => `a${at}`));
    expect(await events.call("audit_verify", {})).toMatchObject({ ok: true });
  });

  const propose = (name: string, input: object) =>
    events.core.log.propose({ name, v: 1, input, caller: "node", via: "", key: "" });
  const ids = async () => (await events.all()).map(({ id }) => id);

  test("a move that does not get on is stopped, and what waited for it is published in order", async () => {
    events.rest();
    events.chooseOwn("cairn.context.*");
    await events.publish("ann", { type: "t", id: "1" });
    const cancel = (dry: boolean) => events.call("event_log_move", { cancel: true, dry });
    expect((await refusal(cancel(false))).code).toBe("invalid_input");
    await events.call("event_log_move", { to: "jetstream", dry: false });
    expect((await refusal(events.call("event_log_move", { cancel: true, to: "fleet" }))).code).toBe("invalid_input");
    await propose("event_log_step", { n: 1, state: "closing", last: 0 });
    for (const at of upTo(3)) await events.call("context_put", { id: `team-a/a${at}`, content: "x" }, sender("ann"));
    const waits = events.publish("ann", { type: "t", id: "2" });
    expect(await events.call("event_log_get", {})).toMatchObject({ waiting: 3, move: { state: "closing" } });
    expect(await cancel(true)).toMatchObject({ from: "jetstream", to: "fleet", begun: false });
    await cancel(false);
    await waits;
    // Own events that come now stay behind those that wait.
    await events.call("context_put", { id: "team-a/a4", content: "x" }, sender("ann"));
    events.lead();
    const subjects = async () => {
      const page = await events.call("event_list", { since: "oldest", types: ["cairn.*"] });
      return (page["events"] as { subject: string }[]).map(({ subject }) => subject.slice(-2));
    };
    await eventually("all are told", async () => (await subjects()).length === 4 || undefined);
    expect(await subjects()).toEqual(["a1", "a2", "a3", "a4"]);
    expect(await events.call("audit_verify", {})).toMatchObject({ ok: true });
    // A move back stops as long as the stream takes events, which stay there.
    await events.move("jetstream");
    await eventually("what was moved is removed", () => {
      const { floor, tail } = eventHead(events.core.store.reader);
      return floor === tail || undefined;
    });
    events.rest();
    await events.call("event_log_move", { to: "fleet", dry: false });
    await cancel(false);
    expect((await events.publish("ann", { type: "t", id: "3" })).durability).toStartWith("jetstream");
    await events.call("event_log_move", { to: "fleet", dry: false });
    await propose("event_log_step", { n: 4, state: "closing", last: 0 });
    expect((await refusal(cancel(false))).message).toContain("closed for good");
    events.lead();
    await events.isIn("fleet");
    expect((await ids()).filter((id) => id.length === 1)).toEqual(["1", "2", "3"]);
  });

  test("a fleet whose stream is gone goes on in its own log, and every reader hears of the gap", async () => {
    events.chooseOwn("cairn.context.*");
    const lose = (dry: boolean) => events.call("event_log_move", { to: "fleet", lost: true, dry });
    await events.publish("ann", { type: "t", id: "1" });
    await events.move("jetstream");
    const last = await events.publish("ann", { type: "t", id: "2" });
    expect((await refusal(lose(false))).message).toContain("nothing of it is lost");
    await server.kill();
    await events.call("context_put", { id: "team-a/a1", content: "x" }, sender("ann"));
    await eventually("the problem is known", async () => {
      const { problem } = await events.call("event_log_get", {});
      return problem !== undefined;
    });
    expect(await lose(true)).toMatchObject({ events: 2, after: last.cursor, waiting: 1, begun: false });
    const problem = expect.stringContaining("cannot be used now");
    expect(await events.call("event_log_move", { to: "fleet" })).toMatchObject({ nats: { problem }, begun: false });
    // A move back that began before the stream was lost ends with it.
    await events.call("event_log_move", { to: "fleet", dry: false });
    await lose(false);
    await events.isIn("fleet");
    await eventually("the node follows the stream no longer", () => !events.raised.has("event_log_away") || undefined);
    const next = await events.publish("ann", { type: "t", id: "3" });
    await eventually("the event that waited is there", async () => (await ids()).length === 2 || undefined);
    expect((await ids())[1]).toBe("3");
    expect(Number(next.cursor.split("-e")[1])).toBeGreaterThan(Number(last.cursor.split("-e")[1]) + 1);
    const told = await refusal(events.call("event_list", { since: last.cursor }, sender("reader")));
    expect(told.code).toBe("below_floor");
    const ahead = last.cursor.replace(/e\d+$/, "e9");
    expect((await refusal(events.call("event_list", { since: ahead }, sender("reader")))).code).toBe("history_forked");
    expect(await events.call("audit_verify", {})).toMatchObject({ ok: true });
    expect((await refusal(lose(false))).code).toBe("invalid_input");
    await server.start();
  });

  test("writes whose events cannot wait are refused, those of the fleet itself are not, and nodes say so", async () => {
    events.chooseOwn("cairn.context.*");
    await events.move("jetstream");
    events.rest();
    /** Lets the ones before `end` wait, from the one after those that wait. */
    const fill = (end: number) =>
      events.core.store.transaction((tx) =>
        tx.run(
          `WITH RECURSIVE more(n) AS (SELECT MAX(8, (SELECT COALESCE(MAX(n), 0) + 1 FROM event_waiting))
             UNION ALL SELECT n + 1 FROM more WHERE n < ?)
           INSERT INTO event_waiting (n, seq, event) SELECT n, 0, '{}' FROM more`,
          end - 1,
        ),
      );
    const put = () => events.call("context_put", { id: "team-a/a1", content: "x" }, sender("ann"));
    fill(7 + MAX_WAITING);
    await put();
    const refused = await refusal(put());
    expect([refused.code, refused.message]).toEqual([
      "event_log_unavailable",
      expect.stringContaining("100000 others"),
    ]);
    const add = (space: string, caller: string) =>
      events.core.store.transaction((tx) => addWaiting(tx, { space } as EventRow, { seq: 1, caller }));
    add("team-a", "node");
    add("fleet", "user:ann@x");
    const { waiting } = await events.call("event_log_get", {});
    expect(waiting).toBe(MAX_WAITING + 2);
    await server.kill();
    events.lead();
    await eventually(
      "it is told",
      () => events.problems.includes(`${MAX_WAITING + 2} of ${MAX_WAITING} wait`) || undefined,
    );
    // Where as many wait as may, what the fleet itself does makes no more, and that is counted.
    fill(8 + 2 * MAX_WAITING);
    add("team-a", "node");
    add("fleet", "user:ann@x");
    expect(await events.call("event_log_get", {})).toMatchObject({ waiting: 2 * MAX_WAITING, untold: 2 });
    await eventually("that is told", () =>
      events.raised.get("own_events_waiting")?.endsWith("of 2 changes no event was made"),
    );
    events.chooseOwn();
    await put();
    await server.start();
  });
});
