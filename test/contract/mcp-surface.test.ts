// Every operation as an MCP tool, as real clients of both eras meet it: schemas, structured answers with their text
// twin, hints, aliases, pages, the read-only preset, hidden spaces.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { fromJsonSchema } from "@modelcontextprotocol/server";
import { z } from "zod";
import type { Caller } from "../../src/access/caller.ts";
import { contextOperations } from "../../src/features/context/index.ts";
import { act } from "../../src/operation/define.ts";
import { whoami } from "../../src/operation/whoami.ts";
import { type Core, callerWith, startCore } from "../kit/core.ts";
import { type Connected, connect, ERAS, textOf } from "../kit/mcp-client.ts";
import { type McpServer, startMcpServer } from "../kit/mcp-server.ts";
import { sampleInputs } from "../kit/sample-input.ts";

let core: Core;
let server: McpServer;

/** May everything that is a tool, named in full, in some spaces, and verify the audit, which is of all of them. */
const everything = (spaces: string[]): Caller => {
  const names = core.invoker.registry.list().map(({ operation }) => operation.name);
  const grants = [
    { role: "operator", spaces, tools: names },
    { role: "operator", spaces: ["*"], tools: ["audit_verify"] },
  ];
  return callerWith({ id: "nALL", login: "all@x", grants });
};

beforeAll(() => {
  core = startCore();
  server = startMcpServer(core, {
    callers: {
      all: everything(["team", "team-legacy", "team-modern"]),
      whole: everything(["*"]),
      hiddenFrom: everything(["team-a"]),
      operator: callerWith({ id: "nOP", login: "op@x", grants: [{ role: "operator", spaces: ["*"] }] }),
      reader: callerWith({ id: "nREADER", login: "r@x", grants: [{ role: "reader", spaces: ["*"] }] }),
    },
  });
});

afterAll(async () => {
  await server.stop();
  await core[Symbol.asyncDispose]();
});

type Json = Record<string, unknown>;

const call = async (one: Connected, name: string, input: Json) => {
  const result = await one.client.callTool({ name, arguments: input });
  return { isError: result.isError === true, value: (result.structuredContent ?? textOf(result)) as Json, result };
};

/** Reads list no schema of their answers, which are those of the operation with the position. */
function withPosition(schema: Json): Json {
  return { ...schema, properties: { position: { type: "string" }, ...(schema["properties"] as Json) } };
}

