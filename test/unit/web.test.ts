// The pages as strings: what they may never show, how they show what others wrote, and the headers around them. A
// browser looks at them in test/system/page.test.ts.

import { describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import fc from "fast-check";
import type { Caller } from "../../src/access/caller.ts";
import { agentFeature } from "../../src/features/agent/index.ts";
import { contextOperations } from "../../src/features/context/index.ts";
import { FEATURES } from "../../src/features/index.ts";
import { indentJson } from "../../src/lib/indent-json.ts";
import { operationsOf } from "../../src/operation/derive.ts";
import { whoami } from "../../src/operation/whoami.ts";
import { nameText } from "../../src/page/text.tsx";
import { createWeb, type Scheme } from "../../src/web/index.ts";
import { callerWith, granted, localAdmin, startCore } from "../kit/core.ts";
import { ALONE, statusWith } from "../kit/fleet-report.ts";

const status = statusWith(async () => ({
  status: "warning",
  version: "0.0.0-test",
  commit: "source",
  uptime_seconds: 90,
  position: "0000000000-0",
  ...ALONE,
  tailnet: {
    engine: "loopback",
    state: "Running",
    control: "connected",
    name: "cairn.example.ts.net",
    ips: ["100.64.0.1"],
    key_expiry: null,
    https: false,
    funnel_available: false,
  },
  backup: { at: new Date(Date.now() - 7_500_000).toISOString(), position: "0-1", bytes: 1, target: "/b", next: null },
  urls: ["http://cairn.example.ts.net"],
  conditions: [
    {
      code: "key_expires_soon",
      severity: "warning",
      title: "Node key expires soon",
      text: "in 3 days \u202e",
      hint: "Log in again.",
      since: new Date(0).toISOString(),
    },
  ],
}));

function start(options: { secureUrl?: string; operations?: Parameters<typeof startCore>[0] } = {}) {
  const core = startCore({ operations: [...contextOperations, whoami, status], ...options.operations });
  const unexpected: unknown[] = [];
  const web = createWeb({
    invoker: core.invoker,
    features: FEATURES,
    version: "0.0.0-test",
    secureUrl: () => options.secureUrl,
    nowMs: Date.now,
    onUnexpected: (error) => `w${unexpected.push(error)}`,
  });
  const ask = async (path: string, caller: Caller = localAdmin, init: RequestInit = {}, scheme: Scheme = "http") => {
    const response = await web.fetch(new Request(`http://cairn${path}`, init), caller, scheme);
    if (response === undefined) throw new Error(`${path} is no page`);
    return response;
  };
  const page = async (path: string, caller?: Caller) => (await ask(path, caller)).text();
  const put = (id: string, content: unknown, more: object = {}, caller: Caller = localAdmin) =>
    core.call("context_put", { id, content, ...more }, caller);
  return { core, web, ask, page, put, unexpected, [Symbol.asyncDispose]: () => core[Symbol.asyncDispose]() };
}

const nobody = callerWith({ id: "nEVE", login: "eve@example.com" });
const reader = granted({ role: "reader", spaces: ["team-a"] });

describe("headers", () => {
  test("every answer is private, strict and needs nothing from elsewhere", async () => {
    await using web = start();
    await web.put("team-a/plan", "text");
    const answers = {
      "/": localAdmin,
      "/?prefix=team-a/": localAdmin,
      "/?cursor=%21": localAdmin,
      "/ui/contexts/team-a/plan": localAdmin,
      "/ui/contexts/team-a/none": localAdmin,
      "/ui/nothing": localAdmin,
      "/ui/icon.svg": localAdmin,
      "/ui/live": reader,
      "/ui/contexts/": nobody,
    };
    for (const [path, caller] of Object.entries(answers)) {
      const { headers, body } = await web.ask(path, caller);
      await body?.cancel();
      expect(headers.get("x-content-type-options")).toBe("nosniff");
      expect(headers.get("cross-origin-opener-policy")).toBe("same-origin");
      expect(headers.get("cross-origin-resource-policy")).toBe("same-origin");
      expect(headers.get("referrer-policy")).toBe("same-origin");
      expect(headers.get("cache-control")).toStartWith("private");
      expect(headers.get("strict-transport-security")).toBeNull();
      expect(headers.get("access-control-allow-origin")).toBeNull();
      const policy = headers.get("content-security-policy") ?? "";
      expect(policy).toContain("default-src 'none'");
      expect(policy).toContain("frame-ancestors 'none'");
      expect(policy).toContain("base-uri 'none'");
      expect(policy).not.toMatch(/unsafe|\*|https?:|data:/);
    }
  });

  test("the policy's hashes are those of the page's only script and only style", async () => {
    await using web = start();
    const response = await web.ask("/");
    const policy = response.headers.get("content-security-policy");
    const text = await response.text();
    for (const element of ["script", "style"]) {
      const found = [...text.matchAll(new RegExp(`<${element}[^>]*>([^]*?)</${element}>`, "g"))];
      expect(found).toHaveLength(1);
      const hash = createHash("sha256")
        .update(found[0]?.[1] ?? "")
        .digest("base64");
      expect(policy).toContain(`${element}-src 'sha256-${hash}'`);
    }
    expect(text).not.toMatch(/\son[a-z]+=|\sstyle=|javascript:/);
    for (const [, address] of text.matchAll(/\s(?:href|src|action|data-live)="([^"]*)"/g))
      expect(address).toMatch(/^[/#]/);
  });

  test("where there are certificates, pages live on https", async () => {
    await using web = start({ secureUrl: "https://cairn.example.ts.net" });
    const moved = await web.ask("/ui/contexts/team-a/plan?version=1&from=2", reader);
    expect(moved.status).toBe(308);
    expect(moved.headers.get("location")).toBe("https://cairn.example.ts.net/ui/contexts/team-a/plan?version=1&from=2");
    const secure = await web.ask("/", reader, {}, "https");
    expect(secure.status).toBe(200);
    expect(secure.headers.get("strict-transport-security")).toMatch(/^max-age=\d{7,}$/);
    // A browser on the node's own machine came by loopback, which has no certificate.
    expect((await web.ask("/", localAdmin)).status).toBe(200);
  });

  test("only /, /ui and what is below are pages, and they are only read", async () => {
    await using web = start();
    for (const path of ["/contexts", "/uix", "/uix/a", "/mcp", "/health"])
      expect(await web.web.fetch(new Request(`http://cairn${path}`), localAdmin, "http")).toBeUndefined();
    for (const method of ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"]) {
      const refused = await web.ask("/", localAdmin, { method });
      expect([refused.status, refused.headers.get("allow")]).toEqual([405, "GET, HEAD"]);
    }
    const head = await web.ask("/", localAdmin, { method: "HEAD" });
    expect([head.status, await head.text()]).toEqual([200, ""]);
  });
});

describe("rights", () => {
  test("a caller without any gets 403 and the grant to paste, on every page", async () => {
    await using web = start();
    for (const path of ["/", "/?prefix=team-a/", "/ui/contexts/team-a/plan", "/ui/live"]) {
      const response = await web.ask(path, nobody);
      const text = await response.text();
      expect(response.status).toBe(403);
      expect(text).toContain("&quot;cairn.internal/cap/cairn&quot;");
      expect(text).toContain("[&quot;eve@example.com&quot;]");
    }
  });

  test("a hidden space never appears, by any page and any parameter", async () => {
    await using web = start();
    await web.put("hidden/planted", "kept secret", { title: "kept secret", tags: ["planted", "kept secret"] });
    await web.put("hidden/planted", "kept secret 2");
    await web.put("team-a/plan", "text", { tags: ["seen"] });
    const { cursor } = await web.core.call("context_list", { limit: 1 });
    const paths = [
      "/",
      "/?prefix=hidden/",
      "/?prefix=hidden",
      "/?tag=planted",
      `/?cursor=${String(cursor)}`,
      "/ui/contexts/hidden/planted",
      "/ui/contexts/hidden%2Fplanted?version=1",
      "/ui/contexts/hidden/planted?from=1&to=2",
      "/ui/contexts/hidden/planted?before=2",
    ];
    for (const path of paths) {
      const text = await web.page(path, reader);
      expect(text).not.toMatch(/kept|href="[^"]*hidden(\/|%2F)planted|version 2/i);
    }
    // What is there and what is not cannot be told apart.
    const there = await web.ask("/ui/contexts/hidden/planted", reader);
    const missing = await web.ask("/ui/contexts/hidden/missing", reader);
    expect([there.status, missing.status]).toEqual([403, 403]);
    expect((await there.text()).replaceAll("planted", "missing")).toBe(await missing.text());
    expect((await web.ask("/ui/live?id=hidden/planted", reader)).status).toBe(403);
  });

  test("a part that the caller may not use is missing alone", async () => {
    await using web = start();
    await web.put("team-a/plan", "text");
    const narrow = granted({ role: "reader", spaces: ["team-a"], tools: ["context_list"] });
    const response = await web.ask("/", narrow);
    expect(response.status).toBe(200);
    const text = await response.text();
    expect(text).toContain("/ui/contexts/team-a/plan");
    expect(text).toContain("may not use whoami in any space: it needs the role reader");
  });

  test("whoami, grants and problems are shown", async () => {
    await using web = start();
    const mixed = granted({ role: "reader", spaces: ["team-a"] }, { role: "reader", spaces: 7 });
    const text = await web.page("/", mixed);
    expect(text).toContain("alice@example.com");
    expect(text).toContain("grants nothing");
    expect(text).toContain("Node key expires soon");
  });
});

/** What no page may hold: control characters, and marks that are invisible or change the order. */
const ODD =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u200b-\u200f\u202a-\u202e\u2066-\u2069\u{e0000}-\u{e007f}]/u;
const NASTY = `</pre></bdi></script><script>alert(1)</script><img src=x onerror=alert(1)>"'&amp;`;

describe("text by others", () => {
  test("of a client about itself is shown in the history as said by it, beside the verified author", async () => {
    await using web = start();
    const call = { caller: localAdmin, client: `<b>x</b> 1`, signal: AbortSignal.timeout(5_000) };
    await web.core.invoker.invoke({ ...call, operation: "context_put", input: { id: "team-a/said", content: "one" } });
    await web.put("team-a/said", "two");
    const history = /<ol class="history">.*?<\/ol>/s.exec(await web.page("/ui/contexts/team-a/said"))?.[0] ?? "";
    const lines = history.split("<li>").slice(1);
    const words = lines.map((line) => line.replaceAll(/<[^>]*>/g, ""));
    expect(words).toEqual([
      expect.not.stringContaining("said by the client"),
      expect.stringContaining("local, said by the client: &lt;b&gt;x&lt;/b&gt; 1"),
    ]);
  });

  test("of the agent as which a caller acted is shown in the history before that caller", async () => {
    const operations = [...contextOperations, ...operationsOf([agentFeature])];
    await using web = start({ operations: { operations } });
    const { handle } = await web.core.call("agent_register", { name: "builder" });
    await web.core.call("context_put", { id: "team-a/acted", content: "one", as: handle });
    const history = /<ol class="history">.*?<\/ol>/s.exec(await web.page("/ui/contexts/team-a/acted"))?.[0] ?? "";
    expect(history.replaceAll(/<[^>]*>/g, "")).toContain("agent builder of local");
    expect(history).not.toContain(String(handle));
  });

  test("is escaped wherever it stands", async () => {
    await using web = start();
    const author = callerWith({ login: `<b>"'@x`, own: true });
    await web.put(
      "team-a/nasty",
      NASTY,
      { title: NASTY, tags: [NASTY.slice(0, 60)], content_type: "text/html" },
      author,
    );
    await web.put("team-a/nasty", `${NASTY}\n2`, { content_type: "text/html" }, author);
    await web.put("team-a/json", { [NASTY]: NASTY });
    await web.put("team-a/json", { [NASTY]: `${NASTY}2` });
    await web.put("team-a/next", "x", { metadata: { [NASTY]: NASTY }, supersedes: ["team-a/<b>x"] });
    const paths = [
      "/ui/contexts/team-a/next",
      "/",
      `/?prefix=${encodeURIComponent('"><b>')}`,
      `/?tag=${encodeURIComponent(NASTY)}`,
      "/ui/contexts/team-a/nasty",
      "/ui/contexts/team-a/nasty?from=1",
      "/ui/contexts/team-a/json?from=1",
      "/ui/contexts/team-a/json?from=1&format=text",
      `/ui/contexts/${encodeURIComponent(NASTY)}`,
      `/ui/contexts/team-a/nasty?from=${encodeURIComponent(NASTY)}`,
      `/ui/${encodeURIComponent(NASTY)}`,
    ];
    for (const path of paths) {
      const text = await web.page(path, author);
      expect(text.match(/<script/g)).toHaveLength(1);
      expect(text).not.toMatch(/<img|<b>|alert\(1\)<\/script>/);
    }
  });

  test("has its invisible and reordering characters shown", async () => {
    await using web = start();
    const odd = "a\u202eb\u200bc\u0007d\u{e0041}e\u00adf";
    await web.put("team-a/odd", `${odd}\r\nline\rend`, { title: "t\u2066t", tags: ["x\u200dy"] });
    await web.put("team-a/odd", `${odd} more`);
    await web.put("team-a/next", "x", { metadata: { [odd]: odd }, supersedes: ["team-a/odd"] });
    for (const path of [
      "/ui/contexts/team-a/next",
      "/",
      "/ui/contexts/team-a/odd",
      "/ui/contexts/team-a/odd?version=1",
      "/ui/contexts/team-a/odd?from=1",
    ]) {
      const text = await web.page(path);
      expect(text).not.toMatch(ODD);
    }
    const text = await web.page("/ui/contexts/team-a/odd?version=1");
    for (const shown of ["\\u{202e}", "\\u{200b}", "\\u{7}", "\\u{e0041}", "\\u{ad}", "\\u{d}end"])
      expect(text.replaceAll(/<\/?b[^>]*>/g, "")).toContain(shown);
  });

  test("that is long is cut, and says so", async () => {
    await using web = start();
    await web.put("team-a/long", "x".repeat(300_000));
    const text = await web.page("/ui/contexts/team-a/long");
    expect(text.length).toBeLessThan(200_000);
    expect(text).toContain("The first 128.0 KiB of 293.0 KiB");
  });
});

describe("one context", () => {
  test("shows its versions, their texts and what changed", async () => {
    await using web = start();
    for (let version = 1; version <= 25; version++) await web.put("team-a/plan", `line\nversion ${version}\n`);
    const newest = await web.page("/ui/contexts/team-a/plan");
    expect(newest).toContain("version 25");
    expect(newest).toContain("?from=24&amp;to=25");
    expect(newest).not.toContain("version 6\n");
    const older = newest.match(/href="([^"]*before=[^"]*)"/)?.[1]?.replaceAll("&amp;", "&") ?? "";
    expect(await web.page(older)).toContain("?from=1&amp;to=2");
    expect(await web.page("/ui/contexts/team-a/plan?version=3")).toContain("Text of version 3");
    const diff = await web.page("/ui/contexts/team-a/plan?from=3&to=25");
    expect(diff).toMatch(/class="gone"><bdi>-version 3/);
    expect(diff).toMatch(/class="come"><bdi>\+version 25/);
  });

  test("tells of deletion and of versions that are gone", async () => {
    await using web = start();
    await web.put("team-a/plan", { a: 1 });
    await web.put("team-a/plan", { a: 2 });
    await web.core.call("context_purge", { id: "team-a/plan", versions: [1] });
    await web.core.call("context_delete", { id: "team-a/plan" });
    const text = await web.page("/ui/contexts/team-a/plan");
    expect(text).toContain("was deleted by");
    expect(text).toContain("purged");
    expect((await web.ask("/ui/contexts/team-a/plan?version=1")).status).toBe(200);
    expect((await web.ask("/ui/contexts/team-a/plan?from=1&to=2")).status).toBe(200);
    expect((await web.ask("/ui/contexts/team-a/none")).status).toBe(404);
    expect((await web.ask("/ui/contexts/%E0%A4%A")).status).toBe(404);
    expect((await web.ask("/ui/contexts/a/../b%2F..")).status).toBe(400);
    expect(web.unexpected).toEqual([]);
  });

  test("the list has pages and filters", async () => {
    await using web = start();
    for (let index = 0; index < 60; index++)
      await web.put(`team-a/c${100 + index}`, "x", { tags: index === 7 ? ["one"] : [] });
    const first = await web.page("/");
    expect(first).toContain("team-a/c149");
    expect(first).not.toContain("team-a/c150");
    const next = first.match(/href="([^"]*)">Next page/)?.[1]?.replaceAll("&amp;", "&") ?? "";
    expect(await web.page(next)).toContain("team-a/c159");
    expect(await web.page("/?prefix=team-a/c11")).not.toContain("team-a/c120");
    const tagged = await web.page("/?tag=one");
    expect(tagged).toContain("team-a/c107");
    expect(tagged).not.toContain("team-a/c106");
    expect(await web.page("/?prefix=zzz")).toContain("No context matches.");
    expect((await web.ask("/?prefix=%E9")).status).toBe(400);
  });
});

