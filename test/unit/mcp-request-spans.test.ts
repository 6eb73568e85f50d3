// Spans of requests of MCP that call no operation, or are refused before they do.

import { describe, expect, test } from "bun:test";
import { FEATURES } from "../../src/features/index.ts";
import { createMcp } from "../../src/mcp/index.ts";
import type { EndedSpan } from "../../src/observe/trace/span.ts";
import { Tracer } from "../../src/observe/trace/tracer.ts";
import { localAdmin, startCore } from "../kit/core.ts";

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT = `00-${TRACE}-00f067aa0ba902b7-01`;
const JSON_TYPES = { "content-type": "application/json", accept: "application/json, text/event-stream" };

/** A tracer that records this share of traces, and its spans as they end. */
function traced(ratio = 1) {
  const spans: EndedSpan[] = [];
  return { tracer: new Tracer({ ratio, sink: (span) => spans.push(span) }), spans };
}

describe("a request of MCP that calls no operation", () => {
  const modern = "2026-07-28";
  const envelope = {
    "io.modelcontextprotocol/protocolVersion": modern,
    "io.modelcontextprotocol/clientInfo": { name: "test", version: "1" },
    "io.modelcontextprotocol/clientCapabilities": {},
  };
  const asking = (core: ReturnType<typeof startCore>) => {
    const mcp = createMcp({ invoker: core.invoker, features: FEATURES, version: "0", log: () => {} });
    const ask = async (method: string, params: object = {}, meta: object = {}) => {
      const message = { jsonrpc: "2.0", id: 1, method, params: { ...params, _meta: { ...envelope, ...meta } } };
      const headers = { ...JSON_TYPES, "mcp-protocol-version": modern, "mcp-method": method };
      const init = { method: "POST", headers, body: JSON.stringify(message) };
      const response = await mcp.fetch(new Request("http://cairn/mcp", init), localAdmin);
      return response.json() as Promise<Record<string, unknown>>;
    };
    return { mcp, ask };
  };

  test("has a span of its method, below the trace of its message, and its answer is whole", async () => {
    const { tracer, spans } = traced(0);
    await using core = startCore({ tracer });
    const { mcp, ask } = asking(core);
    const listed = await ask("tools/list", {}, { traceparent: PARENT });
    expect((listed["result"] as { tools: unknown[] }).tools.length).toBeGreaterThan(5);
    await ask("prompts/list");
    expect(spans).toMatchObject([
      {
        ...{ name: "tools/list", kind: "server", error: undefined, parent: { traceId: TRACE } },
        attributes: { "cairn.surface": "mcp", "mcp.method.name": "tools/list" },
      },
    ]);
    expect(spans[0]?.attributes).not.toHaveProperty("error.type");
    await mcp.close();
  });

  test("says the number of its error, and nothing that the caller sent", async () => {
    const { tracer, spans } = traced();
    await using core = startCore({ tracer });
    const { mcp, ask } = asking(core);
    await ask("secret/method", { text: "canary" });
    await ask("tools/list", { cursor: "canary" });
    await ask("tools/call", { name: 7 });
    const seen = spans.map(({ name, attributes, error }) => [name, attributes["error.type"], error]);
    expect(seen).toEqual([
      ["unknown", "-32601", undefined],
      ["tools/list", "-32602", undefined],
      ["tools/call", "-32602", undefined],
    ]);
    for (const word of ["secret", "canary"]) expect(JSON.stringify(spans)).not.toContain(word);
    await mcp.close();
  });

  test("is one span, and those that call an operation have that of the call alone", async () => {
    const { tracer, spans } = traced();
    await using core = startCore({ tracer });
    const { mcp, ask } = asking(core);
    await ask("resources/list");
    await ask("ping");
    expect(spans.map(({ name }) => name)).toEqual(["context_list", "ping"]);
    await mcp.close();
  });
});
