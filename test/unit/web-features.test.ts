// The pages over features of a test's own: what a manifest brings is served, linked, placed and followed, and nothing
// of it is known to web/ by name.

import { expect, test } from "bun:test";
import { z } from "zod";
import { auditQuery } from "../../src/features/context/audit-query.ts";
import { contextFeature, contextOperations } from "../../src/features/context/index.ts";
import { Fault } from "../../src/lib/fault.ts";
import { read } from "../../src/operation/define.ts";
import type { Feature } from "../../src/operation/feature.ts";
import type { Section } from "../../src/operation/page.ts";
import { Services } from "../../src/operation/services.ts";
import { whoami } from "../../src/operation/whoami.ts";
import { createWeb } from "../../src/web/index.ts";
import { Site } from "../../src/web/site.ts";
import { localAdmin, startCore } from "../kit/core.ts";

let runs = 0;
const memoCount = read({
  name: "memo_count",
  title: "Count memos",
  description: "Counts memos.",
  input: z.object({ of: z.string().optional() }),
  output: z.object({ count: z.number() }),
  access: { verb: "read", spaces: "visible" },
  run: () => ({ count: ++runs }),
});

const section = (order: number, text: string): Section => ({
  column: "side",
  order,
  show: async (visit) => ({ body: `${text} ${(await visit.ask(memoCount)).count}.` }),
});

/** Memos: a list at one path, each below another, two sections. */
const memos: Feature = {
  name: "memos",
  operations: () => [memoCount],
  pages: [
    {
      path: "/ui/memos",
      summary: "The page /ui/memos",
      navigation: { order: 20, label: "Memos" },
      open: async () => ({ title: "all memos", follows: { prefix: "memos/" }, body: "the memos" }),
    },
    {
      path: "/ui/memos/",
      summary: "The page /ui/memos/",
      open: async (visit) => {
        if (visit.rest === "gone") throw new Fault("deleted", "This memo was deleted");
        const { name, members } = await visit.frame();
        return { title: `${visit.rest} on ${name}`, body: `memo ${visit.rest}, ${members.length} members` };
      },
    },
    {
      path: "/ui/memos/new",
      summary: "The page /ui/memos/new",
      navigation: { order: 10, label: "New" },
      open: async () => ({ title: "new", body: "" }),
    },
  ],
  sections: [section(60, "last"), section(5, "first")],
  style: ".memo { color: red; }",
  frame: async () => ({ name: "node.example.ts.net", status: "failing", url: undefined, members: [] }),
};

function start(features: readonly Feature[]) {
  const core = startCore({ operations: [...contextOperations, auditQuery(new Services()), whoami, memoCount] });
  const web = createWeb({
    invoker: core.invoker,
    features,
    version: "0.0.0-test",
    secureUrl: () => undefined,
    nowMs: Date.now,
    onUnexpected: String,
  });
  const ask = async (path: string) => {
    const response = await web.fetch(new Request(`http://cairn${path}`), localAdmin, "http");
    return { status: response?.status, text: (await response?.text()) ?? "" };
  };
  return { ask, [Symbol.asyncDispose]: () => core[Symbol.asyncDispose]() };
}

test("pages are found by their path; one that ends with / has all below it that no other has", async () => {
  await using web = start([memos]);
  expect((await web.ask("/ui/memos")).text).toContain("<title>all memos</title>");
  expect((await web.ask("/ui/memos/new")).text).toContain("<title>new</title>");
  expect((await web.ask("/ui/memos/a%20b/c?x=1")).text).toContain("memo a b/c, 0 members");
  expect((await web.ask("/ui/memos/%252F")).text).toContain("memo %2F, 0 members");
  expect((await web.ask("/ui/memos/gone")).status).toBe(410);
  for (const path of ["/ui/memosx", "/ui/memo", "/ui/memos/%E0%A4%A", "/ui/contexts/a"])
    expect((await web.ask(path)).status).toBe(404);
});

test("the bar links pages by their order, and shows what the feature says of the node", async () => {
  await using web = start([contextFeature, memos]);
  const { text } = await web.ask("/ui/memos/a");
  const bar = (own: string) =>
    `<nav aria-label="Pages"><a href="/">Overview</a>${own}<a href="/ui/connect">Connect</a></nav>`;
  const memosLink = '<a href="/ui/memos" aria-current="page">Memos</a>';
  const [before, after] = ['<a href="/ui/contexts">Contexts</a>', '<a href="/ui/audit">Audit</a>'];
  expect(text).toContain(bar(`<a href="/ui/memos/new">New</a>${before}${memosLink}${after}`));
  expect(text).toContain("<title>a on node.example.ts.net</title>");
  expect(text).toContain('<span class="pill failing">failing</span>');
  expect(text).toContain(".memo { color: red; }");
  await using bare = start([]);
  expect((await bare.ask("/ui/nothing")).text).toContain(bar(""));
});

test("sections stand in their order among those of others, and the same call runs once a visit", async () => {
  await using web = start([memos, contextFeature]);
  runs = 0;
  const { text } = await web.ask("/");
  const places = ["first 1.", 'id="you"', 'id="connect-title"', "last 1."].map((words) => text.indexOf(words));
  expect(places.every((place) => place > 0)).toBe(true);
  expect(places).toEqual([...places].sort((a, b) => a - b));
  expect(text).toContain("<title>node.example.ts.net: contexts</title>");
  expect((await web.ask("/")).text).toContain("first 2.");
});

test("a page follows what it says, a page that says nothing has no stream", async () => {
  await using web = start([contextFeature, memos]);
  expect((await web.ask("/ui/memos")).text).toMatch(/data-live="\/ui\/live\?since=[^"&]+&amp;prefix=memos%2F"/);
  expect((await web.ask("/ui/memos/a")).text).not.toContain("data-live=");
  await using deaf = start([memos]);
  expect((await deaf.ask("/ui/live")).status).toBe(404);
});

test("two pages with one path are refused, and one outside of /ui/", () => {
  const open = async () => ({ title: "", body: "" });
  for (const paths of [["/ui/a", "/ui/a"], ["/contexts"], ["/ui/live"], ["/ui/icon.svg"], ["/"]])
    expect(() => new Site([{ name: "x", pages: paths.map((path) => ({ path, summary: "", open })) }], [])).toThrow(
      "a page cannot",
    );
});
