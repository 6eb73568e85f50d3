// The channel to the Go half against hostile and unlucky streams: whatever comes, no call hangs, no answer goes to
// another call, nothing throws.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Fault } from "../../src/lib/fault.ts";
import { Channel } from "../../src/tailnet/channel.ts";
import { LineSplitter } from "../../src/tailnet/lines.ts";
import { type ChannelEvent, MAX_LINE_BYTES } from "../../src/tailnet/protocol.ts";

const STATUS = {
  state: "Running",
  control: "connected",
  self: null,
  denied: null,
  health: [],
  https: false,
  domains: [],
  funnel: false,
};

function open() {
  const sent: { id: number; method: string; params: unknown }[] = [];
  const events: ChannelEvent[] = [];
  const logs: string[] = [];
  const lost: string[] = [];
  let ended = 0;
  const channel = new Channel({
    log: (level, message) => logs.push(`${level}: ${message}`),
    onEvent: (event) => events.push(event),
    onLost: (reason) => lost.push(reason),
  });
  channel.attach({
    write: (bytes) => sent.push(JSON.parse(Buffer.from(bytes).toString())),
    end: () => {
      ended++;
    },
  });
  const say = (value: unknown) => channel.receive(Buffer.from(`${JSON.stringify(value)}\n`));
  return { channel, sent, events, logs, lost, say, ended: () => ended };
}

async function faultOf(promise: Promise<unknown>): Promise<Fault> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof Fault)) throw new Error(`expected a Fault, got ${String(error)}`);
  return error;
}

describe("requests", () => {
  test("answers go to the call with their id, in any order", async () => {
    const { channel, sent, say } = open();
    const status = channel.request("status", {}, 1000);
    const drop = channel.request("drop", { callers: ["n1"] }, 1000);
    expect(sent).toEqual([
      { id: 1, method: "status", params: {} },
      { id: 2, method: "drop", params: { callers: ["n1"] } },
    ]);
    say({ id: 2, result: { closed: 3 } });
    say({ id: 1, result: STATUS });
    expect(await drop).toEqual({ closed: 3 });
    expect(await status).toMatchObject({ state: "Running" });
  });

  test.each([
    ["not_found", "not_found"],
    ["not_up", "unavailable"],
    ["auth_key", "auth_key"],
    ["dial_refused", "forbidden"],
    ["internal", "tailnet_failed"],
  ])("error %s becomes a Fault %s with its hint", async (code, fault) => {
    const { channel, say } = open();
    const call = channel.request("whois", { addr: "100.64.0.9" }, 1000);
    say({ id: 1, error: { code, message: "no node has 100.64.0.9", hint: "do this" } });
    expect(await faultOf(call)).toMatchObject({ code: fault, hint: "do this", details: { tailnetCode: code } });
  });

  test("an error code of a newer Go half is still an error", async () => {
    const { channel, say } = open();
    const call = channel.request("status", {}, 1000);
    say({ id: 1, error: { code: "brand_new", message: "hm" } });
    expect(await faultOf(call)).toMatchObject({ code: "tailnet_failed", details: { tailnetCode: "internal" } });
  });

  test("a result of another shape is refused and names the field", async () => {
    const { channel, say } = open();
    const call = channel.request("drop", {}, 1000);
    say({ id: 1, result: { closed: "three" } });
    expect((await faultOf(call)).message).toContain("closed");
  });

  test("a call without answer ends at its deadline, and the late answer is ignored", async () => {
    const { channel, say, logs } = open();
    const fault = await faultOf(channel.request("status", {}, 5));
    expect(fault).toMatchObject({ code: "unavailable" });
    expect(fault.message).toContain("5 ms");
    say({ id: 1, result: STATUS });
    expect(logs.join()).toContain("late answer");
  });

  test("a request over the line limit is refused, one at the limit is sent", async () => {
    const { channel, sent } = open();
    const overhead = Buffer.byteLength(JSON.stringify({ id: 1, method: "drop", params: { callers: [""] } }));
    const tooLong = await faultOf(
      channel.request("drop", { callers: ["x".repeat(MAX_LINE_BYTES - overhead + 1)] }, 1000),
    );
    expect(tooLong.code).toBe("too_large");
    expect(sent).toEqual([]);
    channel.request("drop", { callers: ["x".repeat(MAX_LINE_BYTES - overhead)] }, 1000).catch(() => {});
    expect(sent.length).toBe(1);
    channel.end();
  });

  test("the number of waiting calls is bounded", async () => {
    const { channel } = open();
    const calls = Array.from({ length: 1024 }, () => faultOf(channel.request("status", {}, 60_000)));
    expect((await faultOf(channel.request("status", {}, 60_000))).code).toBe("unavailable");
    channel.end();
    expect((await Promise.all(calls)).every((fault) => fault.message.includes("closed"))).toBe(true);
  });
});

