// Reads anywhere: what is read here, what goes to the leader, and the age of what is returned.

import { describe, expect, test } from "bun:test";
import { get, member, pairFor, put } from "../kit/asking.ts";
import { callerWith } from "../kit/core.ts";
import { inTime } from "../kit/in-time.ts";
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
    const far = await pair.node(1).core.http("/contexts/team-a/x", {
      headers: { "cairn-min-position": `${epoch}-${Number(seq) + 9}` },
    });
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
    const refused = await inTime(10_000, pair.node(1).core.http("/contexts/team-a/x", {}, member));
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
});
