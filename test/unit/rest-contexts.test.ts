// The places below a context over HTTP: patches by media type, history, single versions, diffs, restore, metadata;
// conditions, HEAD, OPTIONS and 405 on all of them.

import { describe, expect, test } from "bun:test";
import { type Core, granted, startCore } from "../kit/core.ts";

const MERGE = "application/merge-patch+json";
const STEPS = "application/json-patch+json";
const EDIT = "application/cairn-edit+json";

const send = (method: string, type: string, body: unknown, headers: Record<string, string> = {}) => ({
  method,
  body: typeof body === "string" ? body : JSON.stringify(body),
  headers: { "content-type": type, ...headers },
});
const put = (core: Core, id: string, body: unknown, type = "application/json") =>
  core.http(`/contexts/${id}`, send("PUT", type, body));
const bodyOf = async (response: Response) => (await response.json()) as Record<string, unknown>;

describe("PATCH", () => {
  test("changes a part by each of its media types, compared by essence, and answers as a write does", async () => {
    await using core = startCore();
    const { headers } = await put(core, "team/plan", { a: 1, keep: [1] });
    const rows: [string, unknown, string][] = [
      [`${MERGE.toUpperCase()}; charset=UTF-8`, { a: 2, b: null }, '{"a":2,"keep":[1]}'],
      [
        STEPS,
        [
          { op: "test", path: "/a", value: 2 },
          { op: "add", path: "/keep/-", value: 2 },
        ],
        '{"a":2,"keep":[1,2]}',
      ],
      [EDIT, [{ op: "replace", old_text: "[1,2]", new_text: "[]" }], '{"a":2,"keep":[]}'],
    ];
    let etag = headers.get("etag") ?? "";
    for (const [index, [type, patch, expected]] of rows.entries()) {
      const patched = await core.http("/contexts/team%2Fplan", send("PATCH", type, patch, { "if-match": etag }));
      expect([type, patched.status]).toEqual([type, 200]);
      etag = patched.headers.get("etag") ?? "";
      expect(await bodyOf(patched)).toMatchObject({
        version: index + 2,
        created: false,
        etag: etag.replaceAll('"', ""),
      });
      expect(patched.headers.get("cairn-position")).toBe(core.invoker.position());
      expect(await (await core.http("/contexts/team/plan")).text()).toBe(expected);
    }
  });

  test("answers 409 where it does not apply, 412 where it is late, 415 for other types, and changes nothing", async () => {
    await using core = startCore();
    const etag = (await put(core, "a", { n: 1 })).headers.get("etag") ?? "";
    await put(core, "text", "one one", "text/plain");
    const stale = { "if-match": '"9-000000000000"' };
    const rows: [string, RequestInit, number, string][] = [
      ["a", send("PATCH", STEPS, [{ op: "test", path: "/n", value: 2 }]), 409, "patch_failed"],
      ["a", send("PATCH", STEPS, [{ op: "remove", path: "/none" }]), 409, "patch_failed"],
      ["text", send("PATCH", EDIT, [{ op: "replace", old_text: "one", new_text: "two" }]), 409, "patch_failed"],
      ["text", send("PATCH", EDIT, [{ op: "replace", old_text: "none", new_text: "two" }]), 409, "patch_failed"],
      ["a", send("PATCH", EDIT, [{ op: "append", text: "}" }]), 409, "patch_failed"],
      ["a", send("PATCH", MERGE, { n: 2 }, stale), 412, "version_mismatch"],
      ["a", send("PATCH", MERGE, { n: 2 }, { "if-match": `W/${etag}` }), 412, "version_mismatch"],
      ["none", send("PATCH", MERGE, {}), 404, "not_found"],
      ["text", send("PATCH", MERGE, {}), 415, "unsupported_media_type"],
      ["a", send("PATCH", "application/json", {}), 415, "unsupported_media_type"],
      ["a", send("PATCH", `text/plain; ${MERGE}`, {}), 415, "unsupported_media_type"],
      ["a", send("PATCH", `${MERGE}x`, {}), 415, "unsupported_media_type"],
      ["a", send("PATCH", "__proto__", {}), 415, "unsupported_media_type"],
      ["a", { method: "PATCH" }, 415, "unsupported_media_type"],
      ["a", send("PATCH", `${MERGE}; charset=utf-16`, {}), 415, "unsupported_media_type"],
      ["a", send("PATCH", MERGE, {}, { "content-encoding": "gzip" }), 415, "unsupported_media_type"],
      ["a", send("PATCH", MERGE, "{"), 400, "invalid_input"],
      ["a", send("PATCH", MERGE, ""), 400, "invalid_input"],
      ["a", send("PATCH", MERGE, '{"n":1,"n":2}'), 400, "invalid_input"],
      ["a", send("PATCH", MERGE, '{"n":"\\ud800"}'), 400, "invalid_input"],
      ["a", send("PATCH", STEPS, { op: "add" }), 400, "invalid_input"],
      ["a", send("PATCH", STEPS, [{ op: "increment", path: "/n" }]), 400, "invalid_input"],
      ["a", send("PATCH", EDIT, [{ op: "replace", old_text: "", new_text: "x" }]), 400, "invalid_input"],
      ["a", send("PATCH", MERGE, {}, { "if-none-match": "*" }), 400, "invalid_input"],
      ["a?version=1", send("PATCH", MERGE, {}), 400, "invalid_input"],
    ];
    for (const [path, init, status, code] of rows) {
      const refused = await core.http(`/contexts/${path}`, init);
      expect([path, init.body, refused.status, await bodyOf(refused)]).toEqual([
        path,
        init.body,
        status,
        expect.objectContaining({ code }),
      ]);
      if (status === 412) expect(refused.headers.get("etag")).toBe(etag);
    }
    const accept = (await core.http("/contexts/a", send("PATCH", "text/plain", ""))).headers.get("accept-patch");
    expect(accept).toBe([MERGE, STEPS, EDIT].join(", "));
    expect(core.log.position().seq).toBe(2);
    await core.http("/contexts/a", { method: "DELETE" });
    expect((await core.http("/contexts/a", send("PATCH", MERGE, {}))).status).toBe(410);
  });

  test("with an idempotency key is done once and answered as often as it is asked", async () => {
    await using core = startCore();
    await put(core, "a", "x", "text/plain");
    const append = send("PATCH", EDIT, [{ op: "append", text: "y" }], { "idempotency-key": "k" });
    const answers = await Promise.all([1, 2, 3].map(() => core.http("/contexts/a", append)));
    expect(new Set(await Promise.all(answers.map((answer) => answer.text()))).size).toBe(1);
    expect(await (await core.http("/contexts/a")).text()).toBe("xy");
    const other = send("PATCH", EDIT, [{ op: "append", text: "z" }], { "idempotency-key": "k" });
    expect((await core.http("/contexts/a", other)).status).toBe(422);
  });
});