describe.each(ERAS)("%s client", (era) => {
  test("each tool answers what its output schema says, twice if short: structured and as text", async () => {
    await using one = await connect(server.url, era, "all");
    const { tools } = await one.client.listTools();
    const seen = new Set<string>();
    const run = async (name: string, input: Json, as = one): Promise<Json> => {
      const { isError, value, result } = await call(as, name, input);
      expect([name, input, isError ? value : "ok"]).toEqual([name, input, "ok"]);
      expect(textOf(result)).toEqual(value);
      const entry = core.invoker.registry.get(name);
      const isRead = entry?.operation.kind === "read" && entry.operation.local !== true;
      const listed = tools.find((tool) => tool.name === name)?.outputSchema;
      expect([name, listed === undefined]).toEqual([name, isRead]);
      const schema = isRead ? withPosition(entry.outputSchema) : listed;
      const judged = await fromJsonSchema(z.json().parse(schema) as Json)["~standard"].validate(value);
      expect([name, judged.issues ?? []]).toEqual([name, []]);
      expect(Object.keys(value)).toContain("position");
      seen.add(name);
      return value;
    };
    const id = `team-${era}/all`;
    const first = await run("context_put", { id, content: { a: 1, list: [1] }, tags: ["x"], if_none_match: "*" });
    await run("context_patch", { id, format: "merge", patch: { b: 2 }, if_match: first["etag"] });
    await run("context_get", { id });
    await run("context_get", { id, version: 1, format: "text" });
    await run("context_metadata", { id });
    await run("context_list", { prefix: `team-${era}/`, fields: ["title"] });
    expect(await run("context_history", { id })).toMatchObject({ versions: [{ version: 2 }, { version: 1 }] });
    await run("context_diff", { id, from: 1 });
    await run("context_diff", { id, from: 1, format: "text" });
    await run("context_restore", { id, version: 1 });
    await run("context_many", {
      writes: [
        { operation: "context_put", id: `${id}-2`, content: "text" },
        { operation: "context_delete", id },
      ],
    });
    const waited = await run("context_wait", { prefix: `team-${era}/`, since: first["position"], timeout_seconds: 1 });
    expect(waited).toMatchObject({ timed_out: false });
    // The position to go on from is the last change looked at, not what the node had applied when the wait began.
    const again = await run("context_wait", { id, since: waited["position"], timeout_seconds: 0 });
    expect(again).toMatchObject({ changes: [], timed_out: true });
    await run("context_delete", { id: `${id}-2` });
    await run("context_purge", { id: `${id}-2` });
    await run("audit_query", { limit: 3 });
    // It judges the whole node, so a grant for some spaces is none for it.
    await using whole = await connect(server.url, era, "whole");
    await run("audit_verify", {}, whole);
    await run("whoami", {});
    await run("space_configure", { space: `team-${era}`, edge: "stale" });
    expect(await run("space_settings", {})).toMatchObject({ spaces: [{ space: `team-${era}`, edge: "stale" }] });
    await run("space_configure", { space: `team-${era}`, edge: "fresh" });
    await run("context_grep", { pattern: "a|b", prefix: `team-${era}/` });
    await run("prime", {});
    await run("prime", { space: `team-${era}`, format: "text" });
    expect([...seen].sort()).toEqual(tools.map((tool) => tool.name).sort());
  });

  test("hints are honest: what only reads, what cannot be had back, and nothing reaches outside", async () => {
    await using one = await connect(server.url, era, "all");
    const { tools } = await one.client.listTools();
    const destructive = tools.filter((tool) => tool.annotations?.destructiveHint === true).map((tool) => tool.name);
    expect(destructive).toEqual(["context_delete", "context_many", "context_purge"]);
    const writing = tools.filter((tool) => tool.annotations?.readOnlyHint === false).map((tool) => tool.name);
    expect(writing.sort()).toEqual(
      contextOperations
        .filter((operation) => operation.kind === "write" && operation.internal !== true)
        .filter((operation) => operation.access.verb !== "admin")
        .map((operation) => operation.name)
        .sort(),
    );
    expect(tools.every((tool) => tool.annotations?.openWorldHint === false)).toBe(true);
  });

  test("the list says which tools wait, which take an idempotency key, and that all take a position", async () => {
    await using one = await connect(server.url, era, "all");
    const { tools } = await one.client.listTools();
    for (const { name, inputSchema, _meta } of tools) {
      const waits = Object.hasOwn(inputSchema.properties ?? {}, "timeout_seconds") && { waits: true };
      const keyed = core.invoker.registry.get(name)?.operation.kind === "write" && { keyed: true };
      const said = { positioned: true, ...waits, ...keyed };
      expect([name, _meta?.["cairn.internal/operation"]]).toEqual([name, said]);
    }
    expect(tools.length).toBeGreaterThan(15);
  });

  test("names that agents try for an argument work; a wrong one gets the near name", async () => {
    await using one = await connect(server.url, era, "all");
    const key = `team/${era}-alias`;
    const written = await call(one, "context_put", { key, text: "one two", mime_type: "text/plain" });
    expect(written.value).toMatchObject({ id: key, created: true });
    expect((await call(one, "context_get", { name: key })).value).toMatchObject({ content: "one two" });
    const patch = [{ op: "replace", old_string: "two", new_string: "three" }];
    const patched = await call(one, "context_patch", { path: key, format: "edit", patch, etag: written.value["etag"] });
    expect(patched.value).toMatchObject({ version: 2 });
    expect((await call(one, "context_get", { key })).value).toMatchObject({ content: "one three" });
    const both = await call(one, "context_get", { key, id: key });
    expect(both).toMatchObject({ isError: true, value: { code: "invalid_input", field: "id" } });
    const wrong = await call(one, "context_get", { id: key, versoin: 1 });
    expect(wrong).toMatchObject({ isError: true, value: { code: "invalid_input", hint: "Did you mean version?" } });
    expect(both.result.structuredContent).toBeUndefined();
  });

  test("?preset=read-only offers what reads, and refuses a write in the call itself", async () => {
    const url = `${server.url}?preset=read-only`;
    const id = `team/${era}-read-only`;
    await core.call("context_put", { id, content: 1 });
    await using one = await connect(url, era, "all");
    const { tools } = await one.client.listTools();
    expect(tools.filter((tool) => tool.annotations?.readOnlyHint !== true)).toEqual([]);
    expect(tools.map((tool) => tool.name)).toContain("context_wait");
    expect((await one.client.listPrompts()).prompts.map((prompt) => prompt.name)).toEqual(["prime"]);
    expect(one.client.getInstructions()).toContain('"role":"reader"');
    expect(one.client.getInstructions()).not.toContain("with context_put");
    expect((await call(one, "context_get", { id })).value).toMatchObject({ content: 1 });
    const before = core.log.position().seq;
    for (const { operation } of core.invoker.registry.list()) {
      if (operation.kind !== "write") continue;
      for (const input of sampleInputs(core.invoker.registry, operation, [id])) {
        const refused = call(one, operation.name, input).then(({ isError, value }) =>
          isError ? `${value["code"]} ${value["message"]}` : value,
        );
        const said = await refused.catch((error: Error) => error.message);
        expect([operation.name, input, said]).toEqual([
          operation.name,
          input,
          expect.stringMatching(/^forbidden This connection is read-only|Unknown tool/),
        ]);
      }
    }
    expect(core.log.position().seq).toBe(before);
    await using free = await connect(server.url, era, "all");
    expect((await call(free, "context_put", { id, content: 2 })).isError).toBe(false);
  });

  test("a long answer is sent once, as text; a document over the limit in parts, which put together are the document", async () => {
    await using one = await connect(server.url, era, "all");
    const id = `team-${era}/long`;
    const line = "mark of a line\n";
    const whole = line.repeat(9000);
    await core.call("context_put", { id, content: whole });
    const parts: string[] = [];
    for (let chars: string | undefined = "1-"; chars !== undefined; ) {
      const input: Json = parts.length === 0 ? { id } : { id, chars };
      const { value, result } = await call(one, "context_get", input);
      expect(result.structuredContent).toBeUndefined();
      expect(Object.keys(value)[0]).toBe("position");
      const content = String(value["content"]);
      expect(content.length).toBeLessThanOrEqual(60_000);
      expect(JSON.stringify(result).split("mark of a line").length - 1).toBe(content.length / line.length);
      expect(value["part"]).toMatchObject({ total_chars: whole.length, total_lines: 9000 });
      parts.push(content);
      chars = (value["part"] as { next?: string }).next;
    }
    expect([parts.length, parts.join("")]).toEqual([3, whole]);
    expect((await call(one, "context_get", { id, max_chars: 200_000 })).value["content"]).toBe(whole);
    expect((await call(one, "context_get", { id, lines: "8999-" })).result.structuredContent).toMatchObject({
      content: line.repeat(2),
    });
    const uri = `cairn:///${id}`;
    const first = (await one.client.readResource({ uri })).contents[0];
    expect(first).toMatchObject({
      text: parts[0],
      _meta: { "cairn.internal/context": { part: { total_chars: whole.length, next: expect.any(String) } } },
    });
    const second = (await one.client.readResource({ uri: `${uri}?lines=2-3` })).contents[0];
    expect(second).toMatchObject({ uri: `${uri}?lines=2-3`, text: line.repeat(2) });
    await core.call("context_put", { id: `${id}-json`, content: { key: "value" } });
    for (const [query, type] of [
      ["", "application/json"],
      ["?chars=1-5", "text/plain"],
    ] as const)
      expect((await one.client.readResource({ uri: `${uri}-json${query}` })).contents[0]).toMatchObject({
        mimeType: type,
      });
    await expect(one.client.readResource({ uri: `${uri}?line=2` })).rejects.toThrow("a query of lines, chars only");
  });

  test("no tool shows or touches a space without a grant, by any argument; nor do lists, prompts, resources", async () => {
    const canary = { title: "canary-title", tags: ["canary-tag"], content: "canary-text" };
    await core.call("context_put", { id: "hidden/plan", ...canary });
    await using one = await connect(server.url, era, "hiddenFrom");
    const answers: unknown[] = [];
    const before = core.log.position().seq;
    const { tools } = await one.client.listTools();
    answers.push(tools, one.client.getInstructions());
    expect(tools.length).toBeGreaterThan(15);
    for (const { name } of tools) {
      const operation = core.invoker.registry.get(name)?.operation;
      if (operation === undefined) throw new Error(`${name} is a tool and no operation`);
      for (const input of sampleInputs(core.invoker.registry, operation, ["hidden/plan", "hidden/none"])) {
        const { isError, value } = await call(one, name, input);
        if (isError) expect([name, input, value]).toMatchObject([name, input, { code: "forbidden" }]);
        // A refusal repeats what was asked for; an answer has nothing of it.
        if (!isError) expect([name, JSON.stringify(value)]).toEqual([name, expect.not.stringContaining("hidden/plan")]);
        answers.push([name, value]);
      }
    }
    answers.push(await one.client.listResources(), await one.client.listPrompts());
    answers.push(await one.client.getPrompt({ name: "prime" }));
    for (const [name, value] of [
      ["space", "h"],
      ["space", ""],
      ["id", "hidden"],
      ["id", ""],
    ] as const) {
      const ref = { type: "ref/prompt", name: "handoff" } as const;
      const { completion } = await one.client.complete({ ref, argument: { name, value } });
      answers.push(completion.values.filter((shown) => shown.includes("hidden")));
    }
    await expect(one.client.getPrompt({ name: "prime", arguments: { space: "hidden" } })).rejects.toMatchObject({
      code: 403,
    });
    await expect(
      one.client.getPrompt({ name: "handoff", arguments: { topic: "t", space: "hidden" } }),
    ).rejects.toMatchObject({
      code: 403,
    });
    expect(JSON.stringify(answers)).not.toContain("canary");
    expect(core.log.position().seq).toBe(before);
  });

  test("lists are the same for equal rights and differ for others", async () => {
    const names = async (as: string) => {
      await using one = await connect(server.url, era, as);
      return (await one.client.listTools()).tools.map((tool) => tool.name);
    };
    const [all, operator, reader] = await Promise.all(["all", "operator", "reader"].map(names));
    expect(all).toContain("context_purge");
    expect(operator).not.toContain("context_purge");
    expect(reader).not.toContain("context_put");
    expect(await names("reader")).toEqual(reader ?? []);
  });
});

