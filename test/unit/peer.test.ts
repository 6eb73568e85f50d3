// The peer port: hostile frames, who may ask what, and the ends of a call that a peer tells apart.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import type { Caller } from "../../src/access/caller.ts";
import { MAX_FRAME_BYTES } from "../../src/lib/bounds.ts";
import { Fault } from "../../src/lib/fault.ts";
import { fleetMark } from "../../src/peer/fleet-mark.ts";
import { decodeFrame, encodeFrame, FRAME_TYPE } from "../../src/peer/frames.ts";
import { PeerLink } from "../../src/peer/link.ts";
import { type PeerMember, PeerServer } from "../../src/peer/server.ts";
import { faultOf } from "../kit/refusal.ts";

function nested(depth: number): Uint8Array {
  return Uint8Array.from([...Array.from({ length: depth }, () => 0x91), 0xc0]);
}

describe("frames", () => {
  test("what is sent comes back", () => {
    const value = {
      text: "schön ☃",
      long: "x".repeat(70_000),
      none: null,
      yes: true,
      numbers: [0, -1, 127, 128, -33, 70_000, 2 ** 40, -(2 ** 40), 1.5],
      bytes: new Uint8Array([1, 2, 3]),
      many: Array.from({ length: 20 }, (_, index) => ({ index })),
    };
    const back = decodeFrame(encodeFrame(value));
    expect(back).toEqual({ ...value, bytes: Buffer.from([1, 2, 3]) });
  });

  test("random bytes are a Fault or a value, never anything else", () => {
    let seed = 20_261_120;
    const random = () => {
      seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
      return seed >>> 24;
    };
    let refused = 0;
    for (let round = 0; round < 20_000; round++) {
      const bytes = Uint8Array.from({ length: random() % 40 }, random);
      try {
        decodeFrame(bytes);
      } catch (error) {
        if (!(error instanceof Fault) || error.code !== "invalid_input") throw error;
        refused += 1;
      }
    }
    expect(refused).toBeGreaterThan(10_000);
  });

  test.each([
    ["nothing", []],
    ["two values", [0x01, 0x02]],
    ["a text that is cut", [0xa5, 0x61]],
    ["an array of four billion", [0xdd, 0xff, 0xff, 0xff, 0xff]],
    ["a map of four billion", [0xdf, 0xff, 0xff, 0xff, 0xff, 0xa1, 0x61]],
    ["bytes of four billion", [0xc6, 0xff, 0xff, 0xff, 0xff]],
    ["a head that is cut", [0xdd, 0xff]],
    ["a timestamp extension", [0xd6, 0xff, 0, 0, 0, 0]],
    ["a record definition", [0xd4, 0x72, 0x40, 0x91, 0xa1, 0x61]],
    ["a regular expression", [0xc7, 0x04, 0x78, 0x92, 0xa1, 0x61, 0xa0]],
    ["a key that is no text", [0x81, 0x01, 0x02]],
    ["the byte that is never used", [0xc1]],
  ])("%s is refused", (_name, bytes) => {
    expect(faultOf(() => decodeFrame(Uint8Array.from(bytes))).code).toBe("invalid_input");
  });

  test("depth and size have bounds on both sides", () => {
    expect(decodeFrame(nested(8))).toEqual([[[[[[[[null]]]]]]]]);
    expect(faultOf(() => decodeFrame(nested(9))).message).toContain("nested deeper");
    expect(faultOf(() => decodeFrame(nested(5_000_000))).code).toBe("invalid_input");
    expect(faultOf(() => encodeFrame("x".repeat(MAX_FRAME_BYTES))).code).toBe("too_large");
    expect(faultOf(() => decodeFrame(new Uint8Array(MAX_FRAME_BYTES + 1))).code).toBe("invalid_input");
  });

  test("a key __proto__ in a frame changes no prototype", () => {
    const key = Buffer.from("__proto__");
    const bytes = Buffer.concat([Buffer.from([0x81, 0xa0 | key.length]), key, Buffer.from([0x81, 0xa1, 0x61, 0x01])]);
    const decoded = decodeFrame(bytes);
    expect(Object.getPrototypeOf(decoded)).toBe(Object.prototype);
    expect(Reflect.get(Object(decoded), "a")).toBeUndefined();
  });
});

