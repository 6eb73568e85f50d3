// Presets of MCP: what each address offers, from the manifests; a tool under a name of its own.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { z } from "zod";
import { presetsPage, tokensOf } from "../../scripts/page-presets.ts";
import type { Caller } from "../../src/access/caller.ts";
import { type Grant, Rights } from "../../src/access/rights.ts";
import { FEATURES } from "../../src/features/index.ts";
import { mcpRoutes, presetCosts, presetsOf } from "../../src/mcp/index.ts";
import { callerByUrl, givenByUrl } from "../../src/mcp/preset.ts";
import { read } from "../../src/operation/define.ts";
import { operationsOf } from "../../src/operation/derive.ts";
import type { Feature } from "../../src/operation/feature.ts";
import { type Core, callerWith, startCore } from "../kit/core.ts";
import { connect, ERAS } from "../kit/mcp-client.ts";
import { type McpServer, startMcpServer } from "../kit/mcp-server.ts";
import { Raw } from "../kit/raw-session.ts";

const lookUp = read({
  name: "words_look_up",
  toolName: "search",
  title: "Look up",
  description: "Looks a word up.",
  input: z.object({ word: z.string() }),
  output: z.object({ word: z.string() }),
  access: { verb: "read", spaces: "visible" },
  run: (_reader, { word }) => ({ word }),
});

const words: Feature = {
  name: "words",
  apart: true,
  operations: () => [lookUp],
  prompts: [
    {
      ...{ name: "define", title: "Define", description: "Defines a word.", arguments: [], needs: ["words_look_up"] },
      text: async (_given, { ask }) => String((await ask("words_look_up", { word: "x" }))["word"]),
    },
  ],
  preset: {
    name: "words",
    summary: "words",
    tools: ["words_look_up", "context_list"],
    partsOf: ["words"],
    instructions: {
      about: "Words have meanings.",
      readers: ["- Look them up."],
      writers: { operation: "context_put", lines: ["- Write."], otherwise: "- Do not write." },
    },
  },
};

const features = [...FEATURES, words];
let core: Core;
let server: McpServer;
let callers: Record<string, Caller>;

beforeAll(() => {
  core = startCore({ operations: operationsOf(features), features });
  const caller = (role: string, more: object = {}) =>
    callerWith({ id: `n${role}`, login: role, grants: [{ role, spaces: ["team"], ...more }] });
  callers = {
    ann: caller("member"),
    reader: caller("reader"),
    few: callerWith({
      ...{ id: "nFEW", login: "few" },
      grants: [
        { role: "member", spaces: ["team"] },
        { role: "reader", spaces: ["other"], preset: "core,read-only" },
        { role: "reader", spaces: ["third"], preset: "collaboration" },
      ],
    }),
    wrong: callerWith({
      ...{ id: "nWRONG", login: "wrong" },
      grants: ["nothing", "core,words"].map((preset) => ({ role: "member", spaces: ["team"], preset })),
    }),
    readsAll: caller("reader", { preset: "all" }),
  };
  server = startMcpServer(core, { features, callers });
});

afterAll(async () => {
  await server.stop();
  await core[Symbol.asyncDispose]();
});

