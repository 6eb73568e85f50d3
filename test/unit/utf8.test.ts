// Bytes that are not UTF-8 are refused at every door, with the place; a byte order mark before JSON is left out.

import { describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { loadPolicyFile } from "../../src/access/policy-file.ts";
import { linesOf } from "../../src/cli/export/export-file.ts";
import { parseJsonInput, readInput } from "../../src/cli/input.ts";
import { runCommandLine } from "../../src/cli/program.ts";
import { loadSettings } from "../../src/config/load.ts";
import { textOfUtf8 } from "../../src/lib/utf8.ts";
import { decodeFrame } from "../../src/peer/frames.ts";
import { CAPABILITY, startCore } from "../kit/core.ts";
import { startMcpServer } from "../kit/mcp-server.ts";
import { faultOf } from "../kit/refusal.ts";
import { temporaryFolder } from "../kit/temporary.ts";

/** `before`, a byte that no UTF-8 text has there, and `after`. */
function broken(before: string, after: string): Buffer {
  return Buffer.concat([Buffer.from(before), Buffer.from([0xe9]), Buffer.from(after)]);
}
const BOM = "\uFEFF";

function fileOf(name: string, content: string | Uint8Array): string {
  const path = join(temporaryFolder(), name);
  writeFileSync(path, content, { mode: 0o600 });
  return path;
}

test("the refusal says which byte, and that it may be UTF-16", () => {
  const of = (bytes: Uint8Array) => faultOf(() => textOfUtf8(bytes, "It"));
  expect(of(broken("caf", "!"))).toMatchObject({
    code: "invalid_input",
    message: "It is not UTF-8: byte 0x21 at offset 4",
  });
  expect(of(Buffer.from([0x61, 0xff])).message).toEndWith("byte 0xff at offset 1");
  expect(of(Buffer.from([0x61, 0xe2, 0x82])).message).toEndWith("its last character is cut off");
  expect(of(Buffer.concat([Buffer.alloc(70_000, "a"), Buffer.from([0xff])])).message).toContain("after the first");
  expect(of(Buffer.from(`${BOM}{}`, "utf16le")).hint).toContain("UTF-16");
});

describe("REST", () => {
  const send = (method: string, type: string, body: Uint8Array | string) => ({
    method,
    headers: { "content-type": type },
    body,
  });

  test("refuses bodies and queries", async () => {
    await using core = startCore();
    const asked: [string, RequestInit][] = [
      ["/contexts/a", send("PUT", "text/plain", broken("x", "y"))],
      ["/contexts/a", send("PUT", "application/json", broken('"x', 'y"'))],
      ["/contexts/a", send("PATCH", "application/merge-patch+json", broken('{"a":"', '"}'))],
      ["/operations/context_put", send("POST", "application/json", broken('{"id":"a","content":"', '"}'))],
      ["/contexts/a?title=%E9", send("PUT", "text/plain", "x")],
      ["/contexts/%E9", send("PUT", "text/plain", "x")],
      ["/contexts?prefix=a%ffb", {}],
    ];
    for (const [path, init] of asked) {
      const response = await core.http(path, init);
      expect([path, response.status, await response.json()]).toEqual([
        path,
        400,
        expect.objectContaining({ code: "invalid_input", hint: expect.stringContaining("UTF-8") }),
      ]);
    }
    expect(await core.call("context_list", {})).toMatchObject({ contexts: [] });
  });

  test("leaves out the mark before JSON, and keeps that of a text", async () => {
    await using core = startCore();
    await core.http("/contexts/a", send("PUT", "application/json", `${BOM}{"a":1}`));
    await core.http("/contexts/a", send("PATCH", "application/merge-patch+json", `${BOM}{"b":2}`));
    await core.http("/operations/context_put", send("POST", "application/json", `${BOM}{"id":"b","content":"x"}`));
    await core.http("/contexts/c", send("PUT", "text/plain", `${BOM}text`));
    await core.call("context_put", { id: "untyped", content: `${BOM}{"a":1}` });
    expect(await (await core.http("/contexts/a")).text()).toBe('{"a":1,"b":2}');
    expect(await (await core.http("/contexts/b")).text()).toBe("x");
    const untyped = await core.http("/contexts/untyped");
    expect([untyped.headers.get("cairn-content-type"), await untyped.text()]).toEqual(["application/json", '{"a":1}']);
    expect(Buffer.from(await (await core.http("/contexts/c")).bytes()).toString("hex")).toStartWith("efbbbf74");
  });
});

const ENVELOPE = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}`;
const MODERN = { "mcp-protocol-version": "2026-07-28", "mcp-method": "tools/call", "mcp-name": "context_put" };

/** A call of context_put up to the content, and after it. */
const call = (meta: string) =>
  [
    `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{${meta}"name":"context_put","arguments":{"id":"a","content":"`,
    `"}}}`,
  ] as const;

describe("MCP", () => {
  test.each([
    ["modern", MODERN, `${ENVELOPE},`],
    ["older", {}, ""],
  ] as const)(
    "refuses a body of the %s era, in one piece or streamed, and reads one after a mark",
    async (era, headers, meta) => {
      await using core = startCore();
      await using server = startMcpServer(core);
      const post = async (body: Uint8Array | string | ReadableStream<Uint8Array>, session = {}) =>
        fetch(server.url, {
          method: "POST",
          headers: {
            "content-type": "application/json",
            accept: "application/json, text/event-stream",
            ...headers,
            ...session,
          },
          body,
        });
      const [before, after] = call(meta);
      const bytes = broken(before, after);
      const streamed = new ReadableStream<Uint8Array>({
        start(controller) {
          controller.enqueue(bytes);
          controller.close();
        },
      });
      for (const body of [bytes, streamed]) {
        const response = await post(body);
        expect(response.status).toBe(400);
        expect(await response.json()).toMatchObject({
          error: { code: -32700, message: expect.stringContaining("The body is not UTF-8: byte 0x22 at offset") },
        });
      }
      let session = {};
      if (era === "older") {
        const opened = await post(
          `${BOM}{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`,
        );
        await opened.text();
        session = { "mcp-session-id": opened.headers.get("mcp-session-id") ?? "" };
      }
      expect(await (await post(`${BOM}${before}ü${after}`, session)).text()).toContain('"structuredContent"');
      expect(await core.call("context_get", { id: "a" })).toMatchObject({ content: "ü" });
    },
  );
});

test("files of the command line", async () => {
  await expect(readInput(fileOf("a.txt", broken("x", "y")))).rejects.toThrow("is not UTF-8: byte 0x79 at offset 2");
  expect(parseJsonInput(await readInput(fileOf("a.json", `${BOM}{"a":1}`)), "it")).toEqual({ a: 1 });
  expect(faultOf(() => parseJsonInput(`${BOM}{"a":}`, "It")).message).toBe(
    'It is not JSON: line 1, column 6: expected a value, found "}"',
  );
  const lines = async (file: string) => Array.fromAsync(linesOf(file, AbortSignal.timeout(5000)));
  await expect(lines(fileOf("a.jsonl", broken('{}\n{"a":"', '"}\n')))).rejects.toThrow(/a.jsonl: Line 2 is not UTF-8/);
  expect(await lines(fileOf("b.jsonl", `${BOM}{}\n{}\n`))).toEqual(["{}", "{}"]);
  // The runtime has put U+FFFD in place of the byte by then.
  expect(await runCommandLine(["context", "get", "caf\uFFFD"], {})).toBe(2);
});

test("policy and settings", () => {
  const policy = '{"grants":[{"src":["*"],"app":{}}]}';
  expect(loadPolicyFile(fileOf("p.json", BOM + policy), CAPABILITY).rules.length).toBe(1);
  expect(faultOf(() => loadPolicyFile(fileOf("p.json", broken('{"x":"', '"}')), CAPABILITY)).message).toContain(
    "it is not UTF-8: byte 0x22 at offset 7",
  );
  const settings = (content: string | Uint8Array) => loadSettings({ env: {}, configFile: fileOf("c.toml", content) });
  expect(settings(`${BOM}hostname = "x"`).settings.hostname).toBe("x");
  expect(faultOf(() => settings(broken('hostname = "', '"'))).message).toContain(
    "it is not UTF-8: byte 0x22 at offset 13",
  );
});

test("frames of peers: short and long texts, keys too", () => {
  const long = Buffer.concat([Buffer.from([0xda, 0x01, 0x00]), broken("x".repeat(200), "y".repeat(55))]);
  for (const bytes of [[0xa2, 0x61, 0xe9], [0x81, 0xa1, 0xe9, 0x01], [0x91, 0xd9, 0x01, 0xff], long])
    expect(faultOf(() => decodeFrame(Uint8Array.from(bytes))).message).toContain("a text is not UTF-8");
  expect(decodeFrame(Uint8Array.from([0xa2, 0xc3, 0xa9]))).toBe("é");
});
