// Beats with fake clocks and a fake link: what members hear of each other.

import { describe, expect, test } from "bun:test";
import { beatShape } from "../../src/fleet/beats/beat.ts";
import { Beats, beatOf } from "../../src/fleet/beats/beats.ts";
import { KnownMembers } from "../../src/fleet/members.ts";
import { Fault } from "../../src/lib/fault.ts";
import { busyOf } from "../../src/observe/machine/busy.ts";
import { fleetMark } from "../../src/peer/fleet-mark.ts";
import { beat, member } from "../kit/fleet-facts.ts";
import { machineOf } from "../kit/machine-source.ts";

/** Beats of `a` over a link whose far ends are set by a test, on clocks that it moves. */
function startBeats(names: readonly string[], fleetId = "f1") {
  const members = new KnownMembers();
  members.set(names.map((name) => member(name, name === "edge" ? "edge" : "central")));
  const clock = { monotonicMs: 1_000, wallMs: 50_000 };
  const asked: string[] = [];
  const refusals: string[] = [];
  let far: (node: string) => unknown = (node) => beat(node.slice(2), { timeMs: clock.wallMs });
  const beats = new Beats({
    members,
    self: () => "n-a",
    monotonicMs: () => clock.monotonicMs,
    nowMs: () => clock.wallMs,
    beat: async () => beat("a", { leading: true }),
    link: {
      call: async ({ node }) => {
        asked.push(node);
        return far(node);
      },
    },
    fleetId: () => fleetId,
    onNotAMember: (by) => refusals.push(by.name),
  });
  return {
    beats,
    members,
    clock,
    asked,
    refusals,
    answer: (answer: typeof far) => {
      far = answer;
    },
  };
}

describe("beats", () => {
  test("every full member is asked, edges and this node are not", async () => {
    const { beats, asked } = startBeats(["a", "b", "c", "edge"]);
    await beats.round();
    expect(asked).toEqual(["n-b", "n-c"]);
    expect(beats.received("n-b")).toMatchObject({ roundTripMs: 0, skewMs: 0 });
    const nameOf = (node: string) => beatOf({ ...beats.view(), self: "n-a" }, node)?.node;
    expect([nameOf("n-a"), nameOf("n-b"), nameOf("n-edge")]).toEqual(["n-a", "n-b", undefined]);
  });

  test("a clock that is ahead shows, with half the round trip taken off", async () => {
    const { beats, clock, answer } = startBeats(["a", "b"]);
    answer((node) => {
      clock.monotonicMs += 100;
      clock.wallMs += 100;
      return beat(node.slice(2), { timeMs: clock.wallMs - 50 + 7_000 });
    });
    await beats.round();
    expect(beats.received("n-b")).toMatchObject({ roundTripMs: 100, skewMs: 7_000 });
  });

  test("who does not answer grows old and is away; who never did counts from the begin", async () => {
    const { beats, clock, answer } = startBeats(["a", "b", "c"]);
    await beats.round();
    answer(() => {
      throw new Fault("unavailable", "gone");
    });
    clock.monotonicMs += 5_001;
    await beats.round();
    expect([beats.isAway("n-b"), beats.ageMs("n-b"), beats.ageMs("n-never")]).toEqual([true, 5_001, 5_001]);
  });

  test("a beat of a member is taken and answered, one of a stranger refused", async () => {
    const { beats } = startBeats(["a", "b"]);
    expect(await beats.answer("n-b", beat("b", { seq: 44 }))).toMatchObject({ node: "n-a" });
    expect(beats.received("n-b")?.beat.seq).toBe(44);
    await expect(beats.answer("n-x", beat("x"))).rejects.toMatchObject({ code: "not_a_member" });
  });

  test("only a peer's own word says that this node is none, and only that of one that is of the same fleet still", async () => {
    const { beats, refusals, answer } = startBeats(["a", "b"]);
    for (const fleet of [undefined, "", fleetMark("f2", "n-a"), fleetMark("f1", "n-b")]) {
      answer(() => {
        throw new Fault("not_a_member", "none of ours", { facts: { fromPeer: true, fleetMark: fleet } });
      });
      await beats.round();
    }
    // A refusal by this node's own link, whatever it holds.
    answer(() => {
      throw new Fault("not_a_member", "none of ours", { facts: { fleetMark: fleetMark("f1", "n-a") } });
    });
    await beats.round();
    expect(refusals).toEqual([]);
    answer(() => {
      throw new Fault("not_a_member", "none of ours", { facts: { fromPeer: true, fleetMark: fleetMark("f1", "n-a") } });
    });
    await beats.round();
    expect(refusals).toEqual(["b"]);
  });

  test("a node that does not know its fleet yet believes no removal", async () => {
    const { beats, refusals, answer } = startBeats(["a", "b"], "");
    answer(() => {
      throw new Fault("not_a_member", "none of ours", { facts: { fromPeer: true, fleetMark: "" } });
    });
    await beats.round();
    expect(refusals).toEqual([]);
  });

  test("what is no member any more is forgotten; the newest term tells who leads", async () => {
    const { beats, members, answer } = startBeats(["a", "b", "c"]);
    answer((node) => beat(node.slice(2), { leading: true, term: node === "n-c" ? 9 : 3 }));
    await beats.round();
    expect(beats.leaderNode()).toBe("n-c");
    members.set([member("a"), member("b")]);
    await beats.round();
    expect([beats.received("n-c"), beats.leaderNode()]).toEqual([undefined, "n-b"]);
  });

  test("only who says that it leads, and was heard lately, is taken for the leader, whatever the terms", async () => {
    const { beats, clock, answer } = startBeats(["a", "b", "c"]);
    const says = (leading: string, term: number) => (node: string) =>
      beat(node.slice(2), { leading: node === leading, term: node === "n-c" ? term : 3 });
    answer(says("n-b", 9));
    await beats.round();
    expect(beats.leaderNode()).toBe("n-b");
    answer(says("n-c", 9));
    await beats.round();
    expect(beats.leaderNode()).toBe("n-c");
    clock.monotonicMs += 60_000;
    answer((node) => {
      if (node === "n-c") throw new Fault("unavailable", "no route");
      return beat("b", { leading: true, term: 3 });
    });
    await beats.round();
    expect([beats.isAway("n-c"), beats.leaderNode()]).toEqual([true, "n-b"]);
  });

  test("a member that may not lead is not believed when it reports that it leads, whatever its term", async () => {
    const { beats, members, answer } = startBeats(["a", "b", "c"]);
    members.set([member("a"), member("b"), member("c", "regional")]);
    answer((node) => beat(node.slice(2), { leading: true, term: node === "n-c" ? 1e9 : 3 }));
    await beats.round();
    expect(beats.leaderNode()).toBe("n-b");
  });
});