describe.each(ERAS)("%s client", (era) => {
  const namesAt = async (path: string, who = "ann") => {
    await using one = await connect(`${server.url}${path}`, era, who);
    return (await one.client.listTools()).tools.map(({ name }) => name);
  };

  test("a preset of a feature has its tools, prompts and instructions, and no others", async () => {
    for (const path of ["/words", "?preset=words"]) {
      await using one = await connect(`${server.url}${path}`, era, "ann");
      expect((await one.client.listTools()).tools.map(({ name }) => name)).toEqual(["context_list", "search"]);
      expect((await one.client.listPrompts()).prompts.map(({ name }) => name)).toEqual(["define"]);
      expect((await one.client.listResourceTemplates()).resourceTemplates).toEqual([]);
      const said = one.client.getInstructions() ?? "";
      expect(said).toContain("Words have meanings.");
      expect(said).toContain("- Write.");
      expect(said).not.toContain("context_patch");
      const { structuredContent, content } = await one.client.callTool({ name: "search", arguments: { word: "y" } });
      expect([structuredContent, content]).toMatchObject([{ word: "y" }, [{ type: "text" }]]);
      await expect(one.client.callTool({ name: "words_look_up", arguments: {} })).rejects.toThrow("Unknown tool");
      await expect(one.client.callTool({ name: "context_get", arguments: {} })).rejects.toThrow("Unknown tool");
      const { messages } = await one.client.getPrompt({ name: "define" });
      expect(messages).toMatchObject([{ content: { text: "x" } }]);
    }
  });

  test("the plain list is the same with and without the preset, and keeps the search of its own", async () => {
    await using plain = await connect(server.url, era, "ann");
    const { tools } = await plain.client.listTools();
    expect(tools.filter(({ name }) => name === "search")).toMatchObject([
      { title: expect.not.stringContaining("Look") },
    ]);
    expect(await namesAt("/all")).toEqual(tools.map(({ name }) => name));
    expect((await plain.client.listPrompts()).prompts.map(({ name }) => name)).not.toContain("define");
  });

  test("a grant names the preset of connections whose URL names none, and the URL gives no right beyond the grants", async () => {
    const reading = await namesAt("/core?preset=read-only", "few");
    expect(await namesAt("", "few")).toEqual(reading);
    expect(reading).not.toContain("context_put");
    // The URL leaves the preset of the grant aside, with its read-only.
    expect(await namesAt("/core", "few")).toContain("context_put");
    expect(await namesAt("?preset=all", "few")).toEqual(await namesAt("", "ann"));
    expect(await namesAt("/words", "few")).toEqual(["context_list", "search"]);
    expect(await namesAt("?preset=all", "readsAll")).not.toContain("context_put");
    await using one = await connect(server.url, era, "few");
    const refused = await one.client.callTool({ name: "context_put", arguments: { id: "team/x", content: 1 } });
    expect([refused.isError, JSON.stringify(refused.content)]).toEqual([true, expect.stringContaining("read-only")]);
    const who = await one.client.callTool({ name: "context_list", arguments: { prefix: "team/" } });
    expect(who.isError).not.toBe(true);
  });

  test("a preset in a grant that this build does not have is named as a problem, and the grant counts", async () => {
    expect(await namesAt("", "wrong")).toEqual(await namesAt("", "ann"));
    await using one = await connect(server.url, era, "wrong");
    const { structuredContent } = await one.client.callTool({ name: "whoami", arguments: {} });
    expect(structuredContent).toMatchObject({
      grants: [{ role: "member" }, { role: "member" }],
      problems: [
        expect.stringMatching(/^object 1 .* without its preset: there is no preset "nothing"; there are all, core, /),
        expect.stringMatching(/^object 2 .* core and words are two presets; only read-only can be added to one$/),
      ],
    });
    await using few = await connect(`${server.url}/all`, era, "few");
    const { structuredContent: known } = await few.client.callTool({ name: "whoami", arguments: {} });
    expect(known).toMatchObject({
      grants: [{}, { preset: "core,read-only" }, { preset: "collaboration" }],
      problems: [],
    });
  });

  test("read-only goes with every preset", async () => {
    const few = await namesAt("/core");
    const reading = await namesAt("/core?preset=read-only");
    expect(reading).toEqual(few.filter((name) => !["context_put", "context_patch", "context_delete"].includes(name)));
    expect(reading).toEqual(await namesAt("?preset=core,read-only"));
    expect(reading).toEqual(await namesAt("/core", "reader"));
    await using one = await connect(`${server.url}/core?preset=read-only`, era, "ann");
    const refused = await one.client.callTool({ name: "context_put", arguments: { id: "team/x", content: 1 } });
    expect([refused.isError, JSON.stringify(refused.content)]).toEqual([true, expect.stringContaining("read-only")]);
  });
});

