// Hostile requests in one process: ids, bodies, keys, cursors, prefixes and queries that try to be something else. Each
// is answered clearly, nothing is written, nothing leaks.

import { expect, test } from "bun:test";
import { type Core, callerWith, granted, localAdmin, startCore } from "../kit/core.ts";

const json = (method: string, body: string, headers: Record<string, string> = {}) => ({
  method,
  body,
  headers: { "content-type": "application/json", ...headers },
});
const put = (body = "1", headers: Record<string, string> = {}) => json("PUT", body, headers);

/** The answers of these requests are problems with this status, and the store is as before. */
async function refused(core: Core, status: number, requests: readonly [string, RequestInit][]): Promise<void> {
  const before = core.log.position().seq;
  for (const [path, init] of requests) {
    const answer = await core.http(path, init);
    const body = await answer.text();
    expect([path, answer.status, body.slice(0, 300)]).toEqual([path, status, expect.any(String)]);
    expect([path, answer.headers.get("content-type")]).toEqual([path, "application/problem+json"]);
    expect(JSON.parse(body)).toMatchObject({ status, code: expect.any(String), detail: expect.any(String) });
    expect(body).not.toMatch(/node_modules|\.ts:\d|SQLITE/);
  }
  expect(core.log.position().seq).toBe(before);
  expect(core.unexpected).toEqual([]);
}

test("ids that are none: dots, control characters, look-alikes, encodings of encodings, separators of other systems", async () => {
  await using core = startCore();
  const ids = [
    "..%2Fb",
    "a%2F..%2F..%2Fb",
    "a%2F.%2Fb",
    "%2Fa",
    "a%2F",
    "a%2F%2Fb",
    "a%252Fb",
    "a%25252e",
    "a%00",
    "a%0Ab",
    "a%0D%0AX-Injected:%201",
    "a%1Bb",
    "a%7F",
    "a%C2%85b",
    "a%E2%80%AEb",
    "a%E2%80%8Bb",
    "a%EF%BB%BF",
    "te%D0%B0m%2Fa",
    "a%2F%20b",
    "a%20%20b",
    "a%C2%A0b",
    "a%E3%85%A4",
    "a%EF%BC%8Fb",
    "a%E2%88%95b",
    "a%5Cb",
    "%C0%AE%C0%AE%2Fa",
    "%ED%A0%80",
    "%",
    "a%2",
    "a%G1",
    "metadata",
    `${"a".repeat(257)}`,
    `${"a%2F".repeat(128)}a`,
    "a".repeat(10_000),
  ];
  const requests = ids.flatMap((id): [string, RequestInit][] => [
    [`/contexts/${id}`, put()],
    [`/contexts/${id}`, {}],
  ]);
  // A reserved last segment is a place of another context, where PUT is not allowed.
  await refused(core, 400, requests);
  for (const id of [
    "a",
    "A",
    "a.b",
    "~x",
    "a:b@c",
    "a-b_c",
    `${"a".repeat(256)}`,
    `${"a%2F".repeat(127)}a`,
    "..a",
    "a%2E%2Eb",
    "s%2Fa%CC%81",
    "s%2Fa%20b",
    "s%2Fa+b%2Bc%3Fd%23e%3Bf",
    "s%2Fa%27%20OR%201=1--",
    "s%2Fa*",
    "s%2Fa%25",
    "s%2F%24%7Ba%7D",
    "s%2Fa%2Fmetadata%2Fb",
  ])
    expect([id, (await core.http(`/contexts/${id}`, put())).status]).toEqual([id, 201]);
});

test("dots in a path are resolved before anything looks at it, so a right cannot be walked around", async () => {
  await using core = startCore();
  await core.http("/contexts/secret/x", put('"canary"'));
  const caller = granted({ role: "member", spaces: ["team"] });
  for (const path of [
    "/contexts/team/../secret/x",
    "/contexts/team/%2e%2e/secret/x",
    "/contexts/team/.%2E/secret/x",
    "/contexts/./secret/x",
  ]) {
    for (const init of [{}, put("2"), { method: "DELETE" }]) {
      const answer = await core.http(path, init, caller);
      expect([path, answer.status, await answer.text()]).toEqual([path, 403, expect.not.stringContaining("canary")]);
    }
  }
  // An encoded slash is no way around either: it is a slash.
  for (const path of ["/contexts/secret%2Fx", "/contexts/secret%2fx", "/contexts/team%2F..%2Fsecret%2Fx"])
    expect([path, [400, 403]]).toEqual([path, expect.arrayContaining([(await core.http(path, {}, caller)).status])]);
  expect(await (await core.http("/contexts/secret/x")).text()).toBe('"canary"');
});

