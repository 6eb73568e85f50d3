// Hostile HTTP at the tailnet port (security.md 12, 13, 14): raw bytes through a client node. Whatever comes, it is
// answered in bounds, and other callers never notice.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { type Agent, joinAgent, openRaw } from "../kit/agent.ts";
import { eventually, within } from "../kit/eventually.ts";
import { startNode, type TestNode } from "../kit/node.ts";
import { TestTailnet } from "../kit/tailnet.ts";

const TOOLS = "https://tools.example";
const MIB = 1024 * 1024;
/** As in native/core/ingress.go. */
const HEAD_DEADLINE_MS = 10_000;

let tailnet: TestTailnet;
let node: TestNode;
/** A member. */
let owner: Agent;
/** Admitted to the tailnet, without any right here. */
let eve: Agent;

beforeAll(async () => {
  tailnet = await TestTailnet.start();
  await tailnet.auth("open");
  await tailnet.expect({ hostname: "cairn", user: "owner@example.com" });
  const args = ["--http-allowed-origins", TOOLS, "--http-allowed-hosts", "cairn.internal.example"];
  node = await startNode({ tailnet, env: { TS_AUTHKEY: "tskey-auth-kANY-1" }, args });
  const base = `http://cairn.${tailnet.domain}`;
  owner = await joinAgent(tailnet, base, { hostname: "laptop", user: "owner@example.com" });
  eve = await joinAgent(tailnet, base, { hostname: "eve", user: "eve@example.com" });
  expect((await owner.put("team/a", "untouched")).status).toBe(201);
}, 600_000);

afterAll(async () => {
  await node?.[Symbol.asyncDispose]();
  await tailnet?.[Symbol.asyncDispose]();
}, 60_000);

const statuses = (text: string): number[] =>
  [...text.matchAll(/HTTP\/1\.[01] (\d{3}) /g)].map((found) => Number(found[1]));

/** Status of the first answer to these bytes; 0 when the connection was closed without one. */
async function answerTo(agent: Agent, bytes: string | Uint8Array): Promise<number> {
  const { text, closed } = await agent.raw(bytes, { untilText: "\r\n\r\n" });
  const [status] = statuses(text);
  if (status === undefined && !closed) throw new Error("neither an answer nor an end");
  return status ?? 0;
}

async function isHealthy(): Promise<void> {
  expect((await owner.get("team/a")).text).toBe("untouched");
  expect(node.ended).toBe(false);
  expect(node.stderr).not.toContain("panic");
  expect(node.stderr.split("\n").filter((line) => line.includes('"level":"error"'))).toEqual([]);
}

