// The configuration of MCP clients: every line parses in its format, names the node, and keeps words apart. `npm run
// clients` runs the lines with the clients themselves.

import { describe, expect, test } from "bun:test";
import { CLIENTS, clientLines } from "../../src/lib/client-lines.ts";

describe("client lines", () => {
  const target = {
    name: "cairn",
    mcpUrl: "http://cairn/mcp",
    bridge: ["/opt/my cairn", "bridge", "--url", "http://cairn"],
  };

  test("every client has lines, whose files parse and name the node", () => {
    for (const transport of ["http", "stdio"] as const) {
      for (const client of CLIENTS) {
        const { steps, title } = clientLines(client, target, transport);
        expect([title === "", steps.length > 0]).toEqual([false, true]);
        for (const step of steps) {
          const wanted = transport === "http" && client !== "claude-desktop" ? "http://cairn/mcp" : "bridge";
          expect(step.text).toContain(wanted);
          if (step.kind === "run") continue;
          const parsed = step.where.includes(".toml") ? Bun.TOML.parse(step.text) : JSON.parse(step.text);
          expect(JSON.stringify(parsed)).toContain('"cairn":{');
        }
      }
    }
  });

  test("words are quoted for the shell, and options of the bridge are kept from the client's own", () => {
    const words = (client: (typeof CLIENTS)[number]) => clientLines(client, target, "stdio").steps[0]?.text;
    expect(words("claude-code")).toBe("claude mcp add cairn -- '/opt/my cairn' bridge --url http://cairn");
    expect(words("gemini-cli")).toBe("gemini mcp add --scope user cairn '/opt/my cairn' bridge -- --url http://cairn");
    expect(words("qwen-code")).toBe("qwen mcp add cairn '/opt/my cairn' bridge -- --url http://cairn");
    expect(words("opencode")).toBe("opencode mcp add cairn -- '/opt/my cairn' bridge --url http://cairn");
    expect(words("copilot-cli")).toBe("copilot mcp add cairn -- '/opt/my cairn' bridge --url http://cairn");
    const odd = clientLines("claude-code", { ...target, name: "it's", mcpUrl: "http://x/$(id)" }).steps[0]?.text;
    expect(odd).toBe("claude mcp add --transport http 'it'\\''s' 'http://x/$(id)'");
  });
});