const MEMBERS: Readonly<Record<string, PeerMember>> = {
  nEdge: { role: "edge", spaces: ["team-a"], server: "" },
  nCentral: { role: "central", spaces: [], server: "s1" },
};

const refusedHere = (code: string, status: number) =>
  Response.json({ detail: "no peer" }, { status, headers: { "cairn-internal-refusal": code } });

function callerOf(id: string): Caller {
  return { kind: "tagged", id, node: `${id}.example.ts.net`, login: "", tags: ["tag:cairn"], own: false, grants: [] };
}

function serverWithEcho(): { server: PeerServer; unexpected: unknown[] } {
  const unexpected: unknown[] = [];
  const server = new PeerServer({
    members: (node) => (Object.hasOwn(MEMBERS, node) ? MEMBERS[node] : undefined),
    onUnexpected: (error) => {
      unexpected.push(error);
      return "id-1";
    },
  });
  server.register("echo", {
    schema: z.object({ text: z.string() }),
    handle: async ({ input, member, node }) => ({ text: input.text, role: member?.role, node }),
  });
  server.register("hello", { open: true, schema: z.object({}), handle: async ({ member }) => member === undefined });
  server.register("fails", {
    schema: z.object({}),
    handle: async () => {
      throw new Error("secret inside");
    },
  });
  server.register("refuses", {
    schema: z.object({}),
    handle: async () => {
      throw new Fault("version_mismatch", "it is at 3", { hint: "Read it.", details: { etag: "3-abc", __proto__: 1 } });
    },
  });
  return { server, unexpected };
}

function request(path: string, body: Uint8Array<ArrayBuffer> = encodeFrame({}), init: RequestInit = {}): Request {
  const headers = { "content-type": FRAME_TYPE };
  return new Request(`http://100.64.0.1:4747/peer/${path}`, { method: "POST", headers, body, ...init });
}

async function answerOf(response: Response): Promise<unknown> {
  expect(response.headers.get("content-type")).toBe(FRAME_TYPE);
  return decodeFrame(await response.bytes());
}

async function refusalOf(response: Response): Promise<{ status: number; code: unknown }> {
  const answered = z.object({ fault: z.object({ code: z.string() }) }).parse(await answerOf(response));
  return { status: response.status, code: answered.fault.code };
}