const residentBytes = (): number =>
  Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${node.pid}/status`, "utf8"))?.[1]) * 1024;

describe("too much", () => {
  const get = "GET /contexts/team/a HTTP/1.1\r\nHost: cairn\r\nConnection: close\r\n";
  const put = "PUT /contexts/team/big HTTP/1.1\r\nHost: cairn\r\nConnection: close\r\nContent-Type: text/plain\r\n";
  const chunk = `10000\r\n${"x".repeat(0x10000)}\r\n`;
  test.each<[string, () => string, number]>([
    ["a head of 10 KB", () => `${get}X: ${"y".repeat(10 * 1024)}\r\n\r\n`, 200],
    ["a hundred headers", () => `${get}${"X: y\r\n".repeat(100)}\r\n`, 200],
    ["a header of 17 KB", () => `${get}X: ${"y".repeat(17 * 1024)}\r\n\r\n`, 431],
    ["two hundred headers", () => `${get}${"X: y\r\n".repeat(200)}\r\n`, 431],
    ["a header of 70 KB", () => `${get}X: ${"y".repeat(70 * 1024)}\r\n\r\n`, 431],
    ["a header of 1 MB", () => `${get}X: ${"y".repeat(MIB)}\r\n\r\n`, 431],
    ["ten thousand headers", () => `${get}${"X: 1234567890\r\n".repeat(10_000)}\r\n`, 431],
    [
      "a URL of 70 KB",
      () => `GET /contexts/${"a/".repeat(35 * 1024)}b HTTP/1.1\r\nHost: cairn\r\nConnection: close\r\n\r\n`,
      431,
    ],
    ["a declared body of 9 MB, of which no byte is sent", () => `${put}Content-Length: ${9 * MIB}\r\n\r\n`, 413],
    ["a declared body of 10^18 bytes", () => `${put}Content-Length: 1000000000000000000\r\n\r\n`, 413],
    [
      "a body of 9 MB without a declared length",
      () => `${put}Transfer-Encoding: chunked\r\n\r\n${chunk.repeat(144)}0\r\n\r\n`,
      413,
    ],
    ["a document of 2 MB", () => `${put}Content-Length: ${2 * MIB}\r\n\r\n${"x".repeat(2 * MIB)}`, 413],
  ])(
    "%s",
    async (_, bytes, status) => {
      expect(await answerTo(owner, bytes())).toBe(status);
      await isHealthy();
      expect((await owner.get("team/big")).status).toBe(404);
    },
    60_000,
  );

  test("many of them at once take bounded memory", async () => {
    const before = residentBytes();
    const bytes = `${put}Transfer-Encoding: chunked\r\n\r\n${chunk.repeat(100)}`;
    await Promise.all(Array.from({ length: 24 }, () => eve.raw(bytes, { withinMs: 1_500 })));
    expect(residentBytes() - before).toBeLessThan(400 * MIB);
    await isHealthy();
  }, 60_000);
});

describe("bodies that never end", () => {
  const begin = async (agent: Agent, path: string, bytes: number) => {
    const socket = await openRaw(agent.proxy, "cairn:80");
    let text = "";
    const closed = new Promise<string>((resolve) => socket.on("close", () => resolve(text)));
    socket.on("data", (part) => {
      text += String(part);
    });
    socket.resume();
    socket.write(
      `PUT /contexts/${path} HTTP/1.1\r\nHost: cairn\r\nContent-Type: text/plain\r\nContent-Length: ${bytes}\r\n\r\n`,
    );
    const drip = setInterval(() => socket.write("x".repeat(1024)), 500);
    void closed.then(() => clearInterval(drip));
    return { socket, text: () => text, closed };
  };

  test("two hundred of a caller without rights are refused before the body, and hold nothing", async () => {
    const before = residentBytes();
    const slow = await Promise.all(Array.from({ length: 200 }, () => begin(eve, "team/eve", 8 * MIB)));
    // Well before the deadline of a body, which would answer 408.
    const texts = await within("all of them to be refused and closed", Promise.all(slow.map(({ closed }) => closed)));
    for (const text of texts) expect(statuses(text)).toEqual([403]);
    expect(residentBytes() - before).toBeLessThan(200 * MIB);
    await isHealthy();
  }, 60_000);

  test("those of a member are bounded in all, and end; another caller is served", async () => {
    const mate = await joinAgent(tailnet, owner.base, { hostname: "mate", user: "owner@example.com" });
    const slow = await Promise.all(Array.from({ length: 40 }, () => begin(mate, "team/slow", MIB)));
    // 32 MiB of one caller may be in flight.
    await eventually(
      "the others to be refused",
      () => slow.filter(({ text }) => text().includes(" 429 ")).length === 8,
    );
    await isHealthy();
    const texts = await within("the rest to be given up", Promise.all(slow.map(({ closed }) => closed)));
    expect(texts.filter((text) => statuses(text).includes(408))).toHaveLength(32);
    await isHealthy();
  }, 120_000);
});

describe("requests that parsers read differently never reach another caller's rights", () => {
  const smuggled = (path: string) =>
    `PUT /contexts/team/${path} HTTP/1.1\r\nHost: cairn\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nowned`;
  const post = (head: string, body: string) =>
    `POST /operations/whoami HTTP/1.1\r\nHost: cairn\r\nContent-Type: application/json\r\n${head}\r\n\r\n${body}`;
  const shapes: [name: string, bytes: (path: string) => string][] = [
    [
      "length and chunked",
      (path) => post("Content-Length: 4\r\nTransfer-Encoding: chunked", `0\r\n\r\n${smuggled(path)}`),
    ],
    [
      "chunked and length",
      (path) => post(`Transfer-Encoding: chunked\r\nContent-Length: 400`, `2\r\n{}\r\n0\r\n\r\n${smuggled(path)}`),
    ],
    ["two lengths", (path) => post("Content-Length: 2\r\nContent-Length: 200", `{}${smuggled(path)}`)],
    ["two equal lengths", (path) => post("Content-Length: 2\r\nContent-Length: 2", `{}${smuggled(path)}`)],
    ["a list of lengths", (path) => post("Content-Length: 2, 200", `{}${smuggled(path)}`)],
    ["a signed length", (path) => post("Content-Length: +2", `{}${smuggled(path)}`)],
    ["a negative length", (path) => post("Content-Length: -2", `{}${smuggled(path)}`)],
    ["a hexadecimal length", (path) => post("Content-Length: 0x2", `{}${smuggled(path)}`)],
    ["another coding", (path) => post("Transfer-Encoding: xchunked\r\nContent-Length: 2", `{}${smuggled(path)}`)],
    ["chunked twice", (path) => post("Transfer-Encoding: chunked, chunked", `2\r\n{}\r\n0\r\n\r\n${smuggled(path)}`)],
    [
      "chunked, then identity",
      (path) => post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", `0\r\n\r\n${smuggled(path)}`),
    ],
    [
      "a blank before the colon",
      (path) => post("Transfer-Encoding : chunked\r\nContent-Length: 2", `{}${smuggled(path)}`),
    ],
    ["a folded coding", (path) => post("Transfer-Encoding:\r\n chunked\r\nContent-Length: 2", `{}${smuggled(path)}`)],
    ["a folded header", (path) => post("X-Fold: a\r\n b\r\nContent-Length: 2", `{}${smuggled(path)}`)],
    [
      "a tab before the coding",
      (path) => post("Transfer-Encoding:\tchunked\r\nContent-Length: 2", `0\r\n\r\n${smuggled(path)}`),
    ],
    [
      "a vertical tab in the coding",
      (path) => post("Transfer-Encoding: \u000bchunked\r\nContent-Length: 2", `{}${smuggled(path)}`),
    ],
    ["bare line feeds", (path) => post("Content-Length: 2", `{}${smuggled(path)}`).replaceAll("\r\n", "\n")],
    [
      "bare carriage returns",
      (path) => post("X: a\rTransfer-Encoding: chunked\r\nContent-Length: 2", `{}${smuggled(path)}`),
    ],
    ["a zero byte in a header", (path) => post("X: a\u0000b\r\nContent-Length: 2", `{}${smuggled(path)}`)],
    [
      "a newline in the target",
      (path) => `GET /contexts/x\nHost: cairn HTTP/1.1\r\nHost: cairn\r\n\r\n${smuggled(path)}`,
    ],
    [
      "a chunk size with a sign",
      (path) => post("Transfer-Encoding: chunked", `+2\r\n{}\r\n0\r\n\r\n${smuggled(path)}`),
    ],
    ["a chunk size with 0x", (path) => post("Transfer-Encoding: chunked", `0x2\r\n{}\r\n0\r\n\r\n${smuggled(path)}`)],
    [
      "an endless chunk size",
      (path) => post("Transfer-Encoding: chunked", `${"F".repeat(40)}\r\n{}\r\n0\r\n\r\n${smuggled(path)}`),
    ],
    ["a chunk without its end", (path) => post("Transfer-Encoding: chunked", `2\r\n{}0\r\n\r\n${smuggled(path)}`)],
    [
      "a chunk extension with a newline",
      (path) => post("Transfer-Encoding: chunked", `2;a\nb\r\n{}\r\n0\r\n\r\n${smuggled(path)}`),
    ],
    [
      "an upgrade to h2c",
      (path) =>
        post(
          "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\nContent-Length: 2",
          `{}${smuggled(path)}`,
        ),
    ],
    [
      "an upgrade to nothing we know",
      (path) => post("Connection: Upgrade\r\nUpgrade: cairn\r\nContent-Length: 2", `{}${smuggled(path)}`),
    ],
    [
      "HTTP/1.0 with chunks",
      (path) =>
        post("Transfer-Encoding: chunked", `2\r\n{}\r\n0\r\n\r\n${smuggled(path)}`).replace("HTTP/1.1", "HTTP/1.0"),
    ],
    [
      "a body on GET",
      (path) => `GET /contexts/team/a HTTP/1.1\r\nHost: cairn\r\nContent-Length: 10\r\n\r\n0123456789${smuggled(path)}`,
    ],
    ["the preface of HTTP/2", (path) => `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${smuggled(path)}`],
    ["no head at all", (path) => `\r\n\r\n\r\n${smuggled(path)}`],
    ["a request that expects", (path) => post("Expect: 100-continue\r\nContent-Length: 2", `{}${smuggled(path)}`)],
  ];

  test("none of them gives a caller without rights a single 2xx, and the owner's answers stay the owner's", async () => {
    const seen: Record<string, number[]> = {};
    for (const [at, [name, bytes]] of shapes.entries()) {
      const { text } = await eve.raw(bytes(`smuggled-${at}`), { withinMs: 400 });
      // 100 is what "Expect" is answered, before the request is judged.
      seen[name] = statuses(text).filter((status) => status !== 100);
      expect([name, seen[name]?.filter((status) => status < 400)]).toEqual([name, []]);
      expect([name, seen[name]?.filter((status) => status >= 500 && status !== 501)]).toEqual([name, []]);
      // Connections to the TypeScript half are shared: a prefix left in one would spoil the next answer.
      const answers = await Promise.all(Array.from({ length: 4 }, () => owner.call("whoami")));
      for (const { body } of answers) expect(body).toMatchObject({ caller: "user:owner@example.com" });
    }
    // Without any answer at all, the test would show nothing.
    expect(Object.values(seen).filter((found) => found.length > 0).length).toBeGreaterThan(20);
    for (const at of shapes.keys()) expect((await owner.get(`team/smuggled-${at}`)).status).toBe(404);
    await isHealthy();
  }, 120_000);

  test("what is malformed is 400 for a member too", async () => {
    for (const bytes of [
      "GET /health HTTP/1.1\r\n\r\n",
      "GET /health HTTP/1.1\r\nHost: cairn\r\nHost: cairn\r\n\r\n",
      "GET /health\r\n\r\n",
      "GARBAGE\r\n\r\n",
      "\u0016\u0003\u0001\u0002\u0000\u0001\u0000\u0001\u00fc\u0003\u0003\r\n\r\n",
      "GET /health HTTP/9.9\r\nHost: cairn\r\n\r\n",
      "GET /health HTTP/1.1\r\nHost: cairn\r\nBad Name: x\r\n\r\n",
      post("Content-Length: 2\r\nContent-Length: 3", "{}"),
    ])
      expect([bytes, await answerTo(owner, Buffer.from(bytes, "latin1"))]).toEqual([
        bytes,
        bytes.includes("HTTP/9.9") ? 505 : 400,
      ]);
  }, 60_000);

  test("five hundred damaged requests leave the node as it was", async () => {
    const seed = (Date.now() ^ process.pid) >>> 0;
    let state = seed;
    const random = (below: number): number => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return Math.floor((state / 2 ** 32) * below);
    };
    const valid = Buffer.from(
      `${post("Content-Length: 2", "{}")}${post("Transfer-Encoding: chunked", "2\r\n{}\r\n0\r\n\r\n")}`,
    );
    const found: number[] = [];
    for (let round = 0; round < 10; round++) {
      const batch = Array.from({ length: 50 }, () => {
        const bytes = Buffer.from(valid);
        for (let flips = 1 + random(4); flips > 0; flips--) bytes[random(bytes.length)] = random(256);
        return eve.raw(bytes.subarray(0, 1 + random(bytes.length)), { withinMs: 150, untilText: "}" });
      });
      for (const { text } of await Promise.all(batch)) found.push(...statuses(text));
    }
    expect([seed, found.filter((status) => (status > 100 && status < 400) || status === 500)]).toEqual([seed, []]);
    expect(found.length).toBeGreaterThan(150);
    await isHealthy();
  }, 120_000);
});

test("methods that are not served are refused in words", async () => {
  const ask = (line: string, headers = "") =>
    answerTo(owner, `${line} HTTP/1.1\r\nHost: cairn\r\nConnection: close\r\n${headers}\r\n`);
  expect(await ask("TRACE /contexts/team/a")).toBe(400);
  expect(await ask("CONNECT 127.0.0.1:22")).toBe(400);
  expect(await ask("OPTIONS *")).toBe(400);
  expect(await ask("BREW /contexts/team/a", "Content-Length: 0\r\n")).toBe(405);
  expect(await ask("get /contexts/team/a")).toBe(405);
  expect(await ask("POST /contexts/team/a", "Content-Length: 0\r\n")).toBe(405);
  expect(await ask("GET /no/such/place")).toBe(404);
  await isHealthy();
});

test("connections that never finish their head are closed in time, and hinder no one", async () => {
  const started = performance.now();
  const slow = await Promise.all(
    Array.from({ length: 60 }, async () => {
      const socket = await openRaw(eve.proxy, "cairn:80");
      const closed = new Promise<number>((resolve) => socket.on("close", () => resolve(performance.now() - started)));
      socket.resume();
      socket.write("GET /health HTTP/1.1\r\nHost: cairn\r\n");
      const drip = setInterval(() => socket.write("X: y\r\n"), 1_000);
      void closed.then(() => clearInterval(drip));
      // In an object, or the promise would be awaited here.
      return { closed };
    }),
  );
  let longest = 0;
  let asked = 0;
  const all = Promise.all(slow.map(({ closed }) => closed));
  let done = false;
  void all.then(() => {
    done = true;
  });
  while (!done) {
    const before = performance.now();
    await isHealthy();
    longest = Math.max(longest, performance.now() - before);
    asked++;
    await Bun.sleep(100);
  }
  const times = await within("the slow connections to be closed", all);
  expect(Math.max(...times)).toBeLessThan(HEAD_DEADLINE_MS + 10_000);
  expect(asked).toBeGreaterThan(5);
  expect(longest).toBeLessThan(5_000);
}, 60_000);

describe("Host", () => {
  test.each<[string, number]>([
    ["cairn", 200],
    ["CAIRN", 200],
    ["cairn:80", 200],
    ["cairn.cairn-test.ts.net", 200],
    ["cairn.cairn-test.ts.net.", 200],
    ["100.64.0.1", 200],
    ["cairn.internal.example", 200],
    ["cairn:81", 421],
    ["cairn:443", 421],
    ["evil.example", 421],
    ["cairn.evil.example", 421],
    ["evil.cairn-test.ts.net", 421],
    ["localhost", 421],
    ["127.0.0.1", 421],
    ["100.64.0.2", 421],
    ["user@cairn", 400],
    ["cairn:", 421],
    ["[::1]", 421],
  ])("%s is %i", async (host, status) => {
    const answer = await owner.raw(`GET /health HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`, {
      target: "cairn:80",
    });
    expect(statuses(answer.text)).toEqual([status]);
  });

  test("the target of an absolute request counts, not the header beside it", async () => {
    const absolute = (host: string) => `GET http://${host}/health HTTP/1.1\r\nHost: cairn\r\nConnection: close\r\n\r\n`;
    expect(await answerTo(owner, absolute("evil.example"))).toBe(421);
    expect(await answerTo(owner, absolute("cairn"))).toBe(200);
  });
});