describe("the machine in a beat", () => {
  test("arrives, in bounds: the longest is below 2 KB", () => {
    const label = (index: number) => `l${String(index).padStart(31, "0")}`;
    const word = "w".repeat(32);
    const longest = machineOf({
      ...{ os: word, arch: word, model: "m".repeat(64), gpu: "g".repeat(64) },
      labels: Array.from({ length: 19 }, (_, index) => label(index)),
      throttled: Array.from({ length: 8 }, () => word),
      throttledBefore: Array.from({ length: 8 }, () => word),
      memoryTotal: Number.MAX_SAFE_INTEGER,
    });
    const { machine } = beatShape.parse(beat("b", { machine: longest }));
    expect(machine).toEqual(longest);
    expect(JSON.stringify(machine).length).toBeLessThan(2_000);
  });

  test("of a build that says it otherwise is unknown, and the beat a sign of life all the same", () => {
    const said = machineOf();
    for (const machine of [
      { ...said, labels: Array.from({ length: 20 }, (_, index) => `l${index}`) },
      { ...said, labels: ["no label"] },
      { ...said, cores: "many" },
      { ...said, memoryFree: Number.NaN },
      { ...said, load: 1e308 },
      { ...said, cores: 5e-324 },
      { ...said, memoryFree: 1e300 },
      { ...said, model: "Pi\u001b[2J" },
      { ...said, gpu: "card0\nfleet is healthy" },
      { os: "linux" },
      7,
    ]) {
      const parsed = beatShape.parse({ ...beat("b", { seq: 4 }), machine });
      expect([parsed.seq, parsed.machine]).toEqual([4, undefined]);
    }
    expect(beatShape.parse(beat("b")).machine).toBeUndefined();
  });

  test("is kept where the build calls itself what nobody can print, and where it is as small as a limit allows", () => {
    const machine = machineOf({ cores: 0.001, load: 1_000_000 });
    const parsed = beatShape.parse(beat("b", { machine, version: "1.0\u001b]0;x\u0007" }));
    expect([parsed.machine, parsed.version]).toEqual([machine, "unknown"]);
    expect(busyOf(machine)).toEqual({ percent: 100_000, by: "load" });
    expect(beatShape.parse(beat("b", { version: "1.0-rc.1+5 (ours)" })).version).toBe("1.0-rc.1+5 (ours)");
  });

  test("is left aside by a build that does not know it, and what a later build adds by this one", () => {
    const older = beatShape.omit({ machine: true });
    expect(older.parse(beat("b", { machine: machineOf() }))).toEqual(older.parse(beat("b")));
    const later = { ...machineOf(), fans: 2 };
    expect(beatShape.parse({ ...beat("b"), machine: later, later: 1 }).machine).toEqual(machineOf());
  });
});