test("what a query of the URL says is understood or refused", async () => {
  for (const query of ["?preset=write", "?preset=read-only&x=1", "?readonly", "?preset=read-only&preset=read-only"]) {
    const response = await fetch(`${server.url}${query}`, {
      method: "POST",
      headers: { "content-type": "application/json", accept: "application/json, text/event-stream" },
      body: "{}",
    });
    expect([query, response.status]).toEqual([query, 400]);
    expect(await response.text()).toContain("/mcp?preset=read-only");
  }
});

test("a read-only session is none of the caller's other connections", async () => {
  const readOnly = await connect(`${server.url}?preset=read-only`, "legacy", "all");
  const headers = {
    "content-type": "application/json",
    accept: "application/json, text/event-stream",
    "x-test-caller": "all",
    "mcp-session-id": readOnly.transport.sessionId ?? "",
  };
  const body = JSON.stringify({
    jsonrpc: "2.0",
    id: 9,
    method: "tools/call",
    params: { name: "context_put", arguments: { id: "team/escape", content: 1 } },
  });
  expect((await fetch(server.url, { method: "POST", headers, body })).status).toBe(404);
  const held = await fetch(`${server.url}?preset=read-only`, { method: "POST", headers, body });
  expect(await held.text()).toContain("read-only");
  await readOnly.client.close();
});

