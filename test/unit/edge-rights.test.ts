// How long an edge that is cut off goes on to serve (security.md 7): only while a right that was taken away would have
// reached it. Clock, link and control server are the test's.

import { expect, test } from "bun:test";
import { agentFeature } from "../../src/features/agent/index.ts";
import { Fault } from "../../src/lib/fault.ts";
import { granted } from "../kit/core.ts";
import { startEdgePair } from "../kit/edge.ts";
import { temporaryFolder } from "../kit/temporary.ts";

const HOUR_MS = 3_600_000;
const settings = { maxStaleMs: 24 * HOUR_MS, maxRightsAgeMs: HOUR_MS };
const member = granted({ role: "member", spaces: ["*"] });
const TAKEN = { name: "one", takeover: true };
const refused = expect.objectContaining({ code: "unavailable" });

test("nothing is served once rights may have been taken away unnoticed, whatever may be stale; a restart changes nothing", async () => {
  let controlIsThere = true;
  const folder = temporaryFolder();
  const pair = startEdgePair({ settings, folder, controlAnswers: () => controlIsThere });
  const stateOf = async (more: Record<string, unknown> = {}) =>
    (await pair.invoke("context_get", { id: "run/x", ...more }, member)).cache?.state;
  await pair.upstream.call("space_configure", { space: "run", edge: "stale" });
  await pair.upstream.call("context_put", { id: "run/x", content: "kept" });
  await pair.poll();
  expect(await stateOf()).toBe("miss");
  pair.setLink(() => Promise.reject(new Fault("unavailable", "cut", { facts: { outcome: "not_sent" } })));
  // By the control server alone a right would be taken away in time.
  pair.clock.add(2 * HOUR_MS);
  expect(await stateOf()).toBe("stale");
  controlIsThere = false;
  pair.clock.add(HOUR_MS);
  expect(await stateOf()).toBe("stale");
  pair.clock.add(1);
  await expect(stateOf()).rejects.toEqual(refused);
  await expect(stateOf({ consistency: "any" })).rejects.toEqual(refused);
  controlIsThere = true;
  expect(await stateOf()).toBe("stale");
  await pair.close();

  // What the process knew of the control server is gone, and the feed proved nothing for three hours.
  controlIsThere = false;
  const again = startEdgePair({ settings, folder, clock: pair.clock, controlAnswers: () => controlIsThere });
  again.setLink(() => Promise.reject(new Fault("unavailable", "cut", { facts: { outcome: "not_sent" } })));
  const read = () => again.invoke("context_get", { id: "run/x", consistency: "any" }, member);
  await expect(read()).rejects.toEqual(refused);
  controlIsThere = true;
  expect((await read()).cache?.state).toBe("stale");
  await again.close();
});

test("what an edge is not enrolled for is refused here, without asking another node", async () => {
  const pair = startEdgePair({ enrolled: ["team-a"] });
  for (const id of ["team-a/x", "team-b/x"]) await pair.upstream.call("context_put", { id, content: "x" });
  await pair.poll();
  const mine = expect.objectContaining({
    code: "forbidden",
    message: 'This edge is not enrolled for the space "team-b"',
  });
  await expect(pair.invoke("context_get", { id: "team-b/x" }, member)).rejects.toEqual(mine);
  await expect(pair.invoke("context_wait", { id: "team-b/x", timeout_seconds: 0 }, member)).rejects.toEqual(mine);
  expect(pair.asked).toEqual([]);
  expect((await pair.invoke("context_get", { id: "team-a/x" }, member)).output["content"]).toBe("x");
  await pair.close();
});

test("that a document is not there for one caller or agent says nothing to another one", async () => {
  const pair = startEdgePair();
  await pair.upstream.call("context_put", { id: "run/x", content: "x" });
  await pair.poll();
  const read = (login: string, more: Record<string, unknown> = {}) =>
    pair.invoke("context_get", { id: "run/none", ...more }, { ...member, login });
  const none = expect.objectContaining({ code: "not_found" });
  for (const login of ["ann@example.com", "ann@example.com"]) await expect(read(login)).rejects.toEqual(none);
  // As an agent that is none: only a full member can say so.
  const agent = { as: `agent-${"0".repeat(32)}` };
  await expect(read("ann@example.com", agent)).rejects.toEqual(expect.objectContaining({ code: "agent_unknown" }));
  await expect(read("bob@example.com")).rejects.toEqual(none);
  expect(pair.asked).toEqual(Array(3).fill("context_get run/none"));
  await pair.close();
});

test("an agent is answered from the cache only while a full member knows it, give or take ten seconds", async () => {
  const pair = startEdgePair({ features: [agentFeature], settings });
  const ann = { ...member, login: "ann@example.com" };
  await pair.upstream.call("space_configure", { space: "run", edge: "stale" });
  await pair.upstream.call("context_put", { id: "run/x", content: "x" });
  const handle = async () => String((await pair.upstream.call("agent_register", TAKEN, ann))["handle"]);
  const [first, forged] = [await handle(), `agent-${"0".repeat(32)}`];
  await pair.poll();
  const stateOf = async (as: string, more: Record<string, unknown> = {}, caller = ann) =>
    (await pair.invoke("context_get", { id: "run/x", ...more, as }, caller)).cache?.state;
  const unknown = expect.objectContaining({ code: "agent_unknown" });
  expect((await pair.invoke("context_get", { id: "run/x" }, ann)).cache?.state).toBe("miss");
  for (const more of [{}, { consistency: "any" }]) {
    await expect(stateOf(forged, more)).rejects.toEqual(unknown);
    await expect(stateOf(first, more, { ...member, login: "bob@example.com" })).rejects.toEqual(unknown);
  }
  expect([await stateOf(first), await stateOf(first), await stateOf(first, { consistency: "any" })]).toEqual([
    "revalidated",
    "hit",
    "hit",
  ]);
  const second = await handle();
  await pair.poll();
  expect(await stateOf(first)).toBe("hit");
  pair.clock.add(10_001);
  await pair.poll();
  await expect(stateOf(first)).rejects.toEqual(unknown);
  expect([await stateOf(second), await stateOf(second)]).toEqual(["revalidated", "hit"]);
  // While no one can be asked, an agent that was known stays so, and no other is taken for one.
  pair.setLink(() => Promise.reject(new Fault("unavailable", "cut", { facts: { outcome: "not_sent" } })));
  pair.clock.add(60_000);
  expect(await stateOf(second)).toBe("stale");
  for (const as of [first, forged]) await expect(stateOf(as)).rejects.toEqual(refused);
  await pair.close();
});

test("a write that was under way when the edge was cut off may have been made", async () => {
  const pair = startEdgePair();
  await pair.poll();
  const sent = Promise.withResolvers<void>();
  pair.setLink((path, deliver) => {
    if (path === "feed") return deliver();
    sent.resolve();
    return new Promise(() => {});
  });
  const writing = pair.invoke("context_put", { id: "run/x", content: "x" }, member);
  await sent.promise;
  pair.clock.add(6_000);
  await expect(writing).rejects.toMatchObject({ code: "unavailable", details: { outcome: "unknown" } });
  // One that begins now is not sent.
  const later = pair.invoke("context_put", { id: "run/x", content: "x" }, member);
  await expect(later).rejects.toMatchObject({ code: "unavailable", details: { outcome: "not_written" } });
  await pair.close();
});