test("case matters, and reserved spaces are reserved in any case and by every method", async () => {
  await using core = startCore();
  await core.http("/contexts/team/a", put());
  expect((await core.http("/contexts/Team/a")).status).toBe(404);
  const everything = granted({ role: "operator", spaces: ["*"] });
  for (const space of ["fleet", "Fleet", "FLEET", "_x", "_"]) {
    for (const init of [
      put(),
      json("PATCH", "{}", { "content-type": "application/merge-patch+json" }),
      { method: "DELETE" },
      {},
    ]) {
      const answer = await core.http(`/contexts/${space}/a`, init, everything);
      expect([space, init.method, answer.status]).toEqual([space, init.method, 403]);
    }
  }
});

test("bodies: too large, not JSON, deep, twice the same key, lone surrogates, other encodings", async () => {
  await using core = startCore({ maxDocumentBytes: 64 * 1024 });
  const deep = `${"[".repeat(65)}${"]".repeat(65)}`;
  const bad = [
    "",
    " ",
    "{",
    "{]",
    "nul",
    "NaN",
    "01",
    "+1",
    "1 2",
    "'a'",
    "{a:1}",
    '{"a":1,}',
    "[1,]",
    "\u0000",
    '"\u0001"',
    '"\\x"',
    "// 1",
    deep,
    `{"a":${deep}}`,
  ];
  const twice = ['{"a":1,"a":1}', '{"a":{"b":1,"\\u0062":2}}', '[{"__proto__":1,"__proto__":2}]', '{"":1,"":2}'];
  const surrogates = ['"\\ud800"', '"\\udc00\\ud800"', '{"\\ud83d":1}', '["ok","\\uDFFF"]'];
  await refused(
    core,
    400,
    [...bad, ...twice, ...surrogates].map((body) => ["/contexts/a", put(body)]),
  );
  const bytes = (...list: number[]) => ({
    method: "PUT",
    body: new Uint8Array(list),
    headers: { "content-type": "application/json" },
  });
  await refused(core, 400, [
    ["/contexts/a", bytes(0x22, 0xff, 0x22)],
    ["/contexts/a", bytes(0x22, 0xc0, 0xaf, 0x22)],
    ["/contexts/a", bytes(0x22, 0xed, 0xa0, 0x80, 0x22)],
    ["/contexts/a", bytes(0xff, 0xfe, 0x31, 0x00)],
  ]);
  await refused(core, 413, [
    ["/contexts/a", put(`"${"x".repeat(64 * 1024)}"`)],
    ["/contexts/a", put("1", { "content-length": "99999999999" })],
    ["/contexts/a", put(`"${"x".repeat(5 * 1024 * 1024)}"`)],
    ["/operations/context_put", json("POST", `{"id":"a","content":"${"x".repeat(9 * 1024 * 1024)}"}`)],
  ]);
  await refused(core, 415, [
    ["/contexts/a", { method: "PUT", body: "1", headers: { "content-type": "application/json; charset=utf-16" } }],
    [
      "/contexts/a",
      { method: "PUT", body: "1", headers: { "content-type": 'text/plain; x="charset=utf-8"; charset=latin1' } },
    ],
    ["/contexts/a", { method: "PUT", body: "1", headers: { "content-type": "application/octet-stream" } }],
    ["/contexts/a", { method: "PUT", body: "1", headers: { "content-type": "multipart/form-data; boundary=x" } }],
    ["/contexts/a", { method: "PUT", body: "1", headers: { "content-type": "json" } }],
    ["/contexts/a", { method: "PUT", body: "1", headers: { "content-type": ";application/json" } }],
    ["/contexts/a", { method: "PUT", body: "1", headers: { "content-type": `text/${"x".repeat(130)}` } }],
    ["/contexts/a", put("1", { "content-encoding": "gzip, identity" })],
    [
      "/operations/context_get",
      { method: "POST", body: '{"id":"a"}', headers: { "content-type": "application/json; charset=utf-7" } },
    ],
    [
      "/operations/context_get",
      { method: "POST", body: '{"id":"a"}', headers: { "content-type": "application/jsonp" } },
    ],
    ["/operations/context_get", { method: "POST", body: '{"id":"a"}' }],
  ]);
});

