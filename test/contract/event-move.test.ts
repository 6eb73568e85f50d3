// The log of events is moved into a real nats-server and back while events are published and read, and the server is
// killed meanwhile: nothing is lost, nothing is there twice, and cursors stay good.

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
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
    await events.move("jetstream");
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
    const back = await events.call("event_list", { since: moved.cursor }, sender("reader"));
    expect((back["events"] as { id: string }[]).map(({ id }) => id)).toEqual(["23"]);
    expect(await events.call("audit_verify", {})).toMatchObject({ ok: true });
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
});
