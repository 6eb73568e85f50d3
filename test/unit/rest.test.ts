// REST: each row of the status table that this build has, against the real store.

import { expect, test } from "bun:test";
import { z } from "zod";
import { read } from "../../src/operation/define.ts";
import { callerWith, granted, startCore } from "../kit/core.ts";

const JSON_HEADERS = { "content-type": "application/json" };
const put = (body: string, headers: Record<string, string> = {}) => ({
  method: "PUT",
  body,
  headers: { ...JSON_HEADERS, ...headers },
});

test("PUT answers 201, then 200, with ETag and position; GET gives the bytes back", async () => {
  await using core = startCore();
  const text = '{ "a" : 1.50, "__proto__": {"x": 1} }';
  const created = await core.http("/contexts/team-a/plan?title=Plan&tag=x&tag=y", put(text));
  expect(created.status).toBe(201);
  const etag = created.headers.get("etag") ?? "";
  expect(etag).toMatch(/^"1-[0-9a-f]{12}"$/);
  expect(created.headers.get("cairn-position")).toMatch(/^[0-9a-f]{10}-1$/);
  const got = await core.http("/contexts/team-a%2Fplan");
  expect(await got.text()).toBe(text);
  expect(got.headers.get("etag")).toBe(etag);
  expect(got.headers.get("content-type")).toBe("application/json");
  expect(got.headers.get("content-security-policy")).toContain("sandbox");
  expect((await core.http("/contexts/team-a/plan", put("2"))).status).toBe(200);
  const listed = await (await core.http("/contexts?tag=y")).json();
  expect(listed).toMatchObject({ contexts: [{ id: "team-a/plan", version: 2, title: "Plan", tags: ["x", "y"] }] });
});

