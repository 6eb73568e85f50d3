// Writes anywhere: what is ordered here, what goes to the leader, and that a change of leader doubles and loses none.

import { describe, expect, spyOn, test } from "bun:test";
import { contextOperations } from "../../src/features/context/index.ts";
import { Fault } from "../../src/lib/fault.ts";
import { ask, get, member, pairFor, put, versions } from "../kit/asking.ts";
import { callerWith, localAdmin, startCore } from "../kit/core.ts";
import { eventually } from "../kit/eventually.ts";
import { logWith } from "../kit/log-with.ts";
import { refusal } from "../kit/refusal.ts";

describe("writes", () => {
  test("are ordered by the leader wherever they come in, read at once there, and keep caller and via", async () => {
    await using pair = await pairFor(member);
    const written = await put(pair.node(1), { a: 1 });
    expect(pair.calls).toEqual(["n1 n0"]);
    // The key that n1 made is kept apart from those of callers.
    expect(pair.commands).toMatchObject([{ key: expect.stringMatching(/^forward-/), nodeKey: true }]);
    expect((await get(pair.node(1))).output["content"]).toEqual({ a: 1 });
    expect(pair.calls).toHaveLength(1);
    expect(written.position).toBe(pair.node(0).core.invoker.position());
    const row = { operation: "context_put", caller: "user:alice@example.com", outcome: "created" };
    expect(versions(pair.node(0))).toEqual([{ ...row, via: "n1" }]);
    expect(versions(pair.node(1))).toEqual(versions(pair.node(0)));
    expect(await refusal(put(pair.node(1), 2, { if_none_match: "*" }))).toMatchObject({ code: "version_mismatch" });
  });

  test("carry odd keys and long numbers as they were sent", async () => {
    await using pair = await pairFor(member);
    const text = '{"__proto__":{"a":1},"constructor":2,"n":12345678901234567890}';
    await put(pair.node(1), text, { content_type: "application/json" });
    const whole = JSON.parse(`{"id":"team-a/x","content":${text}}`);
    await ask(pair.node(1), "context_put", whole);
    const { content } = (await get(pair.node(0), { format: "text", version: 1 })).output;
    expect(content).toBe(text);
    expect(String((await get(pair.node(0), { format: "text" })).output["content"])).toContain('"__proto__":{"a":1}');
  });

  test("wait for a leader and find it", async () => {
    await using pair = await pairFor(member);
    pair.elect("");
    const waiting = put(pair.node(1), 1);
    await Bun.sleep(60);
    expect(pair.calls).toEqual([]);
    pair.elect("s0");
    expect((await waiting).output["version"]).toBe(1);
    pair.elect("s1");
    expect((await put(pair.node(0), 2)).output["version"]).toBe(2);
    expect(pair.calls).toEqual(["n1 n0", "n0 n1"]);
  });

  test("whose answer was lost on the way are asked again with their key, and made once", async () => {
    await using pair = await pairFor(member);
    let dropped = 0;
    pair.useLink(async (_from, _to, deliver) => {
      const answer = await deliver();
      if (dropped++ > 0) return answer;
      throw new Fault("unavailable", "reset", { facts: { outcome: "maybe_sent" } });
    });
    expect((await put(pair.node(1), 1)).output).toMatchObject({ version: 1, created: true });
    expect(dropped).toBe(2);
    expect(versions(pair.node(0))).toHaveLength(1);
    expect(new Set(pair.commands.map(({ key }) => key)).size).toBe(1);
  });

  test("that a lost leader held are asked again at the next one", async () => {
    await using pair = await pairFor(member);
    const { promise: hangs } = Promise.withResolvers<unknown>();
    pair.useLink(async (_from, to, deliver) => {
      if (to !== "n0") return deliver();
      await deliver();
      return hangs;
    });
    await using three = await pairFor(member, { roles: ["central", "central", "central"] });
    three.useLink(async (_from, to, deliver) => {
      const answer = await deliver();
      return to === "n0" ? hangs : answer;
    });
    const writing = put(three.node(2), 1);
    await Bun.sleep(50);
    three.elect("s1");
    expect((await writing).output).toMatchObject({ version: 1, created: true });
    expect(three.calls).toEqual(["n2 n0", "n2 n1"]);
    expect(versions(three.node(1))).toHaveLength(1);
  });

  test("refused by a node that just lost the leadership go on to the next; unknown ones too, and count once", async () => {
    await using pair = await pairFor(member);
    pair.node(0).proposes = "refuse";
    const refused = put(pair.node(0), 1);
    await Bun.sleep(20);
    pair.elect("s1");
    expect((await refused).output["version"]).toBe(1);
    pair.node(1).proposes = "apply and lose";
    const unknown = put(pair.node(1), 2);
    await Bun.sleep(20);
    pair.node(0).proposes = "apply";
    pair.elect("s0");
    expect((await unknown).output).toMatchObject({ version: 2 });
    expect(versions(pair.node(0))).toHaveLength(2);
  });

  test("of local callers have the same name wherever they are ordered in the end", async () => {
    await using pair = await pairFor(member);
    pair.node(0).proposes = "apply and lose";
    const writing = put(pair.node(0), 1, { idempotency_key: "k" }, localAdmin);
    await Bun.sleep(20);
    pair.elect("s1");
    expect((await writing).output).toMatchObject({ version: 1, created: true });
    expect(versions(pair.node(1))).toEqual([
      { operation: "context_put", caller: "local@n0", via: "", outcome: "created" },
    ]);
    const bridge = callerWith({ kind: "local", id: "local:bridge", login: "" });
    await put(pair.node(0), 2, {}, bridge);
    expect(versions(pair.node(1))).toContainEqual(
      expect.objectContaining({ caller: "local:bridge@n0", via: "n0", outcome: "updated" }),
    );
  });

  test("that no one takes say what is known of their outcome", async () => {
    await using pair = await pairFor(member, { withinMs: 150 });
    pair.elect("");
    const nobody = await refusal(put(pair.node(1), 1));
    expect(nobody).toMatchObject({ code: "unavailable", details: { outcome: "not_written" } });
    pair.elect("s0");
    pair.useLink(async () => {
      throw new Fault("unavailable", "no route", { facts: { outcome: "not_sent" } });
    });
    expect(await refusal(put(pair.node(1), 1))).toMatchObject({ details: { outcome: "not_written" } });
    pair.useLink(async () => {
      throw new Fault("unavailable", "reset", { facts: { outcome: "maybe_sent" } });
    });
    expect(await refusal(put(pair.node(1), 1))).toMatchObject({ details: { outcome: "unknown" } });
  });

  test("whose time ends while the leader does not respond say so, and not that the caller left", async () => {
    await using pair = await pairFor(member);
    pair.useLink(() => new Promise(() => {}));
    const timeout = AbortSignal.timeout.bind(AbortSignal);
    const shorter = spyOn(AbortSignal, "timeout").mockImplementation((ms) => timeout(ms === 30_000 ? 50 : ms));
    try {
      const late = await refusal(put(pair.node(1), 1));
      expect(late).toMatchObject({ code: "unavailable", details: { outcome: "unknown", retryAfterSeconds: 2 } });
      expect(late).not.toMatchObject({ message: expect.stringContaining("cancelled") });
    } finally {
      shorter.mockRestore();
    }
  });

  test("that may have been made are never answered like one that was not, whatever the next leader refuses", async () => {
    await using pair = await pairFor(member, { roles: ["central", "central", "central"] });
    const full = new Fault("storage_full", "the disk is full", { facts: { fromPeer: true } });
    pair.useLink(async (_from, to, deliver) => {
      if (to !== "n0") throw full;
      await deliver();
      pair.elect("s1");
      throw new Fault("unavailable", "reset", { facts: { outcome: "maybe_sent" } });
    });
    const unknown = { code: "unavailable", details: { outcome: "unknown" } };
    expect(await refusal(put(pair.node(2), 1))).toMatchObject(unknown);
    // Without an earlier try the refusal is what it is.
    expect(await refusal(put(pair.node(2), 2))).toMatchObject({ code: "storage_full" });

    // The first try is lost on the way, and then this node leads itself and cannot write either.
    pair.elect("s0");
    pair.useLink(async (_from, _to, deliver) => {
      await deliver();
      pair.node(2).full = full;
      pair.elect("s2");
      throw new Fault("unavailable", "reset", { facts: { outcome: "maybe_sent" } });
    });
    expect(await refusal(put(pair.node(2), 3))).toMatchObject(unknown);
    expect(versions(pair.node(0))).toHaveLength(2);
  });

  test("that a leader held when it lost the leadership may have been made, whatever the next one refuses", async () => {
    await using pair = await pairFor(member);
    pair.node(0).proposes = "apply and hang";
    pair.node(1).full = new Fault("storage_full", "the disk is full");
    const writing = refusal(put(pair.node(0), 1));
    await eventually("the write to be applied", () => (versions(pair.node(0)) as unknown[]).length === 1);
    pair.elect("s1");
    expect(await writing).toMatchObject({ code: "unavailable", details: { outcome: "unknown" } });
  });

  test("that a leader held for another node when it lost the leadership are of unknown outcome there", async () => {
    await using pair = await pairFor(member);
    pair.node(0).proposes = "apply and hang";
    const forwarded = { via: "n1", role: "operator" as const, spaces: undefined, nodeKey: "forward-1" };
    const signal = new AbortController().signal;
    const call = { operation: "context_put", input: { id: "team-a/x", content: 1 }, caller: member, signal, forwarded };
    const writing = refusal(pair.node(0).core.invoker.invoke(call));
    await eventually("the write to be applied", () => (versions(pair.node(0)) as unknown[]).length === 1);
    pair.elect("s1");
    expect(await writing).toMatchObject({ code: "unavailable", details: { outcome: "unknown", leader: "n1" } });
  });

  test("repeated with the key of an acknowledged one have its outcome, where a new key would be refused", async () => {
    await using pair = await pairFor(member, { limits: { maxOutcomeBytes: 1_000 } });
    const keyed = (key: string) => put(pair.node(0), 1, { idempotency_key: key });
    const first = await keyed("k0");
    let full: unknown;
    for (let at = 1; full === undefined && at < 20; at += 1)
      await keyed(`k${at}`).catch((error: unknown) => {
        full = error;
      });
    expect(full).toMatchObject({ code: "rate_limited" });
    expect((await keyed("k0")).output).toEqual(first.output);
  });

  test("refused before the log look for an earlier outcome only under a key that may have been used", async () => {
    let barriers = 0;
    const routing = {
      mode: () => "leader" as const,
      hasOtherNodes: () => true,
      self: () => "n0",
      leader: () => undefined,
      forward: async () => "local" as const,
    };
    await using core = startCore({
      routing: () => routing,
      maxDocumentBytes: 10,
      wrapLog: (log) =>
        logWith(log, {
          barrier: () => {
            barriers += 1;
            return log.barrier();
          },
        }),
    });
    const large = { id: "team-a/x", content: "longer than ten bytes" };
    await expect(core.call("context_put", large)).rejects.toMatchObject({ code: "too_large" });
    expect(barriers).toBe(0);
    await expect(core.call("context_put", { ...large, idempotency_key: "k" })).rejects.toMatchObject({
      code: "too_large",
    });
    expect(barriers).toBe(1);
  });

  test("weigh in a batch what they declare, or their work, whichever is more", async () => {
    await using pair = await pairFor(member);
    await put(pair.node(0), "x".repeat(50_000), {}, localAdmin);
    await ask(pair.node(0), "context_purge", { id: "team-a/x" }, localAdmin);
    const [written, purged] = pair.commands.map(({ weight }) => weight ?? 0);
    // A put declares its work only, a purge its weight only.
    expect(written).toBeGreaterThan(0);
    expect(purged).toBeGreaterThan(100_000);
  });

  test("whose way to the leader fails by an error of this node are not called unreachable", async () => {
    await using core = startCore({
      routing: () => ({
        mode: () => "replica",
        hasOtherNodes: () => true,
        self: () => "n0",
        leader: () => undefined,
        forward: () => Promise.reject(new TypeError("broken")),
      }),
    });
    await expect(core.call("context_put", { id: "team-a/x", content: 1 })).rejects.toMatchObject({ code: "internal" });
    expect(core.unexpected).toEqual([expect.any(TypeError)]);
  });

  test("what the log itself decided is reported, whatever was tried before", async () => {
    await using pair = await pairFor(member);
    await put(pair.node(0), 0);
    let lostOne = false;
    pair.useLink(async (_from, _to, deliver) => {
      const answer = await deliver().catch((error: unknown) => error);
      if (!lostOne) {
        lostOne = true;
        throw new Fault("unavailable", "reset", { facts: { outcome: "maybe_sent" } });
      }
      throw answer;
    });
    expect(await refusal(put(pair.node(1), 1, { if_none_match: "*" }))).toMatchObject({ code: "version_mismatch" });
  });

  const reset = () => new Fault("unavailable", "reset", { facts: { outcome: "maybe_sent" } });
  const unknown = { code: "unavailable", details: { outcome: "unknown" } };

  test("of an admin that may have been made are no refusal, though they are never forwarded", async () => {
    await using pair = await pairFor(member);
    const { name, example } = contextOperations.find((operation) => operation.name === "context_import") ?? {};
    const admin = () => refusal(ask(pair.node(0), name ?? "", example ?? {}, localAdmin));
    pair.node(0).proposes = "apply and lose";
    const writing = admin();
    pair.elect("s1");
    expect(await writing).toMatchObject(unknown);
    expect(versions(pair.node(0))).toHaveLength(1);
    // Without an attempt it is refused as what it is.
    expect(await admin()).toMatchObject({ code: "forbidden", hint: "Run it on cairn-1." });
    const writes = ["team-a/y", "fleet/x"].map((id) => ({ operation: "context_put", id, content: 1 }));
    for (const reserved of [
      put(pair.node(0), 1, { id: "fleet/x" }, localAdmin),
      ask(pair.node(0), "context_many", { writes }, localAdmin),
    ])
      expect(await refusal(reserved)).toMatchObject({ code: "forbidden", hint: "Run it on cairn-1." });
    expect(pair.calls).toEqual([]);
  });

  test.each([
    ["an error of the asked node", () => new Fault("internal", "it failed", { facts: { fromPeer: true } })],
    ["an answer that cannot be read", () => ({ neither: "output", nor: "position" })],
    ["something that is no Fault", () => new TypeError("broken")],
  ] as const)("whose way back brings %s are of unknown outcome", async (_what, back) => {
    await using pair = await pairFor(member, { withinMs: 300 });
    pair.useLink(async (_from, _to, deliver) => {
      await deliver();
      const found = back();
      if (found instanceof Error) throw found;
      return found;
    });
    expect(await refusal(put(pair.node(1), 1))).toMatchObject(unknown);
    expect(versions(pair.node(0))).toHaveLength(1);
  });

  test.each(["invalid_input", "forbidden", "rate_limited", "not_a_member"] as const)(
    "that may have been made and are refused with %s by the next leader, before its log, are of unknown outcome",
    async (code) => {
      await using pair = await pairFor(member, { roles: ["central", "central", "central"] });
      pair.useLink(async (_from, to, deliver) => {
        if (to !== "n0") throw new Fault(code, "no", { facts: { fromPeer: true } });
        await deliver();
        pair.elect("s1");
        throw reset();
      });
      expect(await refusal(put(pair.node(2), 1))).toMatchObject(unknown);
    },
  );

  test("that may have been made before their caller left say so", async () => {
    await using pair = await pairFor(member);
    const left = new AbortController();
    const input = { id: "team-a/x", content: 1 };
    const { invoker } = pair.node(1).core;
    const call = { operation: "context_put", input, caller: member, signal: left.signal };
    pair.useLink(async (_from, _to, deliver) => {
      await deliver();
      left.abort();
      throw reset();
    });
    expect(await refusal(invoker.invoke(call))).toMatchObject({ code: "cancelled", details: { outcome: "unknown" } });
  });

  test("that no node can take are refused at once", async () => {
    await using pair = await pairFor(member);
    pair.useLink(async () => {
      throw new Fault("too_large", "a frame of 7 MiB");
    });
    expect(await refusal(put(pair.node(1), 1))).toMatchObject({ code: "too_large" });
    expect(pair.calls).toHaveLength(1);
  });

  test("that were left by their caller are not tried again", async () => {
    await using pair = await pairFor(member);
    pair.elect("");
    const left = new AbortController();
    const { invoker } = pair.node(1).core;
    const input = { id: "team-a/x", content: 1 };
    const writing = invoker.invoke({ operation: "context_put", input, caller: member, signal: left.signal });
    left.abort();
    expect(await refusal(writing)).toMatchObject({ code: "cancelled" });
    pair.elect("s0");
    await Bun.sleep(60);
    expect(pair.calls).toEqual([]);
  });

  test.each([[["central"]], [["central", "edge"]]] as const)(
    "where only one may lead carry no key: %p",
    async (roles) => {
      await using pair = await pairFor(member, { roles });
      await put(pair.node(0), 1, {}, localAdmin);
      expect(pair.node(0).core.store.reader.get("SELECT COUNT(*) AS n FROM idempotency")).toEqual({ n: 0 });
      expect(pair.commands[0]).toMatchObject({ key: "", caller: "local" });
    },
  );
});
