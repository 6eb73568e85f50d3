// Under whose rights a call is answered that another member brings: both nodes judge, and the one that brings it has a
// cap.

import { describe, expect, test } from "bun:test";
import { z } from "zod";
import type { Caller } from "../../src/access/caller.ts";
import { contextOperations } from "../../src/features/context/index.ts";
import { keepNumbers } from "../../src/lib/json-value.ts";
import { act } from "../../src/operation/define.ts";
import { serveForwarded } from "../../src/operation/serve-forwarded.ts";
import { ask, get, member, pairFor, put, versions } from "../kit/asking.ts";
import { callerWith, granted, localAdmin } from "../kit/core.ts";
import { type Pair, startPair } from "../kit/pair.ts";
import { refusal } from "../kit/refusal.ts";

describe("rights of what is forwarded", () => {
  test("both nodes must say yes, and a caller that the leader does not see reads what to change", async () => {
    await using pair = await startPair();
    const unseen = await refusal(put(pair.node(1), 1));
    expect(unseen).toMatchObject({ code: "forward_unseen" });
    expect(unseen.message).toContain("nALICE");
    pair.node(0).sees.set(member.id, granted({ role: "reader", spaces: ["*"] }));
    expect(await refusal(put(pair.node(1), 1))).toMatchObject({ code: "forbidden" });
    pair.node(0).sees.set(member.id, member);
    expect((await put(pair.node(1), 1)).output["version"]).toBe(1);
    pair.calls.length = 0;
    const nobody = callerWith({ id: "nEVE", login: "eve@example.com" });
    expect(await refusal(put(pair.node(1), 1, {}, nobody))).toMatchObject({ code: "forbidden" });
    expect(pair.calls).toEqual([]);
  });

  const operator = granted({ role: "operator", spaces: ["*"] });
  const admin = granted({ role: "admin", spaces: ["*", "fleet"] });

  test("a full node forwards up to operator, admin never", async () => {
    for (const role of ["central", "regional"] as const) {
      await using pair = await pairFor(operator, { roles: ["central", role] });
      await put(pair.node(1), 1, {}, operator);
      const purged = await ask(pair.node(1), "context_purge", { id: "team-a/x" }, operator);
      expect(purged.output).toBeDefined();
      for (const { sees } of pair.nodes) sees.set(admin.id, admin);
      const kept = await refusal(ask(pair.node(1), "context_put", { id: "fleet/x", content: 1 }, admin));
      expect(kept).toMatchObject({ code: "forbidden", hint: "Run it on cairn-0." });
      expect((await ask(pair.node(0), "context_put", { id: "fleet/x", content: 1 }, admin)).output["version"]).toBe(1);
    }
  });

  /** What a member sends that judges nothing itself. */
  const lie = (pair: Pair, from: number, operation: string, input: Record<string, unknown>, caller: Caller) => {
    const routing = pair.routingOf(from);
    return routing.forward({ operation, input, caller, kind: "write" }, "leader", new AbortController().signal);
  };

  test("an edge brings member rights in its spaces at most, whatever it claims", async () => {
    await using pair = await pairFor(admin, { roles: ["central", "edge", "central"] });
    const write = (id: string, from = 1) => lie(pair, from, "context_put", { id, content: 1 }, admin);
    expect(await write("team-a/x")).toMatchObject({ output: { version: 1 } });
    expect(await refusal(write("team-b/x"))).toMatchObject({ code: "forbidden" });
    expect(await refusal(write("fleet/x"))).toMatchObject({ code: "forbidden" });
    expect(await refusal(lie(pair, 1, "context_purge", { id: "team-a/x" }, admin))).toMatchObject({
      code: "forbidden",
    });
    expect(await refusal(write("fleet/x", 2))).toMatchObject({ code: "forbidden" });
    expect(await refusal(write("_own/x", 2))).toMatchObject({ code: "forbidden" });
    await write("team-b/y", 2);
    const listed = await lie(pair, 1, "context_list", { consistency: "leader" }, admin);
    expect(JSON.stringify(listed)).toContain("team-a/x");
    expect(JSON.stringify(listed)).not.toContain("team-b/y");
  });

  test("callers of its machine are operators by a full node, members by an edge, and bridges members", async () => {
    await using pair = await pairFor(member, { roles: ["central", "edge", "central"] });
    const bridge = callerWith({ kind: "local", id: "local:bridge", login: "" });
    await put(pair.node(2), 1, {}, localAdmin);
    const purge = (from: number, caller: Caller) => lie(pair, from, "context_purge", { id: "team-a/x" }, caller);
    expect(await refusal(purge(2, bridge))).toMatchObject({ code: "forbidden" });
    expect(await refusal(purge(1, localAdmin))).toMatchObject({ code: "forbidden" });
    expect(await purge(2, localAdmin)).toMatchObject({ output: {} });
    expect(versions(pair.node(0))).toContainEqual(
      expect.objectContaining({ operation: "context_purge", caller: "local@n2", via: "n2" }),
    );
    expect(
      await refusal(lie(pair, 2, "context_put", { id: "team-a/x", content: 1 }, { ...localAdmin, id: "local@n0" })),
    ).toMatchObject({
      code: "forward_unseen",
    });
  });

  test("a forwarded call goes no further, and counts for the member that brings it", async () => {
    await using pair = await pairFor(member, { requestsPerMinute: 1, roles: ["central", "central", "central"] });
    const { invoker } = pair.node(1).core;
    const forwarded = { via: "n2", role: "operator" as const, spaces: undefined };
    const signal = new AbortController().signal;
    const call = (caller: Caller) =>
      invoker.invoke({ operation: "context_put", input: { id: "team-a/x", content: 1 }, caller, signal, forwarded });
    expect(await refusal(call(member))).toMatchObject({
      code: "unavailable",
      details: { leader: "n0", outcome: "not_written" },
    });
    expect(pair.calls).toEqual([]);
    const others = Array.from({ length: 20 }, (_, index) =>
      callerWith({ id: `n${index}X`, login: `x${index}@example.com`, grants: member.grants }),
    );
    const codes = await Promise.all(others.map(async (caller) => (await refusal(call(caller))).message));
    expect(codes.slice(0, 19).every((message) => message.includes("does not order"))).toBe(true);
    expect(codes[19]).toContain("via:n2 is limited");
  });

  test("a frame that is no call is refused, and makes nothing of what it holds", async () => {
    await using pair = await pairFor(member);
    const send = (value: unknown) => pair.deliver(1, 0, value);
    const frame = { operation: "context_put", input: "{}", caller: member.id, readOnly: false };
    const deep = `{"id":"team-a/x","content":${"[".repeat(200_000)}${"]".repeat(200_000)}}`;
    for (const wrong of [
      null,
      [],
      { ...frame, via: "n0" },
      { ...frame, caller: 7 },
      { ...frame, operation: "x".repeat(65) },
      { ...frame, input: "{" },
      { ...frame, input: "[]" },
      { ...frame, input: deep },
      { ...frame, input: '{"__proto__":{"id":"team-a/x","content":1}}' },
    ])
      expect(await refusal(send(wrong))).toMatchObject({ code: "invalid_input" });
    expect(await refusal(send({ ...frame, operation: "nothing" }))).toMatchObject({ code: "unknown_operation" });
    expect(await refusal(send({ ...frame, caller: "local@n0" }))).toMatchObject({ code: "forward_unseen" });
    expect(pair.commands).toEqual([]);
    expect(pair.nodes.flatMap(({ core }) => core.unexpected)).toEqual([]);
  });

  test("what has its effect on one node is done for no one else's node", async () => {
    let done = 0;
    const poke = act({
      name: "node_poke",
      title: "Poke",
      description: "Does something to this node.",
      input: z.object({}),
      output: z.object({ done: z.number() }),
      access: { verb: "operate", spaces: "visible" },
      run: async () => ({ done: ++done }),
    });
    const operator = granted({ role: "operator", spaces: ["*"] });
    await using pair = await pairFor(operator, { operations: [...contextOperations, poke] });
    const frame = { operation: "node_poke", input: "{}", caller: operator.id, readOnly: false };
    expect(await refusal(pair.deliver(1, 0, frame))).toMatchObject({ code: "forbidden" });
    expect((await ask(pair.node(0), "node_poke", {}, operator)).output).toEqual({ done: 1 });
  });

  test("numbers keep their digits, there and back", async () => {
    await using pair = await pairFor(member);
    const text = '{"big":12345678901234567890,"price":0.1000000000000000055511151231257827}';
    await put(pair.node(1), keepNumbers(text, JSON.parse(text)));
    expect(pair.frames).toMatchObject([{ operation: "context_put" }]);
    const found = await get(pair.node(1), { consistency: "leader" });
    expect(JSON.stringify(found.output["content"])).toBe(text);
  });

  test("a device that is no member brings nothing", async () => {
    await using pair = await pairFor(member);
    const { handle } = serveForwarded({ invoker: pair.node(0).core.invoker, callerOf: async () => member });
    const input = { operation: "context_list", input: "{}", caller: member.id, readOnly: false };
    const signal = new AbortController().signal;
    const frame = { node: "nX", input, signal };
    expect(await refusal(handle({ ...frame, member: undefined }))).toMatchObject({ code: "not_a_member" });
    expect(await handle({ ...frame, member: { role: "regional", spaces: [] } })).toHaveProperty("output");
  });

  test("a connection that only reads stays so", async () => {
    await using pair = await pairFor(member);
    const reading: Caller = { ...member, readOnly: true };
    expect(await refusal(lie(pair, 1, "context_put", { id: "team-a/x", content: 1 }, reading))).toMatchObject({
      code: "forbidden",
    });
  });
});
