// Rights before bodies (security.md 14): what is refused without reading a byte of the body, how large a body may be
// for what it is, and how much of them is in flight. Over real sockets in one process.

import { describe, expect, test } from "bun:test";
import { connect, type Socket } from "node:net";
import type { Caller } from "../../src/access/caller.ts";
import { FEATURES } from "../../src/features/index.ts";
import { BodyBudget, readBytes } from "../../src/lib/request-body.ts";
import { createMcp } from "../../src/mcp/index.ts";
import { callerWith, granted, startCore } from "../kit/core.ts";
import { eventually } from "../kit/eventually.ts";
import { CALLER_HEADER, type ServedCore, serveCore } from "../kit/served-core.ts";

const MIB = 1024 * 1024;
const stranger = callerWith({ kind: "tagged", id: "nSTRANGER", login: "", tags: ["tag:x"] });
const reader = granted({ role: "reader", spaces: ["*"] });
const member = granted({ role: "member", spaces: ["team"] });

/** A request with a body of 8 MB, of which it counts the bytes that were taken. */
function unread(path: string, init: RequestInit = {}): { request: Request; taken: () => number } {
  let taken = 0;
  const body = new ReadableStream(
    {
      pull: (controller) => {
        taken += 64 * 1024;
        if (taken > 8 * MIB) controller.close();
        else controller.enqueue(new Uint8Array(64 * 1024).fill(0x20));
      },
    },
    { highWaterMark: 0 },
  );
  const headers = { "content-type": "application/json", ...(init.headers as Record<string, string>) };
  return {
    request: new Request(`http://cairn${path}`, { method: "POST", ...init, body, headers }),
    taken: () => taken,
  };
}

describe("refused before the body is read", () => {
  test.each<[string, string, string, Caller, string]>([
    ["a write of a caller without rights", "PUT", "/contexts/team/a", stranger, 'in space \\"team\\"'],
    ["a patch", "PATCH", "/contexts/team/a", stranger, 'in space \\"team\\"'],
    ["a restore", "POST", "/contexts/team/a/restore", stranger, 'in space \\"team\\"'],
    ["any operation", "POST", "/operations/context_put", stranger, "in any space"],
    ["a read by its name", "POST", "/operations/context_get", stranger, "in any space"],
    ["a write of a reader", "PUT", "/contexts/team/a", reader, 'in space \\"team\\"'],
    ["an operation of a reader", "POST", "/operations/context_put", reader, "in any space"],
    [
      "what needs a role in all spaces",
      "POST",
      "/operations/audit_verify",
      reader,
      "in all spaces: it needs the role operator",
    ],
    ["a write to another space", "PUT", "/contexts/other/a", member, 'in space \\"other\\"'],
  ])("%s", async (_name, method, path, caller, where) => {
    await using core = startCore();
    const { request, taken } = unread(path, { method });
    const response = await core.api.fetch(request, caller);
    const text = await response.text();
    expect([response.status, taken()]).toEqual([403, 0]);
    expect(text).toContain(where);
    expect(text).toContain("Add this grant to the tailnet policy");
    core.refusals.flush?.();
  });

  test("an operation that does not exist", async () => {
    await using core = startCore();
    const { request, taken } = unread("/operations/context_drop");
    expect([(await core.api.fetch(request, member)).status, taken()]).toEqual([404, 0]);
  });

  test("every request to /mcp of a caller without rights: it opens no session", async () => {
    await using core = startCore();
    const mcp = createMcp({ invoker: core.invoker, features: FEATURES, version: "0", log: () => {} });
    const { request, taken } = unread("/mcp", { headers: { accept: "application/json, text/event-stream" } });
    const response = await mcp.fetch(request, stranger);
    expect([response.status, taken(), response.headers.get("mcp-session-id")]).toEqual([403, 0, null]);
    expect(await response.text()).toContain("Add this grant to the tailnet policy");
    for (const method of ["GET", "DELETE"]) {
      const asked = new Request("http://cairn/mcp", { method, headers: { accept: "text/event-stream" } });
      expect((await mcp.fetch(asked, stranger)).status).toBe(403);
    }
    await mcp.close();
  });
});