describe("history", () => {
  test("is paged newest first; each version and each moment can be read with its own ETag", async () => {
    await using core = startCore();
    const positions: string[] = [];
    for (let version = 1; version <= 5; version++)
      positions.push((await put(core, "team/plan", { version })).headers.get("cairn-position") ?? "");
    const seen: number[] = [];
    let cursor = "";
    do {
      const page = await bodyOf(await core.http(`/contexts/team/plan/versions?limit=2${cursor}`));
      seen.push(...(page["versions"] as { version: number }[]).map(({ version }) => version));
      cursor = page["cursor"] === undefined ? "" : `&cursor=${page["cursor"]}`;
    } while (cursor !== "");
    expect(seen).toEqual([5, 4, 3, 2, 1]);
    for (const path of [
      "/contexts/team%2Fplan%2Fversions%2F2",
      "/contexts/team/plan?version=2",
      `/contexts/team/plan?at=${positions[1]}`,
    ]) {
      const second = await core.http(path);
      expect([path, await second.text()]).toEqual([path, '{"version":2}']);
      const etag = second.headers.get("etag") ?? "";
      expect([second.headers.get("cairn-version"), etag]).toEqual(["2", expect.stringMatching(/^"2-[0-9a-f]{12}"$/)]);
      expect((await core.http(path, { headers: { "if-none-match": etag } })).status).toBe(304);
    }
    const refused: [string, number][] = [
      ["/contexts/team/plan/versions/6", 404],
      ["/contexts/team/plan/versions/0", 400],
      ["/contexts/team/plan/versions/01", 400],
      ["/contexts/team/plan/versions/-1", 404],
      ["/contexts/team/plan/versions/1e1", 404],
      ["/contexts/team/plan/versions/999999999999999999999", 400],
      ["/contexts/team/plan/versions/2/metadata", 400],
      ["/contexts/team/plan/versions/2?version=1", 400],
      [`/contexts/team/plan?version=1&at=${positions[1]}`, 400],
      ["/contexts/team/plan?at=yesterday", 400],
      [`/contexts/team/plan?at=${positions[0]?.replace(/-.*/, "-0")}`, 404],
      ["/contexts/none/versions", 404],
      ["/contexts/team/plan/versions?limit=0", 400],
      ["/contexts/team/plan/versions?limit=501", 400],
      ["/contexts/team/plan/versions?cursor=abc", 400],
      ["/contexts/team/plan/versions?cursor=-1", 400],
      ["/contexts/versions", 400],
      ["/contexts//versions", 400],
    ];
    for (const [path, status] of refused) expect([path, (await core.http(path)).status]).toEqual([path, status]);
    expect(await bodyOf(await core.http("/contexts/team/plan/versions?cursor=1"))).toMatchObject({ versions: [] });
  });

  test("shows the difference of two versions, and brings one back under If-Match", async () => {
    await using core = startCore();
    await put(core, "a", { n: 1 });
    await put(core, "a", { n: 2 });
    expect(await bodyOf(await core.http("/contexts/a/diff?from=1"))).toEqual({
      id: "a",
      from: 1,
      to: 2,
      format: "json-patch",
      diff: [{ op: "replace", path: "/n", value: 2 }],
    });
    const text = await bodyOf(await core.http("/contexts/a/diff?from=2&to=1&format=text"));
    expect(text["diff"]).toContain('+  "n": 1');
    for (const query of ["", "?from=0", "?from=1&to=x", "?from=1&format=html", "?from=1&from=2", "?from=1&with=2"]) {
      expect([query, (await core.http(`/contexts/a/diff${query}`)).status]).toEqual([query, 400]);
    }
    expect((await core.http("/contexts/a/diff?from=9")).status).toBe(404);
    await put(core, "text", "t", "text/plain");
    expect((await core.http("/contexts/text/diff?from=1&format=json-patch")).status).toBe(415);

    const restore = (body: unknown, headers: Record<string, string> = {}, id = "a") =>
      core.http(`/contexts/${id}/restore`, send("POST", "application/json", body, headers));
    const etag = (await core.http("/contexts/a")).headers.get("etag") ?? "";
    expect((await restore({ version: 1 }, { "if-match": '"1-000000000000"' })).status).toBe(412);
    const restored = await restore({ version: 1 }, { "if-match": etag });
    expect([restored.status, await bodyOf(restored)]).toEqual([200, expect.objectContaining({ version: 3 })]);
    expect(await (await core.http("/contexts/a")).text()).toBe('{"n":1}');
    await core.http("/contexts/a", { method: "DELETE" });
    expect((await restore({ version: 2 })).status).toBe(201);
    const bad: unknown[] = [
      "",
      "{",
      "[1]",
      "1",
      {},
      { version: "1" },
      { version: 1, id: "b" },
      { versoin: 1 },
      '{"version":1,"version":2}',
    ];
    for (const body of bad) expect([body, (await restore(body)).status]).toEqual([body, 400]);
    expect((await restore({ version: 99 })).status).toBe(404);
    expect((await restore({ version: 4 })).status).toBe(410);
    expect((await restore({ version: 1 }, {}, "none")).status).toBe(404);
    expect((await restore(`{"version":1${" ".repeat(2000)}}`)).status).toBe(413);
    expect((await core.http("/contexts/a/restore", send("POST", "text/plain", { version: 1 }))).status).toBe(415);
  });

  test("a purged version is 410, its metadata stays", async () => {
    await using core = startCore();
    await put(core, "a", { secret: 1 });
    await put(core, "a", { public: 1 });
    await core.call("context_purge", { id: "a", versions: [1] });
    for (const path of ["/contexts/a/versions/1", "/contexts/a?version=1", "/contexts/a/diff?from=1"]) {
      const gone = await core.http(path);
      expect([gone.status, await bodyOf(gone)]).toEqual([410, expect.objectContaining({ code: "purged" })]);
    }
    const { versions } = await bodyOf(await core.http("/contexts/a/versions"));
    expect(versions).toMatchObject([
      { version: 2, purged: false },
      { version: 1, purged: true },
    ]);
    expect(await bodyOf(await core.http("/contexts/a/metadata"))).toMatchObject({
      version: 2,
      deleted: false,
      space: "default",
    });
    await core.http("/contexts/a", { method: "DELETE" });
    expect(await bodyOf(await core.http("/contexts/a/metadata"))).toMatchObject({ version: 3, deleted: true });
  });
});

