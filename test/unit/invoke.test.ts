// What one call goes through beside rights and limits, which have tests of their own: the position that it names, the
// node that runs it, the agent that it registers, and errors that are no Fault.

import { describe, expect, test } from "bun:test";
import { z } from "zod";
import { agentFeature } from "../../src/features/agent/index.ts";
import { contextFeature, contextOperations } from "../../src/features/context/index.ts";
import { Fault } from "../../src/lib/fault.ts";
import type { EndedSpan } from "../../src/observe/trace/span.ts";
import { Tracer } from "../../src/observe/trace/tracer.ts";
import { act, macro, read, write } from "../../src/operation/define.ts";
import { DamagedError } from "../../src/store/damage.ts";
import { ask, member, pairFor } from "../kit/asking.ts";
import { granted, localAdmin, startCore } from "../kit/core.ts";
import { refusal } from "../kit/refusal.ts";

const common = {
  title: "A toy",
  description: "Does what the test says.",
  input: z.object({}),
  output: z.object({ done: z.number() }),
  access: { verb: "read", spaces: "visible" },
} as const;

/** A position of a history that no node of these tests has. */
const ELSEWHERE = "ffffffffff-1";

describe("a position that a call names", () => {
  let done = 0;
  const poke = act({ ...common, name: "toy_poke", run: () => ({ done: ++done }) });

  test("is reached by each read of a macro, as consistently as the macro was asked for", async () => {
    const asked: unknown[] = [];
    const look = read({
      ...{ ...common, name: "toy_look" },
      run: (_reader, _input, { minPosition }) => {
        asked.push(minPosition);
        return { done: 1 };
      },
    });
    const both = (name: string, steps: readonly string[]) =>
      macro({
        ...{ ...common, name },
        run: async (_input, { ask }) => {
          for (const step of steps) await ask(step, step === "context_put" ? { id: "a/x", content: 1 } : {});
          return { done: 1 };
        },
      });
    const operations = [
      ...[...contextOperations, look, both("toy_inner", ["toy_look"])],
      ...[both("toy_both", ["toy_look", "context_put", "toy_inner"])],
    ];
    await using core = startCore({ operations });
    const position = core.invoker.position();
    await core.call("toy_both", { min_position: position });
    expect(asked).toEqual([position, position]);
    expect(await refusal(core.call("toy_both", { min_position: ELSEWHERE }))).toMatchObject({ code: "history_forked" });
    await core.call("toy_both", {});
    expect(asked).toEqual([position, position, undefined, undefined]);
    await using pair = await pairFor(member, { operations });
    // Only the write goes to the leader; with that consistency both reads do too.
    await ask(pair.node(1), "toy_both", {});
    expect(pair.calls).toHaveLength(1);
    await ask(pair.node(1), "toy_both", { consistency: "leader" });
    expect(pair.calls).toHaveLength(4);
  });

  test("is reached before an act has its effect", async () => {
    await using core = startCore({ operations: [...contextOperations, poke] });
    expect(await refusal(core.call("toy_poke", { min_position: ELSEWHERE }))).toMatchObject({ code: "history_forked" });
    expect(done).toBe(0);
    expect(await core.call("toy_poke", { min_position: core.invoker.position() })).toEqual({ done: 1 });
  });

  test("is reached before a stream begins, which holds nothing where it is not", async () => {
    await using core = startCore();
    const { signal } = new AbortController();
    const follow = (more: Record<string, unknown>) =>
      core.invoker.follow({ operation: "context_wait", input: { id: "a/x", ...more }, caller: localAdmin, signal });
    for (const wrong of [{ min_position: ELSEWHERE }, { since: ELSEWHERE }]) {
      expect(await refusal(follow(wrong))).toMatchObject({ code: "history_forked" });
      expect(core.invoker.openStreams).toBe(0);
    }
    const following = await follow({ min_position: core.invoker.position() });
    expect(core.invoker.openStreams).toBe(1);
    following.close();
    expect(core.invoker.openStreams).toBe(0);
  });
});

test("an edge is asked whether it follows the spaces of a read of the feed, and of nothing else", async () => {
  const asked: (readonly string[])[] = [];
  const operations = [
    ...contextOperations,
    read({ ...common, name: "toy_get", access: { verb: "read", spaces: () => ["g"] }, run: () => ({ done: 1 }) }),
    ...[false, true].map((followsTables) =>
      read({
        ...{ ...common, name: `toy_follow_${followsTables}`, access: { verb: "read", spaces: () => ["f"] } },
        ...(followsTables ? { followsTables: true as const } : {}),
        ...{ follow: () => ({ since: undefined, show: () => undefined }), run: () => ({ done: 1 }) },
      }),
    ),
  ];
  const routing = () => ({
    ...{ mode: () => "leader", hasOtherNodes: () => false, self: () => "n0", leader: () => undefined },
    forward: () => Promise.reject(new Error("nothing is forwarded")),
    refuseFollow: (spaces: readonly string[]) => asked.push(spaces),
  });
  await using core = startCore({ operations, routing: routing as never });
  await core.call("context_put", { id: "a/x", content: 1 });
  for (const name of ["toy_get", "toy_follow_true", "toy_follow_false"]) await core.call(name, {});
  await core.call("context_wait", { timeout_seconds: 0 });
  await core.call("context_wait", { id: "a/x", timeout_seconds: 0 });
  expect(asked).toEqual([["f"], ["a"]]);
});