describe("the peer server", () => {
  test("answers members, and says who is asking", async () => {
    const { server } = serverWithEcho();
    const response = await server.fetch(request("echo", encodeFrame({ text: "a" })), callerOf("nEdge"));
    expect(response.status).toBe(200);
    expect(await answerOf(response)).toEqual({ value: { text: "a", role: "edge", node: "nEdge" } });
  });

  test("before it knows the members it refuses no one for not being one", async () => {
    let known = false;
    const server = new PeerServer({
      members: (node) => (known && node === "nEdge" ? { role: "edge", spaces: [], server: "" } : undefined),
      ready: () => known,
      onUnexpected: () => "x",
    });
    server.register("about", { open: true, schema: z.object({}), handle: async () => ({}) });
    server.register("beat", { schema: z.object({}), handle: async () => ({}) });
    const statusOf = async (path: string) =>
      (await server.fetch(request(path, encodeFrame({})), callerOf("nEdge"))).status;
    expect([await statusOf("beat"), await statusOf("about")]).toEqual([503, 200]);
    known = true;
    expect([await statusOf("beat"), await statusOf("about")]).toEqual([200, 200]);
  });

  test("its refusals say of which fleet, to those who know it", async () => {
    const server = new PeerServer({ members: () => undefined, fleet: () => "f1", onUnexpected: () => "x" });
    const { fault } = (await answerOf(await server.fetch(request("beat"), callerOf("nOther")))) as {
      fault: { details: string };
    };
    expect(JSON.parse(fault.details)).toEqual({ fleet: fleetMark("f1", "nOther") });
    expect(fault.details).not.toContain("f1");
    expect(fleetMark("f1", "nOther")).not.toBe(fleetMark("f2", "nOther"));
  });

  test("a device that is no member gets 403 on every path but open ones, whatever path it names", async () => {
    const { server } = serverWithEcho();
    for (const path of ["echo", "nothing", "fails"]) {
      const refused = await refusalOf(await server.fetch(request(path), callerOf("nOther")));
      expect(refused).toEqual({ status: 403, code: "not_a_member" });
    }
    const local: Caller = { ...callerOf("nEdge"), kind: "local" };
    expect(await refusalOf(await server.fetch(request("echo"), local))).toEqual({ status: 403, code: "not_a_member" });
    expect(await answerOf(await server.fetch(request("hello"), callerOf("nOther")))).toEqual({ value: true });
  });

  test("other methods, types, schemas, sizes and paths are refused", async () => {
    const { server } = serverWithEcho();
    const member = callerOf("nCentral");
    const get = await server.fetch(request("echo", undefined, { method: "GET", body: null }), member);
    expect((await refusalOf(get)).code).toBe("method_not_allowed");
    const json = await server.fetch(
      request("echo", undefined, { headers: { "content-type": "application/json" } }),
      member,
    );
    expect((await refusalOf(json)).code).toBe("unsupported_media_type");
    const wrong = await server.fetch(request("echo", encodeFrame({ text: 1 })), member);
    expect((await refusalOf(wrong)).code).toBe("invalid_input");
    const large = await server.fetch(request("echo", new Uint8Array(MAX_FRAME_BYTES + 1)), member);
    expect((await refusalOf(large)).code).toBe("too_large");
    const outside = new Request("http://100.64.0.1:4747/operations/whoami");
    for (const other of [request("nothing"), outside])
      expect((await refusalOf(await server.fetch(other, member))).code).toBe("not_found");
  });

  test("what is no Fault stays inside", async () => {
    const { server, unexpected } = serverWithEcho();
    const answered = await answerOf(await server.fetch(request("fails"), callerOf("nCentral")));
    expect(JSON.stringify(answered)).toContain("id-1");
    expect(JSON.stringify(answered)).not.toContain("secret inside");
    expect(unexpected).toHaveLength(1);
  });
});

describe("bytes in flight", () => {
  const MiB = 1024 * 1024;
  const slow = (text: string) => {
    const { server } = serverWithEcho();
    const { promise: gate, resolve: open } = Promise.withResolvers<void>();
    server.register("waits", {
      schema: z.object({ text: z.string() }),
      handle: async () => {
        await gate;
        return text;
      },
    });
    return { server, open };
  };
  const held = (server: PeerServer, bytes: number, from = "nCentral") => {
    const frame = encodeFrame({ text: "x".repeat(bytes) });
    const size = { "content-type": FRAME_TYPE, "content-length": String(frame.byteLength) };
    return server.fetch(request("waits", frame, { headers: size }), callerOf(from));
  };

  test("questions of one member are bounded by their bytes, not only by their number, and free again afterwards", async () => {
    const { server, open } = slow("");
    const running = Array.from({ length: 6 }, () => held(server, 5 * MiB));
    expect(await refusalOf(await held(server, 5 * MiB))).toEqual({ status: 429, code: "rate_limited" });
    const other = held(server, 5 * MiB, "nEdge");
    open();
    for (const answer of [...running, other]) expect((await answer).status).toBe(200);
    expect((await held(server, 5 * MiB)).status).toBe(200);
  });

  test("what a member announces counts before it is read", async () => {
    const { server } = serverWithEcho();
    const announced = (length: number): Request => {
      const body = new ReadableStream({ start() {} });
      const headers = { "content-type": FRAME_TYPE, "content-length": String(length) };
      return new Request("http://100.64.0.1:4747/peer/echo", { method: "POST", headers, body });
    };
    for (let count = 0; count < 5; count += 1) void server.fetch(announced(6 * MiB), callerOf("nCentral"));
    const refused = server.fetch(announced(6 * MiB), callerOf("nCentral"));
    expect((await refusalOf(await refused)).code).toBe("rate_limited");
    const large = server.fetch(announced(MAX_FRAME_BYTES + 1), callerOf("nEdge"));
    expect((await refusalOf(await large)).code).toBe("too_large");
  });

  test("a stranger has room for a small question, and all strangers for few", async () => {
    const { server } = serverWithEcho();
    const { promise: gate, resolve: open } = Promise.withResolvers<void>();
    server.register("slow-hello", { open: true, schema: z.object({ text: z.string() }), handle: () => gate });
    const ask = (bytes: number, from: string) =>
      server.fetch(request("slow-hello", encodeFrame({ text: "x".repeat(bytes) })), callerOf(from));
    expect((await refusalOf(await ask(17_000, "nOther"))).code).toBe("too_large");
    const running = Array.from({ length: 64 }, (_, index) => ask(15_000, `nOther${index % 16}`));
    expect((await refusalOf(await ask(10, "nNew"))).code).toBe("rate_limited");
    open();
    for (const answer of running) expect((await answer).status).toBe(200);
  });

  test("answers that a member does not take are bounded, and an answer that is not sent says that the call was done", async () => {
    const { server, open } = slow("y".repeat(5 * MiB));
    open();
    const answers = await Promise.all(Array.from({ length: 6 }, () => held(server, 1)));
    const refused = await server.fetch(request("waits", encodeFrame({ text: "" })), callerOf("nCentral"));
    const { fault } = (await answerOf(refused)) as { fault: { code: string; details: string } };
    expect([fault.code, JSON.parse(fault.details).outcome]).toEqual(["unavailable", "unknown"]);
    for (const answer of answers) expect(((await answerOf(answer)) as { value: string }).value).toHaveLength(5 * MiB);
    const again = await held(server, 1);
    expect(again.status).toBe(200);
    await again.body?.cancel();
    expect((await held(server, 1)).status).toBe(200);
  });
});

