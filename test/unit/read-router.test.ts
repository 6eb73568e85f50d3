// Reads anywhere: what is read here, what goes to the leader, and the age of what is returned.

import { describe, expect, test } from "bun:test";
import { z } from "zod";
import { contextOperations } from "../../src/features/context/index.ts";
import { agentKeyOf } from "../../src/lib/agent-key.ts";
import { Fault } from "../../src/lib/fault.ts";
import { read } from "../../src/operation/define.ts";
import { ask, get, member, pairFor, put } from "../kit/asking.ts";
import { callerWith, localAdmin, startCore } from "../kit/core.ts";
import { eventually } from "../kit/eventually.ts";
import { inTime } from "../kit/in-time.ts";
import { logWith } from "../kit/log-with.ts";
import { refusal } from "../kit/refusal.ts";

describe("reads", () => {
  test("any is what is here; session has seen what was shown; leader has seen everything", async () => {
    await using pair = await pairFor(member);
    await put(pair.node(0), 1);
    await pair.node(1).catchUp();
    pair.node(1).behind = true;
    const { position } = await put(pair.node(0), 2);
    expect((await get(pair.node(1), { consistency: "any" })).output["content"]).toBe(1);
    expect((await get(pair.node(1))).output["content"]).toBe(1);
    expect(pair.calls).toEqual([]);
    expect((await get(pair.node(1), { min_position: position })).output["content"]).toBe(2);
    expect(pair.calls).toEqual(["n1 n0"]);
    const other = callerWith({ id: "nBOB", login: "bob@example.com", grants: member.grants });
    for (const { sees } of pair.nodes) sees.set(other.id, other);
    expect((await get(pair.node(1), { consistency: "leader" }, other)).output["content"]).toBe(2);
    expect(pair.calls).toHaveLength(2);
  });

  test("a caller that saw more elsewhere never sees less here", async () => {
    await using pair = await pairFor(member);
    pair.node(1).behind = true;
    await put(pair.node(0), 1);
    expect((await get(pair.node(1), { consistency: "leader" })).output["content"]).toBe(1);
    expect((await get(pair.node(1))).output["content"]).toBe(1);
    expect(pair.calls).toHaveLength(2);
    await pair.node(1).catchUp();
    expect((await get(pair.node(1))).output["content"]).toBe(1);
    expect(pair.calls).toHaveLength(2);
  });

  test("behind and without a leader: what comes in time, else 503 with Retry-After", async () => {
    await using pair = await pairFor(member);
    pair.node(1).behind = true;
    const { position } = await put(pair.node(0), 1);
    pair.elect("");
    const late = get(pair.node(1), { min_position: position });
    await Bun.sleep(30);
    await pair.node(1).catchUp();
    expect((await late).output["content"]).toBe(1);
    const [epoch, seq] = position.split("-");
    const never = `${epoch}-${Number(seq) + 9}`;
    const headers = { "cairn-min-position": never };
    const [far, fault] = await Promise.all([
      pair.node(1).core.http("/contexts/team-a/x", { headers }),
      refusal(get(pair.node(1), { min_position: never })),
    ]);
    // Another node may have applied more.
    expect(fault).toMatchObject({ facts: { applied: position } });
    expect(far.status).toBe(503);
    expect(far.headers.get("retry-after")).toBe("1");
  });

  test("of the leader go through a barrier, and to the next one when it is lost", async () => {
    await using pair = await pairFor(member);
    await put(pair.node(0), 1);
    pair.elect("s1");
    expect((await get(pair.node(0), { consistency: "leader" })).output["content"]).toBe(1);
    expect(pair.calls).toEqual(["n0 n1"]);
    expect((await get(pair.node(1), { consistency: "leader" })).output["content"]).toBe(1);
    expect(pair.calls).toHaveLength(1);
  });

  test("have the age of the node that read the state, and what the way added", async () => {
    await using pair = await pairFor(member);
    pair.node(1).behind = true;
    const { position } = await put(pair.node(0), 1);
    // A leader that was paused: it still takes itself for the leader, and an hour ago was proved to be.
    pair.ages.set("n0", 3_600_000);
    pair.ages.set("n1", 100);
    const resumed = await get(pair.node(0));
    expect(resumed.ageSeconds).toBeGreaterThanOrEqual(3600);
    pair.useLink(async (_from, _to, deliver) => {
      const answer = await deliver();
      await Bun.sleep(250);
      return answer;
    });
    const passedOn = await get(pair.node(1), { min_position: position });
    expect(passedOn.by).toBe("n0");
    expect(passedOn.ageSeconds).toBeGreaterThanOrEqual(3600.2);
    // A barrier proves the state, whatever is known of the leader besides.
    const linear = await get(pair.node(1), { consistency: "leader" });
    expect(linear.ageSeconds).toBeGreaterThanOrEqual(0.2);
    expect(linear.ageSeconds).toBeLessThan(60);
    pair.ages.set("n0", Number.POSITIVE_INFINITY);
    expect((await get(pair.node(0))).ageSeconds).toBeUndefined();
    expect((await get(pair.node(1), { min_position: position })).ageSeconds).toBeUndefined();
    const read = await pair.node(0).core.http("/contexts/team-a/x", {}, member);
    expect([read.status, read.headers.get("age")]).toEqual([200, null]);
  });

  test("of a session are not read here after a restart until this node is proved to have what it acknowledged", async () => {
    await using pair = await pairFor(member);
    pair.node(1).behind = true;
    pair.ages.set("n1", Number.POSITIVE_INFINITY);
    // By the process before: this one does not know that its caller has seen it.
    await put(pair.node(0), "acknowledged");
    expect((await get(pair.node(1))).output["content"]).toBe("acknowledged");
    pair.elect("");
    const asked = pair.node(1).core.http("/contexts/team-a/x", {}, member);
    const [refused, fault] = await inTime(10_000, Promise.all([asked, refusal(get(pair.node(1)))]));
    expect([fault.code, (fault as Fault).facts.applied]).toEqual(["unavailable", undefined]);
    expect([refused.status, refused.headers.get("retry-after")]).toEqual([503, "1"]);
    expect(await refusal(get(pair.node(1), { consistency: "any" }))).toMatchObject({ code: "not_found" });
    const waiting = get(pair.node(1));
    await Bun.sleep(50);
    await pair.node(1).catchUp();
    pair.ages.set("n1", 100);
    expect((await waiting).output["content"]).toBe("acknowledged");
    pair.ages.set("n1", Number.POSITIVE_INFINITY);
    const calls = pair.calls.length;
    expect((await get(pair.node(1))).output["content"]).toBe("acknowledged");
    expect(pair.calls).toHaveLength(calls);
  });

  test("of a session wait until this node is current also for a caller of which it knows nothing", async () => {
    await using pair = await pairFor(member);
    await put(pair.node(0), 1);
    await pair.node(1).catchUp();
    pair.elect("");
    pair.ages.set("n1", Number.POSITIVE_INFINITY);
    const waiting = get(pair.node(1));
    await Bun.sleep(50);
    pair.ages.set("n1", 100);
    expect((await waiting).output["content"]).toBe(1);
    expect(pair.calls).toEqual([]);
  });

  test("of a session go through a barrier of the leader while this node is not current, and end with its own lead", async () => {
    await using pair = await pairFor(member);
    pair.node(1).behind = true;
    pair.ages.set("n1", Number.POSITIVE_INFINITY);
    await put(pair.node(0), 1);
    const asked = () => pair.frames.map(({ input }) => JSON.parse(input).consistency);
    await get(pair.node(1));
    // The node that is asked may have lost the leadership without noticing.
    expect(asked()).toEqual(["leader"]);
    pair.elect("s1");
    expect((await get(pair.node(1))).output["content"]).toBe(1);
    pair.elect("s0");
    expect((await get(pair.node(1))).output["content"]).toBe(1);
    expect(asked()).toEqual(["leader"]);
  });

  test("over HTTP say where they stand", async () => {
    await using pair = await pairFor(member);
    await put(pair.node(0), 1);
    await pair.node(1).catchUp();
    const here = await pair.node(1).core.http("/contexts/team-a/x", {}, member);
    expect(here.headers.get("age")).toBe("1");
    expect(here.headers.get("cairn-position")).toBe(pair.node(0).core.invoker.position());
    const asked = await pair
      .node(1)
      .core.http("/contexts/team-a/x", { headers: { "cairn-consistency": "leader" } }, member);
    expect(asked.headers.get("age")).toBe("1");
    expect((await pair.node(0).core.http("/contexts/team-a/x", {}, member)).headers.get("age")).toBe("1");
    const wrong = await pair
      .node(1)
      .core.http("/contexts/team-a/x", { headers: { "cairn-consistency": "some" } }, member);
    expect(wrong.status).toBe(400);
  });

  test("that another member forwarded go no further: they wait here, or name the leader", async () => {
    await using pair = await pairFor(member);
    pair.node(1).behind = true;
    const { position } = await put(pair.node(0), 1);
    const forwarded = { via: "n2", role: "operator" as const, spaces: undefined };
    const { signal } = new AbortController();
    const ofAnother = (more: Record<string, unknown>) =>
      pair.node(1).core.invoker.invoke({
        operation: "context_get",
        input: { id: "team-a/x", ...more },
        caller: member,
        signal,
        forwarded,
      });
    const waiting = ofAnother({ min_position: position });
    expect(await refusal(ofAnother({ consistency: "leader" }))).toMatchObject({
      code: "unavailable",
      details: { leader: "n0" },
    });
    await pair.node(1).catchUp();
    expect((await waiting).output["content"]).toBe(1);
    expect(pair.calls).toEqual([]);
  });

  test("of the leader with a position are forwarded by a node that is behind, and refused by a leader that lacks it", async () => {
    await using pair = await pairFor(member);
    pair.node(1).behind = true;
    const { position } = await put(pair.node(0), 1);
    const read = await get(pair.node(1), { consistency: "leader", min_position: position });
    expect([read.output["content"], pair.calls]).toEqual([1, ["n1 n0"]]);
    const [epoch, seq] = position.split("-");
    const far = { consistency: "leader", min_position: `${epoch}-${Number(seq) + 9}` };
    expect(await refusal(get(pair.node(0), far))).toMatchObject({ code: "unavailable" });
  });

  test("that follow changes are made here, from the position that they name, whatever else the call asks", async () => {
    const ran: string[] = [];
    const follower = read({
      ...{ name: "toy_follow", title: "A toy", description: "Follows what its node has." },
      ...{ input: z.object({}), output: z.object({ here: z.number() }) },
      access: { verb: "read", spaces: "visible" },
      followsTables: true,
      follow: () => ({ since: undefined, show: () => undefined }),
      run: (_reader, _input, { position }) => {
        ran.push("here");
        return { here: position().seq };
      },
    });
    await using pair = await pairFor(member, { operations: [...contextOperations, follower] });
    pair.node(1).behind = true;
    const { position } = await put(pair.node(0), 1);
    const leader = { consistency: "leader" };
    expect((await ask(pair.node(1), "toy_follow", leader)).output).toEqual({ here: 0 });
    const waiting = ask(pair.node(1), "toy_follow", { ...leader, min_position: position });
    await Bun.sleep(30);
    expect(ran).toEqual(["here"]);
    await pair.node(1).catchUp();
    expect((await waiting).output).toEqual({ here: 1 });
    expect(pair.calls).toEqual([]);
  });

  test("of the leader are made here by a node that takes the lead while it looks for one", async () => {
    await using pair = await pairFor(member);
    await put(pair.node(0), 1);
    await pair.node(1).catchUp();
    pair.elect("");
    const reading = get(pair.node(1), { consistency: "leader" });
    await Bun.sleep(50);
    pair.elect("s1");
    expect((await reading).output["content"]).toBe(1);
    expect(pair.calls).toEqual([]);
  });

  test("behind a position have the refusal of the leader at once, but where it does not see the caller", async () => {
    await using pair = await pairFor(member);
    pair.node(1).behind = true;
    const { position } = await put(pair.node(0), 1);
    const missing = { id: "team-a/none", min_position: position };
    expect(await refusal(ask(pair.node(1), "context_get", missing))).toMatchObject({ code: "not_found" });
    pair.node(0).sees.delete(member.id);
    const waiting = get(pair.node(1), { min_position: position });
    await eventually("the leader is asked", () => pair.calls.length === 2);
    await pair.node(1).catchUp();
    expect((await waiting).output["content"]).toBe(1);
  });

  /** A node whose barrier fails as a test says, beside a leader that answers `there`. */
  const startLosing = (fault: Fault, more: { leads?: boolean; hasOtherNodes?: boolean } = {}) => {
    let leads = true;
    return startCore({
      wrapLog: (log) =>
        logWith(log, {
          barrier: () => {
            leads = more.leads === true;
            return Promise.reject(fault);
          },
        }),
      routing: () => ({
        mode: () => (leads ? "leader" : "replica"),
        hasOtherNodes: () => more.hasOtherNodes !== false,
        self: () => "n0",
        leader: () => undefined,
        forward: async () => ({ output: { there: true }, position: "0123456789-5" }),
      }),
    });
  };
  const linear = { id: "team-a/x", consistency: "leader" };

  test("of the leader go to the next one only where the barrier failed because this node lost the lead", async () => {
    const lost = new Fault("unavailable", "it does not lead");
    await using losing = startLosing(lost);
    expect(await losing.call("context_get", linear)).toMatchObject({ there: true });
    const others = [
      startLosing(lost, { leads: true }),
      startLosing(lost, { hasOtherNodes: false }),
      startLosing(new Fault("storage_full", "the disk is full")),
    ];
    const codes = await Promise.all(others.map(async (core) => (await refusal(core.call("context_get", linear))).code));
    expect(codes).toEqual(["unavailable", "unavailable", "storage_full"]);
    for (const core of others) await core[Symbol.asyncDispose]();
  });

  test("that are asked of another node say what they need: a position, an agent, and how long they may wait", async () => {
    const waiting = read({
      ...{ name: "toy_wait", title: "A toy", description: "Waits.", waits: true },
      input: z.object({ since: z.string().optional(), timeout_seconds: z.number().optional() }),
      output: z.object({ there: z.boolean() }),
      access: { verb: "read", spaces: "visible" },
      run: () => ({ there: false }),
    });
    const calls: unknown[] = [];
    await using core = startCore({
      operations: [...contextOperations, waiting],
      routing: () => ({
        ...{ mode: () => "replica", hasOtherNodes: () => true, self: () => "n0", leader: () => undefined },
        forward: async (call) => {
          calls.push(call);
          return { output: { there: true }, position: "0123456789-5" };
        },
      }),
    });
    const handle = `agent-${"0".repeat(32)}`;
    const asked = { consistency: "leader", min_position: "0123456789-4" };
    await core.call("toy_wait", { ...asked, timeout_seconds: 7, as: handle });
    await core.call("toy_wait", { consistency: "leader" });
    await core.call("context_get", linear);
    const { caller } = calls[0] as { caller: unknown };
    const sent = { operation: "toy_wait", kind: "read", caller };
    expect(calls).toEqual([
      { ...sent, input: { ...asked, timeout_seconds: 7 }, waitMs: 7_000, agentKey: agentKeyOf(handle) },
      { ...sent, input: { consistency: "leader" }, waitMs: 20_000 },
      { ...sent, operation: "context_get", input: expect.objectContaining(linear) },
    ]);
  });

  test("on an edge, of a session, need the newest position that their caller saw or names; others what they name", async () => {
    const needed: unknown[] = [];
    await using core = startCore({
      routing: (log) => ({
        ...{ mode: () => "edge", hasOtherNodes: () => true, self: () => "n0", leader: () => undefined },
        fleetLevel: () => 3,
        readCached: async ({ consistency, minPosition, agentKey }) => {
          needed.push(["cache", consistency, minPosition, agentKey]);
          return undefined;
        },
        forward: async ({ kind, input }) => {
          const position = `${log.position().epoch}-9`;
          if (kind === "write") return { output: { id: "team-a/x", version: 1, etag: "1-a", created: true }, position };
          needed.push(["upstream", input["min_position"]]);
          return { output: {}, position: `${log.position().epoch}-2` };
        },
      }),
    });
    const { epoch } = core.log.position();
    const ask = async (more: object) => {
      needed.length = 0;
      await refusal(core.call("context_get", { id: "team-a/x", ...more })).catch(() => {});
      return needed.slice();
    };
    const named = { min_position: `${epoch}-3` };
    expect(await ask(named)).toEqual([
      ["cache", "session", `${epoch}-3`, undefined],
      ["upstream", `${epoch}-3`],
    ]);
    await core.call("context_put", { id: "team-a/x", content: 1 });
    for (const more of [{}, named])
      expect(await ask(more)).toEqual([
        ["cache", "session", `${epoch}-9`, undefined],
        ["upstream", `${epoch}-9`],
      ]);
    const handle = `agent-${"0".repeat(32)}`;
    expect((await ask({ as: handle }))[0]).toEqual(["cache", "session", `${epoch}-9`, agentKeyOf(handle)]);
    expect(await ask({ ...named, consistency: "any" })).toEqual([
      ["cache", "any", `${epoch}-3`, undefined],
      ["upstream", `${epoch}-3`],
    ]);
  });

  test("of a node without a fleet have no age, those of a leader the time since they arrived", async () => {
    await using core = startCore();
    await core.call("context_put", { id: "team-a/x", content: 1 });
    const { signal } = new AbortController();
    const alone = await core.invoker.invoke({ operation: "context_get", input: linear, caller: localAdmin, signal });
    expect(alone.ageSeconds).toBeUndefined();
    await using pair = await pairFor(member);
    await put(pair.node(0), 1);
    expect((await get(pair.node(0), { consistency: "leader" })).ageSeconds).toBeLessThan(10);
  });

  test("wait for a store, but for those of the node itself; an edge without another node has no answer", async () => {
    const startIn = (mode: "waiting" | "edge") =>
      startCore({
        routing: () => ({
          mode: () => mode,
          hasOtherNodes: () => true,
          self: () => "n0",
          leader: () => undefined,
          forward: async () => "local",
        }),
      });
    for (const mode of ["waiting", "edge"] as const) {
      await using core = startIn(mode);
      expect(await core.call("whoami", {})).toMatchObject({ kind: "local" });
      for (const consistency of ["any", "session", "leader"])
        expect(await refusal(core.call("context_get", { id: "team-a/x", consistency }))).toMatchObject({
          code: "not_ready",
        });
    }
  });
});