test("what cannot be followed on this node is refused, and holds no stream", async () => {
  let mode = "leader";
  const ofTables = read({
    ...{ ...common, name: "toy_tables", followsTables: true, run: () => ({ done: 1 }) },
    follow: () => ({ since: undefined, show: () => undefined }),
  });
  const routing = () => ({
    ...{ mode: () => mode, hasOtherNodes: () => false, self: () => "n0", leader: () => undefined },
    forward: () => Promise.reject(new Error("nothing is forwarded")),
  });
  const operations = [...contextOperations, ofTables];
  await using core = startCore({ operations, routing: routing as never });
  const { signal } = new AbortController();
  const follow = (operation: string, input: Record<string, unknown> = {}) =>
    core.invoker.follow({ operation, input, caller: localAdmin, signal });
  expect((await refusal(follow("context_get", { id: "a/x" }))).code).toBe("invalid_input");
  expect((await refusal(follow("context_put", { id: "a/x", content: 1 }))).code).toBe("invalid_input");
  mode = "waiting";
  expect((await refusal(follow("context_wait"))).code).toBe("not_ready");
  mode = "edge";
  const onEdge = await refusal(follow("toy_tables"));
  expect([onEdge.code, core.invoker.openStreams]).toEqual(["unavailable", 0]);
  const following = await follow("context_wait");
  expect(core.invoker.openStreams).toBe(1);
  following.close();
  mode = "leader";
  (await follow("toy_tables")).close();
  expect(core.invoker.openStreams).toBe(0);
});

test("a read of what the leader alone remembers runs there", async () => {
  const ran: string[] = [];
  const remember = read({
    ...common,
    name: "toy_remember",
    atLeader: true,
    run: (_reader, _input, { author }) => ({ done: ran.push(author) }),
  });
  await using pair = await pairFor(member, { operations: [...contextOperations, remember] });
  await ask(pair.node(1), "toy_remember", {});
  expect([pair.calls, ran]).toEqual([["n1 n0"], ["user:alice@example.com"]]);
});

test("the surface learns of the agent that a call acts as or registers, where the answer has its handle", async () => {
  await using core = startCore({ features: [contextFeature, agentFeature] });
  const known: string[] = [];
  const { signal } = new AbortController();
  const call = async (operation: string, input: Record<string, unknown>) => {
    const onAgent = (key: string) => known.push(key);
    return (await core.invoker.invoke({ operation, input, caller: localAdmin, signal, onAgent })).output;
  };
  const register = { name: "builder", idempotency_key: "k1" };
  const { handle } = await call("agent_register", register);
  expect(known).toHaveLength(1);
  // The handle was in the first answer alone.
  expect(await call("agent_register", register)).not.toHaveProperty("handle");
  expect(known).toHaveLength(1);
  await call("context_put", { id: "a/x", content: 1, as: handle });
  expect(known).toEqual([known[0] ?? "", known[0] ?? ""]);
});

test("one whose agent has ended goes on to see the changes that its caller may see", async () => {
  await using core = startCore({ features: [contextFeature, agentFeature] });
  await core.call("context_put", { id: "a/x", content: 1 });
  const [change] = core.log.changes.cursor(0).next(1);
  if (change === undefined) throw new Error("no change");
  const asker = { caller: localAdmin, agentKey: "0".repeat(64), operation: "context_wait" };
  expect(core.invoker.maySee(asker, change)).toBe(true);
});

test("a refusal is explained where the write was ordered, by the state of that node alone", async () => {
  const explained: unknown[] = [];
  const fail = write({
    ...common,
    name: "toy_write",
    v: 1,
    prepare: () => ({}),
    apply: () => {
      throw new Fault("not_found", "refused", { hint: "Try another one." });
    },
    explain: (_input, fault, reader) => {
      explained.push(reader);
      return fault;
    },
  });
  await using pair = await pairFor(member, { operations: [...contextOperations, fail] });
  expect(await refusal(ask(pair.node(1), "toy_write", {}))).toMatchObject({ code: "not_found" });
  expect(pair.calls).toEqual(["n1 n0"]);
  expect(explained).toHaveLength(1);
  expect(explained[0]).toBe(pair.node(0).core.store.reader);
});