test("a list shows only the fields asked for", async () => {
  await using core = startCore();
  await put(core, "a", 1);
  expect(await bodyOf(await core.http("/contexts?fields=version,title"))).toEqual({
    contexts: [{ id: "a", version: 1, title: "" }],
  });
  for (const query of ["fields=", "fields=content", "fields=id,,title", "fields=__proto__", "feilds=id"])
    expect([query, (await core.http(`/contexts?${query}`)).status]).toEqual([query, 400]);
});

test("HEAD answers as GET does, without a body and with its length; GET and HEAD change nothing", async () => {
  await using core = startCore();
  await put(core, "a", { text: "ä".repeat(3000) });
  await put(core, "a", { n: 2 });
  const seq = core.log.position().seq;
  const paths = [
    "/contexts",
    "/contexts/a",
    "/contexts/a?version=1",
    "/contexts/a/metadata",
    "/contexts/a/versions",
    "/contexts/a/versions/1",
    "/contexts/a/diff?from=1",
    "/contexts/none",
    "/changes?feed=longpoll&timeout=0",
    "/health",
    "/ready",
    "/metrics",
    "/openapi.json",
    "/.well-known/cairn",
  ];
  for (const path of paths) {
    for (const coding of ["identity", "gzip"]) {
      const headers = { "accept-encoding": coding };
      const [got, head] = [await core.http(path, { headers }), await core.http(path, { method: "HEAD", headers })];
      expect([
        path,
        head.status,
        head.headers.get("etag"),
        head.headers.get("content-type"),
        await head.text(),
      ]).toEqual([path, got.status, got.headers.get("etag"), got.headers.get("content-type"), ""]);
      const length = (await got.arrayBuffer()).byteLength;
      if (got.ok && !/health|ready/.test(path))
        expect([path, head.headers.get("content-length")]).toEqual([path, String(length)]);
    }
  }
  expect(core.log.position().seq).toBe(seq);
});