describe("the stream", () => {
  const events = (body: ReadableStream<Uint8Array> | null) => {
    const reading = body?.getReader();
    return async () => {
      const { value, done } = (await reading?.read()) ?? { value: undefined, done: true };
      return done ? "closed" : new TextDecoder().decode(value);
    };
  };

  test("tells of what the caller may see, from a position on, and of nothing else", async () => {
    await using web = start();
    await web.put("team-a/plan", "1");
    const since = web.core.invoker.position();
    const { body, headers } = await web.ask(`/ui/live?since=${since}`, reader);
    expect(headers.get("content-type")).toBe("text/event-stream");
    const next = events(body);
    expect(await next()).toMatch(/^retry: 2000\nid: \S+\nevent: open\n/);
    const waiting = next();
    await web.put("hidden/planted", "1");
    await Bun.sleep(50);
    await web.put("team-a/plan", "2");
    const told = await waiting;
    expect(told).toContain("event: change");
    expect(told).not.toContain("plan");
    const resumed = await web.ask("/ui/live", reader, { headers: { "last-event-id": since } });
    expect(await events(resumed.body)()).toContain("event: change");
    expect((await web.ask("/ui/live?since=ffffffffff-1", reader)).status).toBe(410);
    web.web.close();
  });

  test("ends when rights may have changed, when the node stops, and counts as a stream of the caller", async () => {
    await using web = start({ operations: { streamsPerCaller: 2 } });
    const open = async () => {
      const next = events((await web.ask("/ui/live", reader)).body);
      await next();
      return next();
    };
    const oldest = open();
    await Bun.sleep(20);
    const [first, second] = [open(), open()];
    // A wait that was left behind gives way to a new one.
    expect(await oldest).toContain("event: end\ndata: rate_limited");
    web.web.callersChanged(["nSOMEONE"]);
    expect(await Promise.race([first, second, Bun.sleep(50).then(() => "open")])).toBe("open");
    web.web.callersChanged([reader.id]);
    expect(await first).toContain("event: end");
    expect(await second).toContain("event: end");
    const third = open();
    await Bun.sleep(20);
    web.web.close();
    expect(await third).toContain("event: end");
  });
});