describe("the link", () => {
  const folder = mkdtempSync(join(tmpdir(), "cairn-peer-"));
  const egress = join(folder, "egress.sock");
  const { server } = serverWithEcho();
  /** What egress.sock does with the next request; undefined: hands it to the peer server. */
  let instead: ((request: Request) => Response | Promise<Response>) | undefined;
  const seen: string[] = [];
  let standIn: ReturnType<typeof Bun.serve> | undefined;
  beforeAll(() => {
    standIn = Bun.serve({
      unix: egress,
      fetch: (incoming) => {
        seen.push(`${incoming.headers.get("host")} ${incoming.headers.get("cairn-internal-secret")}`);
        return instead === undefined ? server.fetch(incoming, callerOf("nCentral")) : instead(incoming);
      },
    });
  });
  afterAll(async () => {
    await standIn?.stop(true);
    rmSync(folder, { recursive: true });
  });

  const peers = [
    { id: "nA", ips: ["fd7a::1", "100.64.0.7"], dnsName: "berlin.example.ts.net" },
    { id: "nSix", ips: ["fd7a::9"] },
  ];
  const link = new PeerLink({ directory: { peers: async () => peers }, egress, secret: "s3" });
  const ask = (path: string, value: unknown = {}, target: { node: string } | { host: string } = { node: "nA" }) =>
    link.call(target, path, value, { timeoutMs: 2_000, signal: new AbortController().signal });
  const refused = async (path: string, target?: { node: string }): Promise<Fault> => {
    const outcome = await ask(path, {}, target).catch((error: unknown) => error);
    if (outcome instanceof Fault) return outcome;
    throw new Error(`no Fault: ${String(outcome)}`);
  };

  test("goes to the address of a device, with the secret of the way out", async () => {
    expect(await ask("echo", { text: "a" })).toEqual({ text: "a", role: "central", node: "nCentral" });
    expect(seen.at(-1)).toBe("100.64.0.7:4747 s3");
    await ask("echo", { text: "a" }, { node: "nSix" });
    expect(seen.at(-1)).toBe("[fd7a::9]:4747 s3");
    await ask("hello", {}, { host: "cairn-2" });
    expect(seen.at(-1)).toBe("cairn-2:4747 s3");
  });

  test("a peer's Fault arrives as it was", async () => {
    const fault = await refused("refuses");
    expect({ code: fault.code, message: fault.message, hint: fault.hint, etag: fault.details["etag"] }).toEqual({
      code: "version_mismatch",
      message: "it is at 3",
      hint: "Read it.",
      etag: "3-abc",
    });
    expect(fault.details["peer"]).toBe(true);
  });

  test("says whether anything was sent", async () => {
    expect((await refused("echo", { node: "nGone" })).details["notSent"]).toBe(true);
    const cases: [Response, boolean][] = [
      [refusedHere("dial_refused", 403), true],
      [refusedHere("dial_failed", 502), true],
      [refusedHere("exchange_failed", 502), false],
      // As a peer could write it: only the Go half's mark says that nothing was dialled.
      [Response.json({ code: "dial_refused", detail: "no peer" }, { status: 500 }), false],
      [Response.json({ code: "unavailable", detail: "This node is stopping" }, { status: 503 }), true],
      [new Response("what", { status: 200 }), false],
      [new Response(encodeFrame({ nothing: 1 }), { headers: { "content-type": FRAME_TYPE } }), false],
    ];
    for (const [response, notSent] of cases) {
      instead = () => response;
      expect(await refused("echo")).toMatchObject({ code: "unavailable", details: { notSent } });
    }
    instead = undefined;
  });

  test("an answer that breaks off is none, whether its end is missing or the connection is", async () => {
    const whole = encodeFrame({ value: { text: "x".repeat(1000) } });
    const half = whole.subarray(0, whole.length / 2);
    const headers = { "content-type": FRAME_TYPE };
    const torn = () =>
      new ReadableStream({
        start: (controller) => controller.enqueue(half),
        pull: async (controller) => {
          await Bun.sleep(20);
          controller.error(new Error("gone"));
        },
      });
    for (const response of [() => new Response(half, { headers }), () => new Response(torn(), { headers })]) {
      instead = response;
      const fault = await refused("echo");
      expect([fault.code, fault.details["notSent"], fault.details["peer"]]).toEqual(["unavailable", false, undefined]);
      expect(fault.message).toStartWith("The node berlin ");
    }
    instead = () => new Response(whole, { headers });
    expect(await ask("echo")).toEqual({ text: "x".repeat(1000) });
    instead = undefined;
  });

  test("a peer that is late or endless is given up, and a caller that goes away ends the call", async () => {
    instead = () => new Promise(() => {});
    const late = await link
      .call({ node: "nA" }, "echo", {}, { timeoutMs: 50, signal: new AbortController().signal })
      .catch((error: unknown) => error);
    expect(late).toBeInstanceOf(Fault);
    expect(String(late)).toContain("did not answer within 50 ms");
    const aborted = await link
      .call({ node: "nA" }, "echo", {}, { timeoutMs: 5_000, signal: AbortSignal.timeout(50) })
      .catch((error: unknown) => error);
    expect(aborted).not.toBeInstanceOf(Fault);
    const chunk = new Uint8Array(1024 * 1024);
    instead = () => new Response(new ReadableStream({ pull: (controller) => controller.enqueue(chunk) }));
    expect((await refused("echo")).message).toContain("more than");
    instead = undefined;
  });

  test("an answer larger than the asker allows is not read to its end", async () => {
    instead = () =>
      new Response(encodeFrame({ value: "x".repeat(200_000) }), { headers: { "content-type": FRAME_TYPE } });
    const asked = link.call(
      { node: "nA" },
      "about",
      {},
      {
        timeoutMs: 2_000,
        signal: new AbortController().signal,
        maxBytes: 1_000,
      },
    );
    const fault = await asked.catch((error: unknown) => error);
    instead = undefined;
    expect(fault).toMatchObject({ code: "unavailable", facts: { outcome: "maybe_sent" } });
  });

  test("large questions to one node wait for room, and are not sent where there is none in time", async () => {
    const { promise: gate, resolve: open } = Promise.withResolvers<void>();
    let arrived = 0;
    instead = async (incoming) => {
      await incoming.bytes();
      arrived += 1;
      await gate;
      return server.fetch(request("echo", encodeFrame({ text: "a" })), callerOf("nCentral"));
    };
    const large = { text: "x".repeat(6_000_000) };
    const running = Array.from({ length: 5 }, () => ask("echo", large));
    await Bun.sleep(100);
    const late = link.call({ node: "nA" }, "echo", large, { timeoutMs: 100, signal: new AbortController().signal });
    expect(await late.catch((error: unknown) => error)).toMatchObject({ facts: { outcome: "not_sent" } });
    const waiting = ask("echo", large);
    open();
    await Promise.all([...running, waiting]);
    instead = undefined;
    expect(arrived).toBe(6);
  });
});