test("OPTIONS and 405 name the methods of each place, and PATCH its types", async () => {
  await using core = startCore();
  const rows: [string, string][] = [
    ["/contexts", "GET, HEAD, OPTIONS"],
    ["/contexts/a", "GET, HEAD, PUT, PATCH, DELETE, OPTIONS"],
    ["/contexts/team%2Fa", "GET, HEAD, PUT, PATCH, DELETE, OPTIONS"],
    ["/contexts/a/metadata", "GET, HEAD, OPTIONS"],
    ["/contexts/a%2Fversions", "GET, HEAD, OPTIONS"],
    ["/contexts/a/versions/3", "GET, HEAD, OPTIONS"],
    ["/contexts/a/diff", "GET, HEAD, OPTIONS"],
    ["/contexts/a/restore", "POST, OPTIONS"],
    ["/contexts/a/stream", "GET, HEAD, OPTIONS"],
    ["/changes", "GET, HEAD, OPTIONS"],
    ["/operations/context_get", "POST, OPTIONS"],
    ["/health", "GET, HEAD, OPTIONS"],
    ["/metrics", "GET, HEAD, OPTIONS"],
    ["/openapi.json", "GET, HEAD, OPTIONS"],
    ["/.well-known/cairn", "GET, HEAD, OPTIONS"],
  ];
  for (const [path, allow] of rows) {
    const options = await core.http(path, { method: "OPTIONS" });
    expect([path, options.status, options.headers.get("allow")]).toEqual([path, 204, allow]);
    expect([path, options.headers.has("accept-patch")]).toEqual([path, allow.includes("PATCH")]);
    for (const method of ["GET", "POST", "PUT", "PATCH", "DELETE", "PROPFIND"]) {
      if (allow.includes(method)) continue;
      const refused = await core.http(path, { method });
      expect([path, method, refused.status, refused.headers.get("allow")]).toEqual([path, method, 405, allow]);
    }
  }
  expect((await core.http("/nowhere", { method: "OPTIONS" })).status).toBe(404);
  expect((await core.http("/contexts/", { method: "OPTIONS" })).status).toBe(404);
});

