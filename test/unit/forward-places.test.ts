// What a node answers that is neither leader nor replica: one that waits for its store, and an edge with a cache.

import { describe, expect, test } from "bun:test";
import type { Answer } from "../../src/operation/answer.ts";
import type { Routing } from "../../src/operation/routing.ts";
import { callerWith, startCore } from "../kit/core.ts";
import { refusal } from "../kit/refusal.ts";

describe("other places", () => {
  const placed = (routing: Partial<Routing>) => () => ({
    mode: () => "leader" as const,
    hasOtherNodes: () => true,
    self: () => "nSelf",
    leader: () => undefined,
    forward: async () => "local" as const,
    ...routing,
  });

  test("a node that waits for its store answers about itself and nothing else", async () => {
    await using core = startCore({ routing: placed({ mode: () => "waiting" }) });
    expect(await core.call("whoami", {})).toMatchObject({ caller: "local" });
    for (const operation of ["context_list", "context_wait"])
      expect(await refusal(core.call(operation, {}))).toMatchObject({ code: "not_ready" });
    expect(await refusal(core.call("context_put", { id: "a/x", content: 1 }))).toMatchObject({ code: "not_ready" });
    const refused = await core.http("/changes?feed=sse");
    expect(refused.status).toBe(503);
    expect(await refused.json()).toMatchObject({ code: "not_ready", retryable: true });
  });

  test("a replica's answer is as old as it was before it was read, and older by what a wait took", async () => {
    const stateAge = () => {
      const startMs = performance.now();
      return () => 500 + performance.now() - startMs;
    };
    await using core = startCore({ routing: placed({ mode: () => "replica", stateAge }) });
    const ageOf = async (operation: string, input: object) => {
      const body = JSON.stringify({ ...input, consistency: "any" });
      const headers = { "content-type": "application/json" };
      return (await core.http(`/operations/${operation}`, { method: "POST", headers, body })).headers.get("age");
    };
    expect(await ageOf("context_list", {})).toBe("1");
    expect(await ageOf("context_wait", { timeout_seconds: 1 })).toBe("2");
  });

  test("a node that leads or is alone waits with session reads until it has applied what was there before", async () => {
    let current = false;
    await using core = startCore({ routing: placed({ mode: () => "leader", isCurrent: () => current }) });
    expect(await refusal(core.call("context_list", {}))).toMatchObject({
      code: "unavailable",
      details: { retryAfterSeconds: 1 },
    });
    expect((await core.call("context_list", { consistency: "any" }))["contexts"]).toEqual([]);
    const waiting = core.call("context_list", {});
    await Bun.sleep(50);
    current = true;
    expect((await waiting)["contexts"]).toEqual([]);
  });

  test("an edge answers from its cache after the gate, says so, and asks upstream for the rest", async () => {
    const asked: string[] = [];
    let epoch = "0123456789";
    const cached = (): Answer => ({
      output: {
        id: "a/x",
        content: "kept",
        content_type: "text/plain",
        etag: "1-000000000000",
        version: 1,
        author: "user:a",
        updated_at: "2026-01-01T00:00:00.000Z",
      },
      position: `${epoch}-0`,
      cache: { state: "stale", ageSeconds: 4.2 },
    });
    const routing = placed({
      mode: () => "edge",
      readCached: async ({ operation, minPosition }) =>
        operation === "context_get" && minPosition === undefined ? cached() : undefined,
      forward: async ({ operation, input }, to) => {
        asked.push(`${operation} ${to} ${String(input["consistency"])}`);
        return { output: { id: "a/y" }, position: `${epoch}-9` };
      },
    });
    await using core = startCore({ routing });
    epoch = core.invoker.position().split("-")[0] ?? "";
    const hit = await core.http("/contexts/a/x");
    expect([hit.status, hit.headers.get("cairn-cache"), hit.headers.get("age")]).toEqual([200, "stale", "5"]);
    const nobody = callerWith();
    expect((await core.http("/contexts/a/x", {}, nobody)).status).toBe(403);
    await core.call("context_list", {});
    await core.call("context_get", { id: "a/x", consistency: "leader" });
    expect(asked).toEqual(["context_list upstream session", "context_get leader leader"]);
    // It saw 9 elsewhere: what the cache has may be older than that.
    await core.call("context_get", { id: "a/x" });
    expect(asked.at(-1)).toBe("context_get upstream session");
  });
});
