// The JSON of a page: what its operations returned to this caller, or why not, and who gets it.

import { describe, expect, test } from "bun:test";
import type { Caller } from "../../src/access/caller.ts";
import { agentFeature } from "../../src/features/agent/index.ts";
import { contextFeature } from "../../src/features/context/index.ts";
import { leaseFeature } from "../../src/features/lease/index.ts";
import { memoryFeature } from "../../src/features/memory/index.ts";
import { sessionFeature } from "../../src/features/session/index.ts";
import { callerWith, granted, localAdmin, startCore } from "../kit/core.ts";
import { webOver } from "../kit/web.ts";

function start() {
  const core = startCore({ features: [agentFeature, contextFeature, leaseFeature, sessionFeature, memoryFeature] });
  const web = webOver(core);
  const ask = async (path: string, init: RequestInit = {}, caller: Caller = localAdmin) => {
    const response = await web.fetch(new Request(`http://cairn${path}`, init), caller, "http");
    if (response === undefined) throw new Error(`${path} is no page`);
    const text = await response.text();
    const type = response.headers.get("content-type") ?? "";
    return { status: response.status, headers: response.headers, type, text };
  };
  const put = (id: string) => core.call("context_put", { id, content: "text" });
  return { core, ask, put, [Symbol.asyncDispose]: () => core[Symbol.asyncDispose]() };
}

interface PageJson {
  page: string;
  title: string;
  live?: string;
  asked: {
    operation: string;
    input: Record<string, unknown>;
    output?: Record<string, unknown>;
    error?: { code: string };
  }[];
}
const parse = (text: string): PageJson => JSON.parse(text);

/** Every page of these features, with an address that shows something of it. */
const PAGES = [
  ...["/", "/ui/contexts", "/ui/contexts/team-a/plan", "/ui/sessions", "/ui/inbox", "/ui/memory?space=team-a"],
  ...["/ui/leases", "/ui/agents", "/ui/audit", "/ui/connect", "/ui/search"],
];

describe("the JSON of a page", () => {
  test("is there for each, under the same address", async () => {
    await using web = start();
    await web.put("team-a/plan");
    for (const path of PAGES) {
      const page = await web.ask(path);
      expect([path, page.status, page.type]).toEqual([path, 200, "text/html; charset=utf-8"]);
      const json = await web.ask(`${path}${path.includes("?") ? "&" : "?"}format=json`);
      expect([path, json.status, json.type]).toEqual([path, 200, "application/json"]);
      expect(json.headers.get("content-security-policy")).toContain("default-src 'none'");
      expect([json.headers.get("x-content-type-options"), json.headers.get("vary")]).toEqual(["nosniff", "Accept"]);
      const { page: named, title } = parse(json.text);
      expect(named).toBe(path.split("?")[0] ?? "");
      expect(page.text).toContain(`<title>${title}</title>`);
      expect(page.text).toMatch(/<a href="[^"]*[?;]format=json" rel="alternate" type="application\/json">/);
    }
  });

  test("has the outputs of the operations that the page asked", async () => {
    await using web = start();
    await web.put("team-a/plan");
    const { asked, live } = parse((await web.ask("/ui/contexts?prefix=team-a/&format=json")).text);
    const list = asked.find(({ operation }) => operation === "context_list");
    expect(list?.input).toEqual({ limit: 50, prefix: "team-a/" });
    expect(list?.output).toEqual(await web.core.call("context_list", { limit: 50, prefix: "team-a/" }));
    expect(live).toMatch(/^\/ui\/live\?since=/);
  });

  test("leaves the page's own parameter `format` alone", async () => {
    await using web = start();
    await web.put("team-a/plan");
    await web.core.call("context_put", { id: "team-a/plan", content: "more" });
    const accept = { headers: { accept: "application/json" } };
    const { asked } = parse((await web.ask("/ui/contexts/team-a/plan?from=1&format=text", accept)).text);
    expect(asked.find(({ operation }) => operation === "context_diff")?.input).toEqual({
      id: "team-a/plan",
      from: 1,
      format: "text",
    });
  });

  test("is chosen by what the client accepts more than HTML", async () => {
    await using web = start();
    const typeFor = async (accept: string) =>
      (await web.ask("/ui/contexts", { headers: { accept } })).type.split(";")[0];
    for (const accept of [
      "application/json",
      "APPLICATION/JSON",
      "application/json, text/plain, */*",
      "application/json;q=0.9, text/html;q=0.8",
      "application/*, text/*;q=0.5",
    ])
      expect([accept, await typeFor(accept)]).toEqual([accept, "application/json"]);
    for (const accept of [
      "",
      "*/*",
      "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
      "text/html, application/json",
      "application/json;q=0, */*",
      "application/json;q=0",
      "application/json;q=oops, text/html;q=0.1",
      "application/jsonx",
    ])
      expect([accept, await typeFor(accept)]).toEqual([accept, "text/html"]);
  });

  test("shows a caller no more than the page: its rights, part by part", async () => {
    await using web = start();
    await web.put("hidden/planted");
    await web.put("team-a/plan");
    const reader = granted({ role: "reader", spaces: ["team-a"] });
    for (const path of PAGES) {
      const { text, status } = await web.ask(path, { headers: { accept: "application/json" } }, reader);
      expect([path, text.includes("planted")]).toEqual([path, false]);
      expect([path, status]).toEqual([path, path === "/ui/audit" ? 403 : 200]);
    }
    const narrow = granted({ role: "reader", spaces: ["team-a"], tools: ["context_list"] });
    const { asked } = parse((await web.ask("/?format=json", {}, narrow)).text);
    const of = (operation: string) => asked.find((each) => each.operation === operation);
    expect(of("context_list")?.output).toBeDefined();
    expect([of("whoami")?.output, of("whoami")?.error?.code]).toEqual([undefined, "forbidden"]);
  });

  test("of a Fault is a problem document with its status", async () => {
    await using web = start();
    const missing = await web.ask("/ui/contexts/team-a/none?format=json");
    expect([missing.status, missing.type, JSON.parse(missing.text).code]).toEqual([
      404,
      "application/problem+json",
      "not_found",
    ]);
    const nobody = callerWith({ id: "nEVE", login: "eve@example.com" });
    const refused = await web.ask("/?format=json", {}, nobody);
    expect([refused.status, JSON.parse(refused.text).code]).toEqual([403, "forbidden"]);
    const head = await web.ask("/ui/contexts?format=json", { method: "HEAD" });
    expect([head.status, head.type, head.text]).toEqual([200, "application/json", ""]);
  });
});