describe("indentJson", () => {
  test("changes nothing but white space outside strings", () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 6 }), fc.integer({ min: 0, max: 4 }), (json, space) => {
        const value = JSON.parse(json);
        const laid = indentJson(JSON.stringify(value, null, space));
        expect(JSON.stringify(JSON.parse(laid))).toBe(JSON.stringify(value));
        expect(laid).toBe(JSON.stringify(value, null, 2));
      }),
    );
    expect(indentJson('{"a":1.50,"b":1e400,"a\\"{":[ ]}')).toBe('{\n  "a": 1.50,\n  "b": 1e400,\n  "a\\"{": []\n}');
    expect(indentJson('{"cut": "in the midd')).toBe('{\n  "cut": "in the midd');
  });
});

test("members are called by their names where they wrote", () => {
  const members = [{ node: "nB", name: "berlin" }];
  const shown = ["user:ada@example.com", "local:dev@nB", "node:nB", "node:nBC", "local@nC", "nB"].map((author) =>
    nameText(author, members),
  );
  expect(shown).toEqual(["ada@example.com", "local:dev@berlin", "node:berlin", "node:nBC", "local@nC", "berlin"]);
});

test("the fleet's part says who leads, what may fail and how each member does, to readers only", async () => {
  await using web = start();
  const page = await (await web.ask("/", localAdmin)).text();
  const part = page.slice(page.indexOf('id="fleet"'), page.indexOf('id="node"'));
  for (const words of [
    "led by",
    "1 voting, profile home",
    "No voter may fail",
    "central, leads, this node",
    "up to date",
    "busy: 25 % (load) · 4 CPUs",
  ])
    expect(part).toContain(words);
  expect(page).toContain("last 2 h ago, next only on demand");
  expect(await (await web.ask("/", nobody)).text()).not.toContain("No voter may fail");
});
