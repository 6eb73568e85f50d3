// What an edge neither serves from its cache nor keeps: what a write of its own may have changed, what was on its way
// while changes were missed, and what is of another history.

import { afterEach, describe, expect, test } from "bun:test";
import { granted } from "../kit/core.ts";
import { type EdgePair, startEdgePair } from "../kit/edge.ts";

const member = granted({ role: "member", spaces: ["*"] });

const open = new Set<EdgePair>();
afterEach(async () => {
  for (const pair of open) await pair.close();
  open.clear();
});

async function startPair(): Promise<EdgePair> {
  const pair = startEdgePair();
  open.add(pair);
  await pair.poll();
  return pair;
}

const put = (pair: EdgePair, id: string, content: string) => pair.upstream.call("context_put", { id, content });
const read = (pair: EdgePair, id: string, more: Record<string, unknown> = {}, caller = member) =>
  pair.invoke("context_get", { id, ...more }, caller);
const stateOf = async (answer: ReturnType<typeof read>) => (await answer).cache?.state;

describe("a document", () => {
  test("that a write of this edge may have changed is not served from the cache until the feed has the write", async () => {
    const pair = await startPair();
    await put(pair, "a/x", "one");
    await pair.poll();
    await read(pair, "a/x");
    const writes = [{ operation: "context_put", id: "a/x", content: "two" }];
    await pair.invoke("context_many", { writes }, member);
    // A caller that did not write, and needs no position.
    const other = { ...member, login: "other@example.com" };
    const any = () => read(pair, "a/x", { consistency: "any" }, other);
    expect(await any()).toMatchObject({ output: { content: "two" }, cache: { state: "miss" } });
    expect(await stateOf(any())).toBe("miss");
    await pair.poll();
    expect([await stateOf(any()), await stateOf(any())]).toEqual(["miss", "hit"]);
  });

  test("that was not there is asked for again for a newer position, and by an edge that is not fresh", async () => {
    const pair = await startPair();
    const none = expect.objectContaining({ code: "not_found" });
    await expect(read(pair, "a/x")).rejects.toEqual(none);
    await put(pair, "a/x", "one");
    await expect(read(pair, "a/x")).rejects.toEqual(none);
    const position = pair.upstream.invoker.position();
    expect((await read(pair, "a/x", { min_position: position })).output["content"]).toBe("one");
    // A caller that needs no position.
    const other = { ...member, login: "other@example.com" };
    await expect(read(pair, "a/y", {}, other)).rejects.toEqual(none);
    await put(pair, "a/y", "two");
    pair.clock.add(3_000);
    expect((await read(pair, "a/y", {}, other)).output["content"]).toBe("two");
  });

  test.each(["a gap", "a new beginning"])("that is on its way during %s is given and not kept", async (what) => {
    const pair = await startPair();
    await put(pair, "a/x", "one");
    await pair.poll();
    const answered = Promise.withResolvers<void>();
    const gate = Promise.withResolvers<void>();
    pair.setLink(async (path, deliver) => {
      const answer = await deliver();
      if (path === "feed") return answer;
      answered.resolve();
      await gate.promise;
      return answer;
    });
    const reading = read(pair, "a/x");
    await answered.promise;
    // The edge never gets this change.
    await put(pair, "a/x", "two");
    if (what === "a gap") pair.edge.state.markGap();
    else pair.edge.state.reset();
    await pair.poll();
    gate.resolve();
    expect((await reading).output["content"]).toBe("one");
    expect(await read(pair, "a/x")).toMatchObject({ output: { content: "two" }, cache: { state: "miss" } });
  });

  test("of another history than the edge follows is passed on and not kept", async () => {
    const pair = await startPair();
    await put(pair, "a/x", "one");
    await pair.poll();
    const there = { output: { content: "far", etag: "", version: 9 }, position: "ffffffffff-999" };
    pair.setLink((path, deliver) => (path === "feed" ? deliver() : Promise.resolve(there)));
    expect(await read(pair, "a/x")).toMatchObject({ position: there.position });
    expect(pair.edge.report().entries).toBe(0);
  });
});