test("numbers too large for a double, and keys that mean something to JavaScript, are given back as they came", async () => {
  await using core = startCore();
  const texts = [
    '{"n":1e400,"m":-0,"big":123456789012345678901234567890,"f":0.1000000000000000055511151231257827}',
    '{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}},"toString":1}',
    '"\\u0000\\u2028\\u2029\\ufeff"',
    '{"é":1,"e\\u0301":2}',
  ];
  for (const text of texts) {
    expect([text, (await core.http("/contexts/a", put(text))).status < 300]).toEqual([text, true]);
    expect(await (await core.http("/contexts/a")).text()).toBe(text);
  }
  const call = async (operation: string, body: string) => {
    const headers = { "content-type": "application/json" };
    return (await core.http(`/operations/${operation}`, { method: "POST", body, headers })).text();
  };
  await call("context_put", '{"id":"b","content":{"n":1e400,"big":1700000000123456789,"one":1.0}}');
  expect(await (await core.http("/contexts/b")).text()).toBe('{"n":1e400,"big":1700000000123456789,"one":1}');
  await call("context_patch", '{"id":"b","format":"merge","patch":{"n":-1e400,"one":[12345678901234567891]}}');
  expect(await call("context_get", '{"id":"b","version":2.0}')).toContain(
    '"content":{"n":-1e400,"big":1700000000123456789,"one":[12345678901234567891]}',
  );
  expect(await call("context_get", '{"id":"b","version":12345678901234567891}')).toContain('"invalid_input"');
  expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
});

test("an idempotency key belongs to its caller and operation; in flight it joins, with another body it is 422", async () => {
  await using core = startCore();
  const keyed = (body: string, key = "k") => put(body, { "idempotency-key": key });
  const together = await Promise.all(["1", "1", "2"].map((body) => core.http("/contexts/a", keyed(body))));
  expect(together.map(({ status }) => status)).toEqual([201, 201, 422]);
  expect(core.log.position().seq).toBe(1);
  const deleted = { method: "DELETE", headers: { "idempotency-key": "k" } };
  expect((await core.http("/contexts/a", deleted)).status).toBe(204);
  expect((await core.http("/contexts/a", deleted)).status).toBe(204);
  expect((await core.http("/contexts/b", keyed("1"))).status).toBe(422);
  const [alice, bob] = [callerWith(), callerWith({ id: "nBOB", login: "bob@example.com" })].map((caller) => ({
    ...caller,
    grants: [{ role: "member", spaces: ["*"] }],
  }));
  for (const caller of [alice, bob])
    expect((await core.http("/contexts/c", keyed("1"), caller)).status).toBeLessThan(300);
  expect((await core.http("/contexts/c", keyed("2"), bob)).status).toBe(422);
  expect(core.log.position().seq).toBe(4);
  const noRight = callerWith({ id: "nEVE", login: "eve@example.com" });
  expect((await core.http("/contexts/c", keyed("1"), noRight)).status).toBe(403);
  for (const key of ["x".repeat(257), "a b", "é", ""])
    expect([key, (await core.http("/contexts/d", keyed("1", key))).status]).toEqual([key, 400]);
});

test("cursors grant nothing: forged ones are refused or show only what is visible anyway", async () => {
  await using core = startCore();
  for (const id of ["hidden/a", "team/a", "team/b", "team/c"]) await core.http(`/contexts/${id}`, put());
  const caller = granted({ role: "reader", spaces: ["team"] });
  const cursorOf = async (path: string, as = localAdmin) =>
    String(((await (await core.http(path, {}, as)).json()) as { cursor: string }).cursor);
  const foreign = await cursorOf("/contexts?limit=1");
  const page = (await (await core.http(`/contexts?cursor=${encodeURIComponent(foreign)}`, {}, caller)).json()) as {
    contexts: { id: string }[];
  };
  expect(page.contexts.map(({ id }) => id)).toEqual(["team/a", "team/b", "team/c"]);
  await refused(core, 400, [
    ["/contexts?cursor=", {}],
    ["/contexts?cursor=x", {}],
    ["/contexts?cursor=%00", {}],
    [`/contexts?cursor=${foreign.slice(0, -1)}%21`, {}],
    [`/contexts?cursor=${"A".repeat(513)}`, {}],
    ["/contexts/team/a/versions?cursor=0", {}],
    ["/contexts/team/a/versions?cursor=1.5", {}],
    [`/contexts/team/a/versions?cursor=${"9".repeat(33)}`, {}],
  ]);
});

