// What a failed call looks like to models and programs: a sentence with what to do, then JSON, and nothing that a
// client judges by the schema of success.

import { expect, test } from "bun:test";
import { fromJsonSchema } from "@modelcontextprotocol/server";
import { z } from "zod";
import { failedCall, JsonRpcError } from "../../src/bridge/json-rpc.ts";
import { failedResult, faultBody, sentenceOf } from "../../src/lib/failed-result.ts";
import { Fault } from "../../src/lib/fault.ts";
import { callerWith, startCore } from "../kit/core.ts";
import { connect, ERAS } from "../kit/mcp-client.ts";
import { startMcpServer } from "../kit/mcp-server.ts";

test("the sentence says what failed and what to do", () => {
  expect(sentenceOf({ message: "There is no x", hint: "List them." })).toBe("There is no x. List them.");
  expect(sentenceOf({ message: "Is it there?", hint: "" })).toBe("Is it there?");
  expect(sentenceOf(new Fault("internal", "It broke"))).toBe("It broke.");
});

test("a failed call is a sentence, then its JSON, without structured content", () => {
  const fault = new Fault("version_mismatch", "Not written", { hint: "Read it again.", details: { etag: "2-ab" } });
  const body = { code: "version_mismatch", message: "Not written", hint: "Read it again.", retryable: false };
  const result = failedResult(faultBody(fault));
  expect(result).toEqual({
    isError: true,
    content: [
      { type: "text", text: "Not written. Read it again." },
      { type: "text", text: JSON.stringify({ ...body, etag: "2-ab" }) },
    ],
    _meta: { "cairn.internal/fault": { ...body, etag: "2-ab" } },
  });
});

test("no detail takes the place of code, message or retryable", () => {
  const fault = new Fault("not_found", "There is no x", {
    details: { code: "other", message: "", retryable: true, x: 1 },
  });
  expect(faultBody(fault)).toEqual({ code: "not_found", message: "There is no x", retryable: false, x: 1 });
});

test.each(ERAS)("%s clients that judge results by the output schema take every failure", async (era) => {
  await using core = startCore();
  const reader = callerWith({ id: "nR", login: "r@x", grants: [{ role: "reader", spaces: ["team"] }] });
  await using server = startMcpServer(core, { callers: { reader } });
  await using one = await connect(server.url, era, "reader");
  const { tools } = await one.client.listTools();
  for (const [name, input, code] of [
    ["context_get", { id: "team/none" }, "not_found"],
    ["context_get", {}, "invalid_input"],
    ["context_get", { id: "other/x" }, "forbidden"],
    ["context_put", { id: "team/x", content: "x" }, "forbidden"],
    ["context_list", { cursor: "x" }, "invalid_input"],
  ] as const) {
    const result = await one.client.callTool({ name, arguments: input });
    const [sentence, json] = result.content as { text: string }[];
    expect([name, result.isError, Object.hasOwn(result, "structuredContent")]).toEqual([name, true, false]);
    const { message, hint, ...others } = JSON.parse(json?.text ?? "");
    expect(others).toMatchObject({ code, retryable: false });
    expect(sentence?.text).toBe(sentenceOf({ message, hint }));
    expect(hint).toBeString();
  }
  const shown = await one.client.callTool({ name: "whoami", arguments: {} });
  const schema = z.json().parse(tools.find(({ name }) => name === "whoami")?.outputSchema);
  const judged = await fromJsonSchema(schema as Record<string, unknown>)["~standard"].validate(shown.structuredContent);
  expect(judged.issues).toBeUndefined();
});

test("a name that is no tool gets the near one, and a resource what to do", async () => {
  await using core = startCore();
  await using server = startMcpServer(core);
  await using one = await connect(server.url, "modern");
  const failed = one.client.callTool({ name: "context_gte", arguments: {} });
  await expect(failed).rejects.toThrow("Unknown tool: context_gte. Did you mean context_get?");
  await expect(one.client.callTool({ name: "remember", arguments: {} })).rejects.toThrow("tools/list has those");
  await expect(one.client.getPrompt({ name: "handoff", arguments: {} })).rejects.toMatchObject({
    message: expect.stringContaining("topic is missing"),
  });
});

test("what fails on the way is a result of a tool call, and an error of everything else", () => {
  const down = new JsonRpcError(503, "No node answers", { code: "not_running", hint: "Start it.", retryable: true });
  const call = { method: "tools/call", params: { name: "whoami" } };
  const body = { code: "not_running", message: "No node answers", hint: "Start it.", retryable: true };
  expect(failedCall(call, down)).toEqual(failedResult(body));
  const _meta = { "io.modelcontextprotocol/protocolVersion": "2026-07-28" };
  const modern = { ...call, params: { ...call.params, _meta } };
  expect(failedCall(modern, down)).toEqual({ ...failedResult(body), resultType: "complete" });
  expect(failedCall(call, new JsonRpcError(-32603, "The bridge failed", {}))?._meta["cairn.internal/fault"]).toEqual({
    code: "internal",
    message: "The bridge failed",
    retryable: false,
  });
  expect(failedCall(call, new JsonRpcError(-32602, "Invalid params", {}))).toBeUndefined();
  expect(failedCall({ method: "tools/list" }, down)).toBeUndefined();
});