test("a surface that takes so many characters gets no more of a document, unless the call says", async () => {
  await using core = startCore();
  await core.call("context_put", { id: "a/x", content: "x".repeat(5_000) });
  const lengthOf = async (input: Record<string, unknown>) => {
    const { signal } = new AbortController();
    const call = { operation: "context_get", input: { id: "a/x", ...input }, caller: localAdmin, signal };
    const { output } = await core.invoker.invoke({ ...call, maxChars: 1_000 });
    return String(output["content"]).length;
  };
  expect([await lengthOf({}), await lengthOf({ max_chars: 3_000 })]).toEqual([1_000, 3_000]);
});

test("costly reads wait for their turn, four of one caller and 64 of all", async () => {
  let go = () => {};
  const gate = new Promise<void>((resolve) => {
    go = resolve;
  });
  const costly = read({
    ...common,
    name: "toy_costly",
    run: async (_reader, _input, { inTurn }) => {
      await inTurn(() => gate);
      return { done: 1 };
    },
  });
  await using core = startCore({ operations: [costly] });
  const results = new Map<string, string[]>();
  const calls: Promise<unknown>[] = [];
  // The first one runs.
  for (let at = 0; at < 20; at++) {
    const name = `user${at}@example.com`;
    const codes: string[] = [];
    results.set(name, codes);
    for (let again = 0; again < 5; again++) {
      const caller = { ...granted({ role: "reader", spaces: ["*"] }), login: name };
      const done = () => codes.push("ok");
      calls.push(core.call("toy_costly", {}, caller).then(done, (error: Fault) => codes.push(error.code)));
    }
  }
  await Bun.sleep(1);
  const refused = () => [...results.values()].map((codes) => codes.filter((code) => code === "rate_limited").length);
  expect(refused()).toEqual([0, ...Array(15).fill(1), 5, 5, 5, 5]);
  go();
  await Promise.all(calls);
  expect(refused()).toEqual([0, ...Array(15).fill(1), 5, 5, 5, 5]);
});

describe("an error that is no Fault", () => {
  const failing = (make: () => unknown, tracer?: Tracer) => {
    const run = () => {
      throw make();
    };
    return startCore({ operations: [read({ ...common, name: "toy_fail", run })], tracer });
  };

  test("is logged, and says nothing of itself to the caller", async () => {
    await using core = failing(() => new TypeError("secret"));
    const fault = (await refusal(core.call("toy_fail", {}))) as Fault;
    expect([fault.code, fault.message.includes("secret"), core.unexpected.length]).toEqual(["internal", false, 1]);
  });

  test("is logged with the span of its call, recorded or not, where the node has a tracer", async () => {
    for (const ratio of [0, 1]) {
      const spans: EndedSpan[] = [];
      const tracer = new Tracer({ ratio, sink: (span) => spans.push(span) });
      await using core = failing(() => new TypeError("secret"), tracer);
      await refusal(core.call("toy_fail", {}));
      expect(core.unexpectedIn).toMatchObject([{ isRemote: false, flags: 2 + ratio }]);
      if (ratio === 1) expect(spans).toMatchObject([{ context: core.unexpectedIn[0], error: "internal" }]);
    }
    await using untraced = failing(() => new TypeError("secret"));
    await refusal(untraced.call("toy_fail", {}));
    expect(untraced.unexpectedIn).toEqual([undefined]);
  });

  test("of damaged bytes says that, and what to do", async () => {
    await using core = failing(() => new DamagedError("page 7 of /data/store"));
    const fault = (await refusal(core.call("toy_fail", {}))) as Fault;
    expect([fault.code, fault.message.includes("/data")]).toEqual(["data_corrupt", false]);
    expect(fault.hint).toContain("restore");
  });

  test("of a call whose caller has gone is that it was cancelled", async () => {
    const gone = new AbortController();
    await using core = failing(() => {
      gone.abort();
      return new Error("broken pipe");
    });
    const call = { operation: "toy_fail", input: {}, caller: localAdmin, signal: gone.signal };
    expect(await refusal(core.invoker.invoke(call))).toMatchObject({ code: "cancelled" });
    expect(core.unexpected).toEqual([]);
  });
});

test("an unknown operation is refused with the nearest one, or with all where none is near", async () => {
  await using core = startCore();
  const code = "unknown_operation";
  expect(await refusal(core.call("context_pt", {}))).toMatchObject({ code, hint: "Did you mean context_put?" });
  expect(await refusal(core.call("context_histroy", {}))).toMatchObject({
    code,
    hint: "Did you mean context_history?",
  });
  expect(await refusal(core.call("zzz", {}))).toMatchObject({
    code,
    hint: expect.stringMatching(/^Known operations: .*context_put/),
  });
});