test("docs/presets.md counts what a client gets, of every preset, and core has at most 3,500 tokens", async () => {
  const own = startCore({ operations: operationsOf(FEATURES) });
  const caller = (role: string) => callerWith({ id: "nALL", login: "all", grants: [{ role, spaces: ["*"] }] });
  const all = startMcpServer(own, { callers: { member: caller("member"), reader: caller("reader") } });
  const rows = new Map(
    [
      ...presetsPage(FEATURES).matchAll(
        /^\| `(\S+)` \| .*? \| (\d+) \| ([\d,]+) \| ([\d,]+) \| (\d+) \| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \|$/gm,
      ),
    ].map(([, name = "", ...counts]) => [name, counts.map((count) => Number(count.replaceAll(",", "")))]),
  );
  expect([...rows.keys()]).toEqual(presetsOf(FEATURES).map(({ name }) => name));
  for (const [name, [tools, tokens, shown, readOnly, readOnlyTokens, , instructions]] of rows) {
    await using one = await connect(`${all.url}/${name}`, "modern", "member");
    await using reading = await connect(`${all.url}/${name}`, "modern", "reader");
    const lists = [(await one.client.listTools()).tools, (await reading.client.listTools()).tools] as const;
    expect([name, lists[0].length, tokensOf(lists[0])]).toEqual([name, tools ?? 0, tokens ?? 0]);
    expect([name, lists[1].length, tokensOf(lists[1])]).toEqual([name, readOnly ?? 0, readOnlyTokens ?? 0]);
    const most = lists[0].map(({ name: tool, description, inputSchema }) => ({ name: tool, description, inputSchema }));
    expect([name, tokensOf(most)]).toEqual([name, shown ?? 0]);
    // The caller's name is another one than in the table.
    const said = one.client.getInstructions() ?? "";
    expect(said.length).toBeLessThanOrEqual(1500);
    expect(Math.abs(tokensOf(said) - (instructions ?? 0))).toBeLessThanOrEqual(15);
  }
  expect(rows.get("core")?.[1]).toBeLessThanOrEqual(3500);
  await all.stop();
  await own[Symbol.asyncDispose]();
});

test("instructions name the tools of agents, sessions, leases, memory and search, where the caller has them", () => {
  const said = (preset: string, grant: Partial<Grant>) => {
    const rights = new Rights(
      [{ role: "member", spaces: ["*"], tools: undefined, requestsPerMinute: undefined, ...grant }],
      [],
    );
    const { instructions = "" } =
      presetCosts(FEATURES, callerWith({}), rights).find((cost) => cost.preset.name === preset) ?? {};
    return instructions;
  };
  const writes = ["agent_register", "session_start", "lease_acquire", "memory_store"];
  const reads = ["inbox", "search", "memory_profile"];
  for (const tool of [...writes, ...reads]) {
    expect(said("all", {})).toContain(`${tool} (`);
    expect(said("core", {})).not.toContain(`${tool} (`);
    expect(said("all", { tools: ["context_*"] })).not.toContain(`${tool} (`);
  }
  for (const tool of writes) expect(said("all", { role: "reader" })).not.toContain(`${tool} (`);
  for (const tool of reads) expect(said("all", { role: "reader" })).toContain(`${tool} (`);
  expect(said("memory", {})).toContain("memory_store");
  expect(said("memory", { role: "reader" })).not.toContain("memory_store");
  expect(said("memory", {})).not.toContain("context_put");
  expect(said("collaboration", {})).toContain("add_message");
  // Room for a few spaces is left, the rest is counted.
  const spaces = (count: number) => Array.from({ length: count }, (_, at) => `team-${at}`);
  expect(said("all", { spaces: spaces(3) })).toContain('"team-2"');
  expect(said("all", { spaces: spaces(200) })).toContain("more_spaces");
  expect(said("all", { spaces: spaces(200) }).length).toBeLessThanOrEqual(1500);
});