test("long lists of tools come in pages with opaque cursors, forged ones are refused", async () => {
  const many = Array.from({ length: 230 }, (_, index) =>
    act({
      name: `act_${String(index).padStart(3, "0")}`,
      title: "Act",
      description: "For tests.",
      input: z.object({}),
      output: z.object({}),
      access: { verb: "read", spaces: "visible" },
      run: () => ({}),
    }),
  );
  await using own = startCore({ operations: [...contextOperations, ...many, whoami] });
  await using paged = startMcpServer(own);
  const ask = async (method: string, params: Json) => {
    const meta = {
      "io.modelcontextprotocol/protocolVersion": "2026-07-28",
      "io.modelcontextprotocol/clientCapabilities": {},
    };
    const response = await fetch(paged.url, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        accept: "application/json, text/event-stream",
        "mcp-protocol-version": "2026-07-28",
        "mcp-method": method,
      },
      body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params: { ...params, _meta: meta } }),
    });
    return (await response.json()) as { result: Json & { tools: { name: string }[] }; error?: { code: number } };
  };
  const names: string[] = [];
  let cursor: unknown;
  let pages = 0;
  do {
    const { result } = await ask("tools/list", cursor === undefined ? {} : { cursor });
    names.push(...result.tools.map((tool) => tool.name));
    expect(result).toMatchObject({ ttlMs: 60_000, cacheScope: "private" });
    cursor = result["nextCursor"];
    pages++;
  } while (cursor !== undefined);
  expect(pages).toBe(3);
  expect(names).toEqual([...new Set(names)].sort());
  expect(names.length).toBeGreaterThan(240);
  const foreign = Buffer.from("prompts/list\nprime").toString("base64url");
  for (const forged of ["x", "", "../..", foreign, "YWN0XzAwMQ"]) {
    for (const method of ["tools/list", "resources/templates/list"]) {
      expect([method, forged, (await ask(method, { cursor: forged })).error?.code]).toEqual([method, forged, -32602]);
    }
  }
  expect((await ask("prompts/list", { cursor: "x" })).error?.code).toBe(-32602);
  expect((await ask("resources/list", { cursor: "%" })).error?.code).toBe(-32602);
});