describe("the end of the stream", () => {
  test("rejects every waiting call, says so once, and refuses later calls", async () => {
    const { channel, lost, ended } = open();
    const calls = [faultOf(channel.request("status", {}, 60_000)), faultOf(channel.request("peers", {}, 60_000))];
    channel.lost("the pipe broke");
    channel.lost("again");
    for (const fault of await Promise.all(calls)) expect(fault.message).toContain("the pipe broke");
    expect((await faultOf(channel.request("status", {}, 60_000))).message).toContain("the pipe broke");
    expect(lost).toEqual(["the pipe broke"]);
    expect(ended()).toBe(1);
  });

  test("an end from our side is no loss", async () => {
    const { channel, lost } = open();
    const call = faultOf(channel.request("status", {}, 60_000));
    channel.end();
    channel.lost("the pipe broke");
    expect((await call).message).toContain("closed");
    expect(lost).toEqual([]);
  });
});

describe("what comes in", () => {
  test("an unknown event is ignored, a known one of another shape too", () => {
    const { say, events, logs, lost } = open();
    say({ event: "brand-new", anything: 1 });
    say({ event: "__proto__" });
    say({ event: 7 });
    say({ event: "netmap", peers: "many" });
    say({ event: "netmap", peers: 2, more: true });
    expect(events).toEqual([{ event: "netmap", body: { peers: 2 } }]);
    expect(logs.length).toBe(4);
    expect(lost).toEqual([]);
  });

  test.each(["no json", "[]", "null", "7", "{}", '{"id":"1","result":{}}', '{"id":1}', "\u0000", "\xff\xfe"])(
    "garbage %j is ignored",
    async (garbage) => {
      const { channel, say, lost } = open();
      const call = channel.request("status", {}, 1000);
      channel.receive(Buffer.from(`${garbage}\n`, "latin1"));
      say({ id: 1, result: STATUS });
      expect(await call).toMatchObject({ state: "Running" });
      expect(lost).toEqual([]);
    },
  );

  test("a line over the limit ends the channel, one at the limit does not", () => {
    const { channel, events, lost } = open();
    const line = (length: number) => {
      const start = '{"event":"fatal","message":"';
      return Buffer.from(`${start}${"x".repeat(length - start.length - 2)}"}\n`);
    };
    channel.receive(line(MAX_LINE_BYTES));
    expect(events.length).toBe(1);
    channel.receive(line(MAX_LINE_BYTES + 1));
    expect(lost).toHaveLength(1);
    expect(lost[0]).toContain(String(MAX_LINE_BYTES));
  });

  test("an endless line without LF is cut at the limit, not collected", () => {
    const { channel, lost } = open();
    for (let index = 0; index < 20 && lost.length === 0; index++) channel.receive(Buffer.alloc(100_000, 0x61));
    expect(lost).toHaveLength(1);
  });

  test("bytes cut anywhere make the same events, with garbage between them", () => {
    const garbage = fc.stringMatching(/^[^\n]{0,40}$/).map((text) => (text.startsWith("{") ? `x${text}` : text));
    const netmap = fc.nat(1000).map((peers) => JSON.stringify({ event: "netmap", peers, note: "ä€😀" }));
    const lines = fc.array(fc.oneof(garbage, netmap), { maxLength: 20 });
    fc.assert(
      fc.property(lines, fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1 }), (all, cuts) => {
        const { channel, events, lost } = open();
        const bytes = Buffer.from(all.map((line) => `${line}\n`).join(""));
        for (let at = 0, turn = 0; at < bytes.length; turn++) {
          const next = at + (cuts[turn % cuts.length] ?? 1);
          channel.receive(bytes.subarray(at, next));
          at = next;
        }
        const wanted = all.filter((line) => line.includes('"event":"netmap"')).map((line) => JSON.parse(line).peers);
        expect(events.map((event) => (event.event === "netmap" ? event.body.peers : undefined))).toEqual(wanted);
        expect(lost).toEqual([]);
      }),
    );
  });
});

test("the line splitter keeps nothing of the chunk's memory", () => {
  const lines = new LineSplitter(100);
  const chunk = Buffer.from("ab");
  expect(lines.push(chunk)).toEqual([]);
  chunk.fill(0x7a);
  expect(lines.push(Buffer.from("c\n\n\nd\n")).map((line) => Buffer.from(line).toString())).toEqual(["abc", "d"]);
});