test("a condition that a method does not judge is refused, not overlooked", async () => {
  await using core = startCore();
  const etag = (await put(core, "a", 1)).headers.get("etag") ?? "";
  const date = { "if-unmodified-since": new Date(0).toUTCString() };
  const rows: [string, RequestInit][] = [
    ["/contexts/a", send("PUT", "application/json", 2, date)],
    ["/contexts/a", { method: "DELETE", headers: date }],
    ["/contexts/a", { method: "DELETE", headers: { "if-none-match": etag } }],
    ["/contexts/a/restore", send("POST", "application/json", { version: 1 }, { "if-none-match": "*" })],
    ["/operations/context_put", send("POST", "application/json", { id: "a", content: 2 }, { "if-match": etag })],
  ];
  for (const [path, init] of rows) expect([path, (await core.http(path, init)).status]).toEqual([path, 400]);
  expect(core.log.position().seq).toBe(1);
});

test("If-Match takes lists, * and quotes; weak tags never match, a coding suffix does not matter, * needs a context", async () => {
  await using core = startCore();
  let etag = (await put(core, "a", 1)).headers.get("etag") ?? "";
  const accepted = (tag: string): string[] => [
    tag,
    "*",
    ` ${tag} `,
    `"x", ${tag}`,
    `"x","y" , W/"z",${tag}`,
    tag.replace(/"$/, '+gzip"'),
    tag.replace(/"$/, '+zstd"'),
    tag.replaceAll('"', ""),
  ];
  for (let index = 0; index < accepted("").length; index++) {
    const condition = accepted(etag)[index] ?? "";
    const written = await core.http("/contexts/a", send("PUT", "application/json", index, { "if-match": condition }));
    expect([condition, written.status]).toEqual([condition, 200]);
    etag = written.headers.get("etag") ?? "";
  }
  const late = [`W/${etag}`, `"x", W/${etag}`, etag.replace(/"$/, '+br"'), etag.replace(/-(.)/, "-$1$1"), '""', '"*"'];
  for (const condition of late) {
    const refused = await core.http("/contexts/a", send("PUT", "application/json", 0, { "if-match": condition }));
    expect([condition, refused.status]).toEqual([condition, 412]);
  }
  const unreadable = [
    "",
    " ",
    ",",
    "x",
    '"',
    `"x" "y"`,
    "**",
    `*, ${etag}`,
    Array.from({ length: 101 }, () => '"x"').join(),
  ];
  for (const condition of unreadable) {
    const refused = await core.http("/contexts/a", send("PUT", "application/json", 0, { "if-match": condition }));
    expect([condition, refused.status]).toEqual([condition, 400]);
  }
  for (const id of ["none", "a"]) {
    await core.http("/contexts/a", { method: "DELETE" });
    expect((await core.http(`/contexts/${id}`, send("PUT", "application/json", 0, { "if-match": "*" }))).status).toBe(
      412,
    );
  }
});

test("writes without the right are 403 on every place, whether the context exists or not", async () => {
  await using core = startCore();
  await put(core, "team/a", 1);
  const reader = granted({ role: "reader", spaces: ["team"] });
  for (const id of ["team/a", "team/none"]) {
    const rows: [string, RequestInit][] = [
      [id, send("PUT", "application/json", 2)],
      [id, send("PATCH", MERGE, {})],
      [id, { method: "DELETE" }],
      [`${id}/restore`, send("POST", "application/json", { version: 1 })],
    ];
    for (const [path, init] of rows) {
      const refused = await core.http(`/contexts/${path}`, init, reader);
      expect([path, init.method, refused.status]).toEqual([path, init.method, 403]);
    }
    for (const place of ["", "/metadata", "/versions", "/versions/1", "/diff?from=1", "/stream"]) {
      const hidden = await core.http(`/contexts/${id}${place}`, {}, granted({ role: "admin", spaces: ["other"] }));
      expect([place, hidden.status]).toEqual([place, 403]);
    }
  }
});
