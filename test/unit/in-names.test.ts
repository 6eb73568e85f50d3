// Instructions and errors of a preset name its tools, by the names in its list, and no others.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { FEATURES } from "../../src/features/index.ts";
import { Fault } from "../../src/lib/fault.ts";
import { inNames } from "../../src/lib/in-names.ts";
import { presetsOf } from "../../src/mcp/index.ts";
import { operationsOf } from "../../src/operation/derive.ts";
import { type Core, callerWith, startCore } from "../kit/core.ts";
import { connect } from "../kit/mcp-client.ts";
import { type McpServer, startMcpServer } from "../kit/mcp-server.ts";

const OPERATIONS = new Set(operationsOf(FEATURES).map(({ name }) => name));
let core: Core;
let server: McpServer;

beforeAll(() => {
  core = startCore({ operations: operationsOf(FEATURES), features: FEATURES });
  const grants = [{ role: "member", spaces: ["default", "team"] }] as const;
  const ann = callerWith({
    id: "nANN",
    login: "ann",
    grants: grants.map((each) => ({ ...each, spaces: [...each.spaces] })),
  });
  server = startMcpServer(core, { features: FEATURES, callers: { ann } });
});
afterAll(async () => {
  await server.stop();
  await core[Symbol.asyncDispose]();
});

/** Returns the names of operations in a text that are none of these tools; those in quotes are values. */
function foreign(text: string, tools: ReadonlySet<string>): string[] {
  const named = text.replaceAll(/"(?:[^"\\]|\\.)*"/g, "").match(/[a-z]+(?:_[a-z]+)+/g) ?? [];
  return named.filter((name) => OPERATIONS.has(name) && !tools.has(name));
}

test.each(presetsOf(FEATURES).map(({ name }) => name))("%s: instructions, and errors of every tool", async (preset) => {
  await using one = await connect(`${server.url}/${preset}`, "modern", "ann");
  const tools = new Set((await one.client.listTools()).tools.map(({ name }) => name));
  const said = one.client.getInstructions() ?? "";
  expect(foreign(said, tools)).toEqual([]);
  expect(said.includes("agent_register")).toBe(tools.has("agent_register"));
  for (const name of tools) {
    const { content, isError } = await one.client.callTool({ name, arguments: { nothing_known: 1 } });
    const [{ text = "" } = {}] = content as { text?: string }[];
    expect([name, foreign(text, tools)]).toEqual([name, []]);
    if (isError === true) expect(text).toContain(name);
  }
});

test("a refusal begins with the tool that was called, and leads to tools of its preset", async () => {
  const failed = async (preset: string, name: string, given: Record<string, unknown>) => {
    await using one = await connect(`${server.url}/${preset}`, "modern", "ann");
    return JSON.stringify((await one.client.callTool({ name, arguments: given })).content);
  };
  expect(await failed("openai", "search", {})).toContain("search: query is missing");
  expect(await failed("openai", "search", {})).not.toContain("openai_search");
  expect(await failed("memory-tool", "memory", {})).toContain("memory: command");
  expect(await failed("collaboration", "get_memory", { key: "zz" })).toContain("list_memory shows those");
});

test("a clause with a tool that is not there is left out, values stay", () => {
  const told = (message: string, hint: string) => {
    const names = { nameOf: (name: string) => ({ a_b: "x" })[name], isOperation: (name: string) => /^._.$/.test(name) };
    const fault = inNames(new Fault("invalid_input", message, { hint }), "called", names);
    return [fault.code, fault.message, fault.hint];
  };
  expect(told("a_b: no", 'Call a_b with "c_d. e"; or c_d. Wait.')).toEqual([
    ...["invalid_input", "x: no"],
    'Call x with "c_d. e"; Wait.',
  ]);
  expect(told("c_d: key is missing", "See c_d.")).toEqual(["invalid_input", "called: key is missing", undefined]);
  expect(told('No "a_b" in team/a_b', "a_b shows it; c_d too.")[1]).toBe('No "a_b" in team/a_b');
  expect(told("No", "a_b shows it; c_d too.")[2]).toBe("x shows it.");
});
