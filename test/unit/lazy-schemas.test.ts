// A start makes no JSON Schema: they are made when a client asks for what holds them.

import { expect, test } from "bun:test";
import { z } from "zod";
import { act, type Operation } from "../../src/operation/define.ts";
import { Registry } from "../../src/operation/registry.ts";

test("an operation's schemas are made when they are asked for, once", () => {
  let asked = 0;
  const operation: Operation = act({
    name: "node_ping",
    title: "Ping",
    search: "is it there",
    description: "Answers.",
    input: z.object({ text: z.string() }),
    output: z.object({ text: z.string() }),
    access: { verb: "read", spaces: "visible" },
    run: async ({ text }) => ({ text }),
  });
  const { output } = operation;
  Object.defineProperty(operation, "output", {
    get: () => {
      asked += 1;
      return output;
    },
  });
  const registry = new Registry([operation]);
  expect(registry.find("node_ping").name).toBe("node_ping");
  expect(asked).toBe(0);
  const entry = registry.get("node_ping");
  expect(entry?.outputSchema).toMatchObject({ type: "object", properties: { text: { type: "string" } } });
  expect(entry?.outputSchema).toBe(registry.list()[0]?.outputSchema as Record<string, unknown>);
  expect(entry?.inputSchema).toMatchObject({ properties: { text: {}, consistency: {} }, additionalProperties: false });
  expect(asked).toBe(1);
});