test("prefixes and tags are text: no glob, no LIKE, no search syntax", async () => {
  await using core = startCore();
  for (const id of ["team/a", "team/a_b", "team/axb", "team2/c"]) await core.http(`/contexts/${id}?tag=x`, put());
  const found = async (query: string) =>
    ((await (await core.http(`/contexts?${query}`)).json()) as { contexts: { id: string }[] }).contexts.map(
      ({ id }) => id,
    );
  expect(await found("prefix=team/a_")).toEqual(["team/a_b"]);
  expect(await found("prefix=team")).toHaveLength(4);
  for (const prefix of [
    "*",
    "team*",
    "team/%25",
    "%25",
    "_eam",
    "team/[a-z]",
    'team" OR "1',
    "team/a NOT x",
    "^team",
    "TEAM",
    "%00team",
    "\u{10ffff}",
  ])
    expect([prefix, await found(`prefix=${prefix.includes("%") ? prefix : encodeURIComponent(prefix)}`)]).toEqual([
      prefix,
      [],
    ]);
  for (const tag of ["*", "%25", "_", "x%0Ay", "X"]) expect([tag, await found(`tag=${tag}`)]).toEqual([tag, []]);
  expect(await found("tag=x")).toHaveLength(4);
});

test("queries: unknown and repeated parameters, numbers that are none, times that are none", async () => {
  await using core = startCore();
  await core.http("/contexts/a", put());
  const queries = [
    "/contexts?prefix=a&prefix=b",
    "/contexts?Prefix=a",
    "/contexts?prefix[]=a",
    "/contexts?__proto__=1",
    "/contexts?constructor=1",
    "/contexts?limit=1e1",
    "/contexts?limit=-1",
    "/contexts?limit=1.0",
    "/contexts?limit=0x1",
    "/contexts?limit=%EF%BC%91",
    "/contexts?limit=501",
    "/contexts?limit=99999999999999999999",
    "/contexts?updated_since=yesterday",
    "/contexts?updated_since=2026-13-01T00:00:00Z",
    `/contexts?prefix=${"a".repeat(257)}`,
    "/contexts?tag=",
    "/contexts/a?version=",
    "/contexts/a?version=1&Version=1",
    "/contexts/a?format=text",
    "/contexts/a?id=b",
    "/contexts/a/metadata?version=1",
    "/health?verbose",
    "/openapi.json?format=yaml",
  ];
  await refused(
    core,
    400,
    queries.map((path) => [path, {}]),
  );
  await refused(core, 400, [
    ["/contexts/b?title=x%0Ay", put()],
    [`/contexts/b?title=${"x".repeat(201)}`, put()],
    ["/contexts/b?tag=", put()],
    [`/contexts/b?${"tag=x&".repeat(33)}`, put()],
    ["/contexts/b?content=2", put()],
    ["/contexts/a?if_match=*", { method: "DELETE" }],
  ]);
});

test("stored text comes back only as JSON or plain text under a sandbox, whatever its type and name say", async () => {
  await using core = startCore();
  const page = "<script>alert(1)</script>";
  for (const type of ["text/html", "text/javascript", "text/xml", "application/xhtml+xml", "application/ld+json"]) {
    const written = await core.http("/contexts/a.html", {
      method: "PUT",
      body: type.endsWith("json") ? "{}" : page,
      headers: { "content-type": type },
    });
    if (written.status === 415) continue;
    const got = await core.http("/contexts/a.html");
    expect([type, got.headers.get("content-type")]).toEqual([
      type,
      expect.stringMatching(/^(application\/json|text\/plain; charset=utf-8)$/),
    ]);
    expect(got.headers.get("cairn-content-type")).toBe(type);
    expect(got.headers.get("x-content-type-options")).toBe("nosniff");
    expect(got.headers.get("content-security-policy")).toContain("sandbox; default-src 'none'");
  }
  const author = callerWith({
    login: "eve\r\nX-Injected: 1\u202e@example.com",
    grants: [{ role: "member", spaces: ["*"] }],
  });
  await core.http("/contexts/b", put(), author);
  const got = await core.http("/contexts/b");
  expect([got.status, got.headers.has("x-injected")]).toEqual([200, false]);
  expect(got.headers.get("cairn-author")).toMatch(/^[\x21-\x7e]+$/);
});
