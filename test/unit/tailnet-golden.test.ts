// The golden lines of the protocol, which the Go half tests too: every one fits the shapes here, and no field of one is
// unknown here.

import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { Channel } from "../../src/tailnet/channel.ts";
import {
  type ChannelEvent,
  errorCode,
  events,
  type Method,
  reply,
  results,
  type UpParams,
} from "../../src/tailnet/protocol.ts";

function lines(name: string): string[] {
  const path = join(import.meta.dir, "..", "..", "native", "testdata", "protocol", `${name}.jsonl`);
  const found = readFileSync(path, "utf8")
    .split("\n")
    .filter((line) => line !== "");
  if (found.length === 0) throw new Error(`${path} has no lines`);
  return found;
}

const request = z.strictObject({ id: z.number().int(), method: z.string(), params: z.record(z.string(), z.unknown()) });
const requests = lines("requests").map((line) => request.parse(JSON.parse(line)));
const methods = Object.keys(results) as Method[];

/** Every key that `up` may have; the compiler sees to it that none is missing. */
const UP: Record<keyof UpParams, true> = {
  stateDir: true,
  hostname: true,
  controlUrl: true,
  authKey: true,
  clientSecret: true,
  tags: true,
  ephemeral: true,
  capability: true,
  socketDir: true,
  target: true,
  ingressSecret: true,
  egressSecret: true,
  shared: true,
  allowedHosts: true,
  allowedOrigins: true,
  maxBodyBytes: true,
  outboundAllow: true,
  outboundProxy: true,
  outboundProxyAuth: true,
  testMode: true,
};

describe("requests", () => {
  test("every method of ours has a line, and no line has another method", () => {
    expect([...new Set(requests.map(({ method }) => method))].sort()).toEqual([...methods].sort());
  });

  test("the lines of up have exactly the parameters that we send", () => {
    const keys = requests.filter(({ method }) => method === "up").flatMap(({ params }) => Object.keys(params));
    expect([...new Set(keys)].sort()).toEqual(Object.keys(UP).sort());
  });

  test("the channel writes them byte for byte", async () => {
    for (const [index, { method, params }] of requests.entries()) {
      const written: string[] = [];
      const channel = new Channel({ log: () => {}, onEvent: () => {}, onLost: () => {} });
      channel.attach({ write: (bytes) => written.push(Buffer.from(bytes).toString()), end: () => {} });
      channel.request(method as Method, params, 1000).catch(() => {});
      channel.end();
      expect(written).toEqual([`${lines("requests")[index]}\n`.replace(/^\{"id":\d+/, '{"id":1')]);
    }
  });
});

describe("replies", () => {
  const methodOf = new Map(requests.map(({ id, method }) => [id, method as Method]));

  test.each(lines("replies"))("%s", (line) => {
    const parsed = reply.parse(JSON.parse(line));
    // Nothing is dropped: what parses is what was written.
    expect(parsed).toEqual(JSON.parse(line));
    if ("error" in parsed) return;
    const method = methodOf.get(parsed.id);
    if (method === undefined) throw new Error(`no request has the id ${parsed.id}`);
    expect(results[method].parse(parsed.result) as unknown).toEqual(parsed.result);
  });

  test("every error code has a line", () => {
    const seen = lines("replies").map((line) => reply.parse(JSON.parse(line)));
    const codes = seen.flatMap((one) => ("error" in one ? [one.error.code] : []));
    expect([...new Set(codes)].sort()).toEqual([...errorCode.options].sort());
  });
});

describe("events", () => {
  test.each(lines("events"))("%s", (line) => {
    const heard: ChannelEvent[] = [];
    const channel = new Channel({ log: () => {}, onEvent: (event) => heard.push(event), onLost: () => {} });
    channel.receive(Buffer.from(`${line}\n`));
    expect(heard.map(({ event, body }) => ({ event, ...body }) as unknown)).toEqual([JSON.parse(line)]);
  });

  test("every event of ours has a line", () => {
    const names = lines("events").map((line) => z.object({ event: z.string() }).parse(JSON.parse(line)).event);
    expect([...new Set(names)].sort()).toEqual(Object.keys(events).sort());
  });
});