test("GET answers 304 for a matching If-None-Match, weak and with a coding suffix too", async () => {
  await using core = startCore();
  const etag = (await core.http("/contexts/p", put("1"))).headers.get("etag") ?? "";
  for (const condition of [etag, `W/${etag}`, `"x", ${etag}`, "*", etag.replace(/"$/, '+gzip"')]) {
    expect((await core.http("/contexts/p", { headers: { "if-none-match": condition } })).status).toBe(304);
  }
  expect((await core.http("/contexts/p", { headers: { "if-none-match": '"9-000000000000"' } })).status).toBe(200);
});

test("PUT and DELETE answer 412 with the current ETag when If-Match is stale, weak or names a missing context", async () => {
  await using core = startCore();
  const first = (await core.http("/contexts/p", put("1"))).headers.get("etag") ?? "";
  const second =
    (await core.http("/contexts/p", put("2", { "if-match": `"0-aaaaaaaaaaaa", ${first}` }))).headers.get("etag") ?? "";
  for (const condition of [first, `W/${second}`, second.replace("2-", "3-")]) {
    const refused = await core.http("/contexts/p", put("3", { "if-match": condition }));
    expect(refused.status).toBe(412);
    expect(refused.headers.get("etag")).toBe(second);
  }
  expect((await core.http("/contexts/none", put("3", { "if-match": "*" }))).status).toBe(412);
  expect((await core.http("/contexts/p", put("3", { "if-none-match": "*" }))).status).toBe(412);
  expect((await core.http("/contexts/p", { method: "DELETE", headers: { "if-match": first } })).status).toBe(412);
  expect((await core.http("/contexts/p", { method: "DELETE", headers: { "if-match": second } })).status).toBe(204);
  expect((await core.http("/contexts/p")).status).toBe(410);
  expect((await core.http("/contexts/p?version=1")).status).toBe(200);
  expect((await core.http("/contexts/p", { method: "DELETE" })).status).toBe(404);
  expect((await core.http("/contexts/p", put("4", { "if-none-match": "*" }))).status).toBe(201);
});

test("bad input answers a clear 4xx and writes nothing", async () => {
  await using core = startCore({ maxDocumentBytes: 100 });
  const rows: Array<[string, RequestInit, number, string]> = [
    ["/contexts/p", put("{"), 400, "not JSON"],
    ["/contexts/p", put('{"a":1,"a":2}'), 400, "twice"],
    ["/contexts/p", put('{"a":1,"\\u0061":2}'), 400, "twice"],
    ["/contexts/p", put('["\\ud800"]'), 400, "surrogate"],
    ["/contexts/p", put("[".repeat(65) + "]".repeat(65)), 413, "limit is 100"],
    ["/contexts/p", put(`"${"x".repeat(100)}"`), 413, "limit is 100"],
    ["/contexts/p", { method: "PUT", body: "x", headers: { "content-type": "image/png" } }, 415, "image/png"],
    [
      "/contexts/p",
      { method: "PUT", body: "x", headers: { "content-type": "text/plain; charset=latin1" } },
      415,
      "latin1",
    ],
    [
      "/contexts/p",
      { method: "PUT", body: "x", headers: { "content-type": "application/x-www-form-urlencoded; application/json" } },
      415,
      "urlencoded",
    ],
    ["/contexts/p", put("1", { "content-encoding": "gzip" }), 415, "gzip"],
    ["/contexts/p", put("1", { "if-match": "nonsense" }), 400, "no list of ETags"],
    [
      "/contexts/p",
      { method: "PUT", body: new Uint8Array([0xff, 0xfe]), headers: { "content-type": "text/plain" } },
      400,
      "UTF-8",
    ],
    ["/contexts/p?verzion=1", {}, 400, "verzion"],
    ["/contexts/p?version=1&version=2", {}, 400, "twice"],
    ["/contexts/p?version=0", {}, 400, "version"],
    ["/contexts?limit=0", {}, 400, "limit"],
    ["/contexts?limit=x", {}, 400, "limit"],
    ["/contexts?cursor=%2e%2e", {}, 400, "cursor"],
    ["/contexts/a%2F..%2Fb", {}, 400, "segment"],
    ["/contexts/a//b", {}, 400, "empty segment"],
    ["/contexts/a/metadata", put("1"), 405, "GET, HEAD"],
    ["/contexts/a/process", put("1"), 405, "GET, HEAD"],
    [
      "/operations/context_put",
      { method: "POST", body: '{"id":"a/process","content":1}', headers: JSON_HEADERS },
      400,
      "reserved",
    ],
    ["/contexts/%zz", {}, 400, "percent-encoding"],
    ["/contexts/%252e", {}, 400, "not encoded"],
    [`/contexts/${"a".repeat(257)}`, {}, 400, "256"],
    ["/contexts/%D0%B0", {}, 404, "no context"],
    ["/contexts/%D0%B0/b", {}, 400, "letters"],
    ["/contexts/a%00b", {}, 400, "letters"],
    ["/nowhere", {}, 404, "no route"],
    ["/contexts/none", {}, 404, "no context"],
    ["/operations/context_gett", { method: "POST" }, 404, "context_gett"],
    [
      "/operations/context_get",
      { method: "POST", body: "{}", headers: { "content-type": "text/plain" } },
      415,
      "text/plain",
    ],
    ["/operations/context_get", { method: "POST", body: '{"id":"a","idd":1}', headers: JSON_HEADERS }, 400, "idd"],
    [
      "/operations/context_get",
      { method: "POST", body: '{"id":"a","__proto__":1}', headers: JSON_HEADERS },
      400,
      "__proto__",
    ],
    ["/operations/context_get", { method: "POST", body: "[1]", headers: JSON_HEADERS }, 400, "not an object"],
    ["/operations/whoami", { method: "GET" }, 405, "POST"],
    ["/contexts", { method: "POST" }, 405, "GET"],
  ];
  for (const [path, init, status, text] of rows) {
    const answer = await core.http(path, init);
    const body = await answer.text();
    expect([path, answer.status, body]).toEqual([path, status, expect.stringContaining(text)]);
    expect(answer.headers.get("content-type")).toBe("application/problem+json");
    expect(body).not.toContain("node_modules");
    expect(body).not.toMatch(/\bat .*\.ts:\d/);
  }
  expect(core.log.position().seq).toBe(0);
  expect(core.unexpected).toEqual([]);
});

test("an idempotency key makes a write once, answers it twice, and refuses another input", async () => {
  await using core = startCore();
  const keyed = { "idempotency-key": "k-1" };
  const first = await core.http("/contexts/p", put("1", keyed));
  const again = await core.http("/contexts/p", put("1", keyed));
  expect([first.status, again.status]).toEqual([201, 201]);
  expect(await again.json()).toEqual(await first.json());
  expect(again.headers.get("cairn-position")).toBe(first.headers.get("cairn-position"));
  expect((await core.http("/contexts/p", put("2", keyed))).status).toBe(422);
  const both = await Promise.all([1, 2, 3].map(() => core.http("/contexts/q", put("7", { "idempotency-key": "k-2" }))));
  expect(both.map((answer) => answer.status)).toEqual([201, 201, 201]);
  const stale = put("9", { "if-match": '"9-aaaaaaaaaaaa"', "idempotency-key": "k-3" });
  expect((await core.http("/contexts/q", stale)).status).toBe(412);
  expect((await core.http("/contexts/q", stale)).status).toBe(412);
  expect((await core.http("/contexts/p", put("3", keyed), granted({ role: "member", spaces: ["*"] }))).status).toBe(
    200,
  );
  expect(core.log.position().seq).toBe(3);
});

test("positions: ahead of the node is 503 with Retry-After, of another history 410, not a position 400", async () => {
  await using core = startCore();
  const position = (await core.http("/contexts/p", put("1"))).headers.get("cairn-position") ?? "";
  const at = (text: string) => core.http("/contexts/p", { headers: { "cairn-min-position": text } });
  expect((await at(position)).status).toBe(200);
  const ahead = await at(position.replace(/-1$/, "-2"));
  expect([ahead.status, ahead.headers.get("retry-after")]).toEqual([503, "1"]);
  expect((await at(position.replace(/^./, (digit) => (digit === "0" ? "1" : "0")))).status).toBe(410);
  expect((await at("yesterday")).status).toBe(400);
});

test("a caller without a grant gets 403 with the grant to paste, whether the context exists or not", async () => {
  await using core = startCore();
  await core.http("/contexts/team-a/plan", put("1"));
  for (const path of ["/contexts/team-a/plan", "/contexts/team-a/none"]) {
    const refused = await core.http(path, { headers: { "if-none-match": "*" } }, callerWith());
    expect(refused.status).toBe(403);
    expect(await refused.json()).toMatchObject({
      code: "forbidden",
      space: "team-a",
      verb: "read",
      hint: expect.stringContaining('"role":"reader"'),
    });
  }
  expect((await core.http("/openapi.json", {}, callerWith())).status).toBe(403);
  expect(await (await core.http("/health", {}, callerWith())).json()).not.toHaveProperty("conditions");
  expect(await (await core.http("/health")).json()).toHaveProperty("conditions");
});

test("grants that limit the rate answer 429 with Retry-After", async () => {
  await using core = startCore({ nowMs: () => 1_700_000_000_000 });
  const caller = granted({ role: "reader", spaces: ["*"], limits: { requests_per_minute: 2 } });
  const statuses = [];
  for (let i = 0; i < 3; i++) statuses.push((await core.http("/contexts", {}, caller)).status);
  expect(statuses).toEqual([200, 200, 429]);
  expect((await core.http("/contexts", {}, caller)).headers.get("retry-after")).toBe("30");
});

test("above its quota a caller gets 507; others write on, and it may delete", async () => {
  await using core = startCore({ limits: { quota: { callerBytes: 1000, spaceBytes: 0 } } });
  const alice = granted({ role: "member", spaces: ["*"] });
  const bob = { ...alice, id: "nBOB", login: "bob@example.com" };
  const large = put(`"${"x".repeat(700)}"`);
  expect((await core.http("/contexts/a", large, alice)).status).toBe(201);
  const full = await core.http("/contexts/b", large, alice);
  expect([full.status, await full.json()]).toEqual([507, expect.objectContaining({ code: "quota_exceeded" })]);
  const patch = {
    method: "PATCH",
    body: `"${"y".repeat(700)}"`,
    headers: { "content-type": "application/merge-patch+json" },
  };
  expect((await core.http("/contexts/a", patch, alice)).status).toBe(507);
  expect((await core.http("/contexts/b", large, bob)).status).toBe(201);
  expect((await core.http("/contexts/a", { method: "DELETE" }, alice)).status).toBe(204);
});

test("what should not happen is 500 with an id that stands in the log, and says nothing else", async () => {
  const broken = read({
    name: "broken",
    title: "Broken",
    description: "Fails.",
    input: z.object({}),
    output: z.object({}),
    access: { verb: "read", spaces: "visible" },
    run: () => {
      throw new Error("SECRET path /var/lib/cairn");
    },
  });
  await using core = startCore({ operations: [broken] });
  const answer = await core.http("/operations/broken", { method: "POST" });
  const text = await answer.text();
  expect([answer.status, answer.headers.get("content-type")]).toEqual([500, "application/problem+json"]);
  expect(JSON.parse(text)).toMatchObject({ code: "internal", error_id: "e1", retryable: false });
  expect(text).not.toContain("SECRET");
  expect(String(core.unexpected[0])).toContain("SECRET");
});

test("the node's own limit counts where a grant names none, streams and long polls included", async () => {
  await using core = startCore({ nowMs: () => 1_700_000_000_000, requestsPerMinute: 3 });
  const caller = granted({ role: "reader", spaces: ["*"] });
  const stream = await core.http("/changes?feed=sse", {}, caller);
  await stream.body?.cancel();
  const paths = ["/changes?timeout=0", "/contexts", "/contexts", "/changes?feed=sse"];
  const statuses = [];
  for (const path of paths) statuses.push((await core.http(path, {}, caller)).status);
  expect(statuses).toEqual([200, 200, 429, 429]);
  const generous = { role: "reader", spaces: ["*"], limits: { requests_per_minute: 50 } };
  const other = callerWith({ login: "carol@example.com", grants: [generous] });
  for (let count = 0; count < 5; count++) expect((await core.http("/contexts", {}, other)).status).toBe(200);
  for (let count = 0; count < 5; count++) expect((await core.http("/contexts")).status).toBe(200);
});