describe("the size of a body depends on what it is for", () => {
  const call = (name: string, bytes: number): [string, RequestInit] => [
    `/operations/${name}`,
    { method: "POST", headers: { "content-type": "application/json" }, body: `{"id":"team/a"${" ".repeat(bytes)}}` },
  ];
  test("only operations that carry a document take more than 64 KiB", async () => {
    await using core = startCore();
    for (const { operation } of core.invoker.registry.list()) {
      const isLarge = ["context_put", "context_patch", "context_many", "context_import"].includes(operation.name);
      const response = await core.http(...call(operation.name, 100_000));
      expect([operation.name, response.status === 413]).toEqual([operation.name, !isLarge]);
    }
  });

  test("over MCP by the tool that is named, and by the rights of the caller where none is", async () => {
    await using core = startCore();
    const mcp = createMcp({ invoker: core.invoker, features: FEATURES, version: "0", log: () => {} });
    const status = async (caller: Caller, named: Record<string, string>) => {
      const { request, taken } = unread("/mcp", { headers: { "content-length": String(MIB), ...named } });
      const response = await mcp.fetch(request, caller);
      return [response.status, taken() > 0];
    };
    expect(await status(reader, {})).toEqual([413, false]);
    expect(await status(member, { "mcp-name": "context_get" })).toEqual([413, false]);
    expect(await status(member, { "mcp-name": "context_put" })).toEqual([400, true]);
    expect(await status(member, {})).toEqual([400, true]);
    await mcp.close();
  });
});

test("four callers that take all they can leave room for a fifth, and all of it comes back", () => {
  const budget = new BodyBudget(8 * MIB);
  const greedy = (caller: string) => {
    const holds = [];
    for (;;) {
      const hold = budget.open(caller);
      if (!hold.grow(8 * MIB)) return holds;
      holds.push(hold);
    }
  };
  const holds = ["a", "b", "c", "d"].map(greedy);
  for (const held of holds) expect(held.length).toBeWithin(1, 5);
  for (let round = 0; round < 3; round++) for (const caller of ["a", "b", "c", "d"]) holds.push(greedy(caller));
  expect(budget.open("e").grow(8 * MIB)).toBe(true);
  for (const hold of holds.flat()) hold.release();
  expect(budget.total).toBe(8 * MIB);
});

test("a body without a length is held as it is read, and given back when it is too large", async () => {
  const budget = new BodyBudget(MIB);
  const hold = budget.open("a");
  const { request, taken } = unread("/", {});
  await expect(readBytes(request, hold, 8 * MIB)).rejects.toMatchObject({ code: "too_large", details: { limit: MIB } });
  expect(taken()).toBeLessThan(2 * MIB);
  hold.release();
  expect(budget.total).toBe(0);
});

/** A connection that has sent a head and the beginning of a body of 8 MiB, and sends no more. */
async function begin(served: ServedCore, caller: string): Promise<{ socket: Socket; text: () => string }> {
  const socket = connect(served.socket);
  let text = "";
  socket.on("data", (part) => {
    text += String(part);
  });
  socket.on("error", () => {});
  socket.write(
    `PUT /contexts/team/slow HTTP/1.1\r\nHost: cairn\r\n${CALLER_HEADER}: ${caller}\r\nContent-Type: text/plain\r\n` +
      `Content-Length: ${4 * MIB}\r\n\r\nthe beginning`,
  );
  return { socket, text: () => text };
}

test("slow bodies of one caller are bounded, and another one is served", async () => {
  await using served = serveCore({ maxDocumentBytes: 4 * MIB });
  served.callers.set("slow", granted({ role: "member", spaces: ["team"] }));
  served.callers.set("other", callerWith({ ...member, id: "nOTHER", login: "other@example.com" }));
  served.callers.set("none", stranger);
  const slow = await Promise.all(Array.from({ length: 100 }, () => begin(served, "slow")));
  const refused = () => slow.filter((one) => one.text().startsWith("HTTP/1.1 429"));
  // 32 MiB of bodies may be in flight: eight of 4 MiB.
  await eventually("all but eight to be refused", () => refused().length === 92);
  const none = await Promise.all(Array.from({ length: 200 }, () => begin(served, "none")));
  await eventually("callers without rights to be refused and cut off", () =>
    none.every((one) => /^HTTP\/1\.1 403 [\s\S]*^cairn-internal-close: 1/im.test(one.text())),
  );
  for (const { socket } of none) socket.destroy();
  const headers = { [CALLER_HEADER]: "other", "content-type": "text/plain" };
  const body = "x".repeat(MIB);
  expect((await served.fetch("/contexts/team/fast", { method: "PUT", headers, body })).status).toBe(201);
  expect(served.bodies.total).toBe(32 * MIB);
  for (const { socket } of slow) socket.destroy();
  await eventually("the bodies to be given back", () => served.bodies.total === 0);
  expect(served.core.unexpected).toEqual([]);
});