describe("Origin and Sec-Fetch-Site", () => {
  const own = "http://cairn.cairn-test.ts.net";
  const navigation = { "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document" };
  test.each<[string, string, Record<string, string>, number]>([
    ["no browser", "GET", {}, 200],
    ["the same origin", "POST", { Origin: own }, 200],
    ["the same origin in another spelling", "POST", { Origin: `${own.toUpperCase().replace("HTTP", "http")}:80` }, 200],
    ["an origin of the settings", "POST", { Origin: TOOLS, "Sec-Fetch-Site": "cross-site" }, 200],
    ["null", "POST", { Origin: "null" }, 403],
    ["null on GET", "GET", { Origin: "null" }, 403],
    ["another scheme", "POST", { Origin: own.replace("http", "https") }, 403],
    ["another port", "POST", { Origin: `${own}:8080` }, 403],
    ["another name of this node", "POST", { Origin: "http://cairn" }, 403],
    ["a name that begins alike", "POST", { Origin: `${own}.evil.example` }, 403],
    ["another site", "GET", { Origin: "http://evil.example" }, 403],
    ["empty", "POST", { Origin: "" }, 403],
    ["from another site without Origin", "GET", { "Sec-Fetch-Site": "cross-site" }, 403],
    ["from the same site, which is not the same origin", "GET", { "Sec-Fetch-Site": "same-site" }, 403],
    ["from the same origin", "GET", { "Sec-Fetch-Site": "same-origin" }, 200],
    ["typed by a person", "GET", { "Sec-Fetch-Site": "none" }, 200],
    ["a link on another site", "GET", { "Sec-Fetch-Site": "cross-site", ...navigation }, 200],
    ["a form on another site", "POST", { "Sec-Fetch-Site": "cross-site", ...navigation }, 403],
    [
      "a frame on another site",
      "GET",
      { "Sec-Fetch-Site": "cross-site", ...navigation, "Sec-Fetch-Dest": "iframe" },
      403,
    ],
  ])("%s, by %s", async (_, method, headers, status) => {
    const json = { method, body: "{}", headers: { "content-type": "application/json", ...headers } };
    const lines = Object.entries({ Host: new URL(own).host, Connection: "close", ...json.headers }).map(
      ([name, value]) => `${name}: ${value}`,
    );
    const request =
      method === "GET"
        ? `GET /contexts/team/a HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n`
        : `POST /operations/whoami HTTP/1.1\r\n${lines.join("\r\n")}\r\nContent-Length: 2\r\n\r\n{}`;
    const answer = await owner.raw(request);
    expect(statuses(answer.text)).toEqual([status]);
    if (status === 403) expect(answer.text.toLowerCase()).not.toContain("access-control-allow");
  });

  test("a page of an allowed origin may ask before it writes, and read the answer; no other learns anything", async () => {
    const host = `Host: ${new URL(own).host}\r\nConnection: close\r\n`;
    const asked = await owner.raw(
      `OPTIONS /contexts/team/a HTTP/1.1\r\n${host}Origin: ${TOOLS}\r\nAccess-Control-Request-Method: PUT\r\nAccess-Control-Request-Headers: if-match\r\n\r\n`,
    );
    expect(statuses(asked.text)).toEqual([204]);
    expect(asked.text.toLowerCase()).toContain(`access-control-allow-origin: ${TOOLS}`);
    expect(asked.text.toLowerCase()).toMatch(/access-control-allow-methods:.*put/);
    const read = await owner.raw(`GET /contexts/team/a HTTP/1.1\r\n${host}Origin: ${TOOLS}\r\n\r\n`);
    expect(read.text.toLowerCase()).toContain(`access-control-allow-origin: ${TOOLS}`);
    expect(read.text.toLowerCase()).toMatch(/access-control-expose-headers:.*etag/);
    const plain = await owner.raw(`GET /contexts/team/a HTTP/1.1\r\n${host}Origin: ${own}\r\n\r\n`);
    expect(statuses(plain.text)).toEqual([200]);
    expect(plain.text.toLowerCase()).not.toContain("access-control-");
  });

  test("two Origins are refused, whichever they are", async () => {
    const two = `GET /health HTTP/1.1\r\nHost: ${new URL(own).host}\r\nOrigin: ${own}\r\nOrigin: ${own}\r\nConnection: close\r\n\r\n`;
    expect(await answerTo(owner, two)).toBe(403);
  });

  test("an upgrade is judged alike", async () => {
    const upgrade = (origin: string) =>
      `GET /health HTTP/1.1\r\nHost: ${new URL(own).host}\r\nOrigin: ${origin}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n`;
    expect(await answerTo(owner, upgrade("http://evil.example"))).toBe(403);
  });
});