test("an unknown preset is refused with those that are known", async () => {
  for (const [path, status] of [
    ["/nothing", 404],
    ["?preset=nothing", 400],
    ["/words?preset=core", 400],
  ] as const) {
    const response = await fetch(`${server.url}${path}`, { method: "POST", body: "{}" });
    expect([path, response.status]).toEqual([path, status]);
    const text = await response.text();
    for (const name of status === 404 || path.startsWith("?")
      ? ["all", "core", "collaboration", "words", "read-only"]
      : ["words"])
      expect(text).toContain(`/mcp?preset=${name}`);
  }
});

test("what a URL gives is given once, is short, and is that of its own connection", () => {
  const caller = callerWith({ id: "nURL", login: "url" });
  const rules = { known: ["all", "files"], granted: undefined, argumentsOf: () => ["space"] };
  const by = (query: string) => callerByUrl(`http://cairn/mcp/files${query}`, caller, rules) as Caller;
  const twice = ["?space=a&space=b", "?preset=files&preset=files", "?preset=read-only&preset=files"];
  for (const query of [...twice, `?space=${"x".repeat(257)}`, "?scope=own", "?__proto__=x"])
    expect([query, by(query)]).toEqual([query, expect.objectContaining({ code: "invalid_input" })]);
  const [one, other] = [by("?space=a"), by("?space=b")];
  expect([one, other, by(`?space=${"x".repeat(256)}`)].map((each) => givenByUrl(each)["space"]?.length)).toEqual([
    1, 1, 256,
  ]);
  expect([givenByUrl(one), givenByUrl(other), givenByUrl(by(""))]).toEqual([{ space: "a" }, { space: "b" }, {}]);
});

test("a session is known at the address alone at which it was opened", async () => {
  const paths = ["", "/core", "/core?preset=read-only", "?preset=read-only", "/memory-tool?space=team", "/memory-tool"];
  for (const path of paths) {
    const { headers } = await new Raw(`${server.url}${path}`).open("ann");
    const sent = { "content-type": "application/json", accept: "application/json, text/event-stream", ...headers };
    for (const other of paths) {
      const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/list", params: {} });
      const { status } = await fetch(`${server.url}${other}`, { method: "POST", headers: sent, body });
      expect([path, other, status]).toEqual([path, other, path === other ? 200 : 404]);
    }
  }
});

test("names of presets are unique, and can be in a URL", () => {
  const { preset } = words;
  if (preset === undefined) throw new Error("words have a preset");
  const named = (name: string): Feature[] => [...FEATURES, { name: "x", preset: { ...preset, name } }];
  for (const name of ["all", "core", "read-only", "collaboration", "Words", "a,b", "a/b", "", "-a", "a".repeat(33)])
    expect(() => presetsOf(named(name))).toThrow(`${JSON.stringify(name)} cannot be the name of a preset`);
  expect(mcpRoutes(named("a-2")).map(({ path }) => path)).toContain("/mcp/a-2");
});

test("what the presets of the build name is there", () => {
  const operations = new Map(operationsOf(FEATURES).map((operation) => [operation.name, operation]));
  const apart = new Set(operationsOf(FEATURES.filter((one) => one.apart === true)).map(({ name }) => name));
  const offered = new Set<string>();
  for (const { preset } of FEATURES) {
    for (const name of preset?.tools ?? []) {
      expect([name, operations.get(name)?.isTool, operations.has(name)]).toEqual([name, undefined, true]);
      offered.add(name);
    }
    const mentioned = FEATURES.flatMap(({ instructions }) => instructions?.tools ?? []);
    for (const { operation, verb } of mentioned)
      expect([operation, operations.get(operation)?.access.verb]).toEqual([operation, verb]);
    for (const name of preset?.partsOf ?? []) expect(FEATURES.map((one) => one.name)).toContain(name);
  }
  // A tool that is apart would otherwise be offered nowhere, and a tool of /mcp has its own name.
  expect([...apart].filter((name) => !offered.has(name) && operations.get(name)?.isTool !== false)).toEqual([]);
  const renamed = [...operations.values()].filter(({ toolName }) => toolName !== undefined);
  expect(renamed.filter(({ name }) => !apart.has(name))).toEqual([]);
});
