// Probes that flap: what is written and told of them is bounded, whatever they do, and a failure is said at once.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { Damping } from "../../src/features/probe/damping.ts";
import { startProbes } from "../kit/probes.ts";

let fleet: ReturnType<typeof startProbes>;
beforeEach(() => {
  fleet = startProbes();
});
afterEach(() => fleet[Symbol.asyncDispose]());

const FAST = { interval: 5, down: 1, up: 1 };
const BEAT = { target: undefined, retry: undefined, timeout: undefined, type: "beat", interval: 900, grace: 60 };
/** Changes that are few while something flaps: without damping each check makes one. */
const FEW = 12;
const FLAP_S = 300;
const HOUR_S = 3600;

const written = (operation: string) =>
  fleet.store.reader.get<{ count: number }>("SELECT COUNT(*) AS count FROM changes WHERE operation = ?", operation)
    ?.count ?? 0;
const detailOf = async (name: string) => {
  const { probes } = await fleet.call("probe_list", {});
  return (probes as { name: string; places: { detail: string }[] }[]).find((each) => each.name === name)?.places[0]
    ?.detail;
};

/** Lets some minutes pass, and changes something before each look. */
async function flap(change: (at: number) => unknown, stepSeconds = 5): Promise<void> {
  for (let at = 0; at < FLAP_S / stepSeconds; at += 1) {
    await change(at);
    await fleet.pass(stepSeconds, stepSeconds);
  }
}

describe("a probe that flaps", () => {
  test("is written some times, says so, and is up once that lasts", async () => {
    await fleet.declareProbe("web", FAST);
    await fleet.pass(20);
    await flap((at) => {
      fleet.behaviour.status = at % 2 === 0 ? 500 : 200;
    });
    expect(written("probe_transition")).toBeLessThanOrEqual(FEW);
    expect(fleet.outcomes().slice(0, 6)).toEqual(["recovered", "down", "up", "down", "up", "down"]);
    expect(fleet.outcomes()).toHaveLength(6);
    expect(fleet.states()).toEqual(["web down service"]);
    expect(await detailOf("web")).toBe(
      "flapping, so up is said after 10 minutes without a failure: status 500; expected is 2xx, 3xx",
    );
    expect(fleet.member("a").conditions.list()[0]?.text).toContain("web: flapping");
    fleet.behaviour.status = 200;
    await fleet.pass(585, 15);
    expect(fleet.states()).toEqual(["web down service"]);
    await fleet.pass(30);
    expect(fleet.states()).toEqual(["web up"]);
    // The next failure is said at once.
    fleet.behaviour.status = 500;
    await fleet.pass(10);
    expect(fleet.states()).toEqual(["web down service"]);
    expect(await fleet.call("audit_verify", {})).toMatchObject({ ok: true });
  });

  test("is like any other an hour later, and when it is declared anew", async () => {
    const fallsAndRises = async () => {
      for (const status of [500, 200]) {
        fleet.behaviour.status = status;
        await fleet.pass(10);
      }
      return fleet.states();
    };
    await fleet.declareProbe("web", FAST);
    await fleet.pass(20);
    for (let at = 0; at < 3; at += 1) await fallsAndRises();
    expect(fleet.states()).toEqual(["web down service"]);
    await fleet.declareProbe("web", { ...FAST, timeout: 2 });
    await fleet.pass(15);
    expect(fleet.states()).toEqual(["web up"]);
    for (let at = 0; at < 3; at += 1) await fallsAndRises();
    expect(fleet.states()).toEqual(["web down service"]);
    await fleet.pass(HOUR_S + 120, 120);
    expect(await fallsAndRises()).toEqual(["web up"]);
  });

  test("between two causes, or without knowing, is written some times too", async () => {
    const { around } = fleet.member("a");
    await fleet.declareProbe("cause", FAST);
    await fleet.pass(20);
    await flap((at) => {
      fleet.behaviour.status = 500;
      around.out = at % 2 === 0;
    });
    const after = written("probe_transition");
    expect(after).toBeLessThanOrEqual(FEW);
    around.control = false;
    await flap((at) => {
      fleet.behaviour.status = 200;
      around.out = at % 2 === 0;
    });
    expect(written("probe_transition") - after).toBeLessThanOrEqual(FEW);
  });

  test("that only some members flap for holds up none of the others", async () => {
    await fleet[Symbol.asyncDispose]();
    fleet = startProbes(["a", "b"]);
    await fleet.declareProbe("every", { ...FAST, where: "all" });
    await fleet.pass(20);
    await flap((at) => {
      fleet.member("b").around.out = at % 2 === 0;
    });
    expect(written("probe_transition")).toBeLessThanOrEqual(FEW);
    fleet.member("a").around.out = false;
    await fleet.pass(10);
    expect(fleet.states()[0]).toBe("every n-a down path");
    fleet.member("a").around.out = true;
    await fleet.pass(10);
    expect(fleet.states()[0]).toBe("every n-a up");
  });

  test("by a member that comes and goes is written some times", async () => {
    await fleet[Symbol.asyncDispose]();
    fleet = startProbes(["a", "b"]);
    await fleet.declareProbe("disk", { ...FAST, where: "member:b" });
    await fleet.pass(20);
    await flap((at) => {
      fleet.member("b").isSilent = at % 8 < 7;
    });
    expect(written("probe_transition")).toBeLessThanOrEqual(FEW);
  });
});

describe("beats that say now this and now that", () => {
  test("are written some times, and the last one is in the log soon", async () => {
    await fleet.declareProbe("job", BEAT);
    await flap((at) => fleet.call("probe_beat", { name: "job", good: at % 2 === 0, text: `run ${at}` }));
    expect(written("probe_transition")).toBeLessThanOrEqual(FEW);
    expect(written("probe_beat_keep")).toBeLessThanOrEqual(FEW);
    const row = () =>
      fleet.store.reader.get<{ beat_good: number; beat_text: string }>(
        "SELECT beat_good, beat_text FROM probe_controls",
      );
    const good = row()?.beat_good === 0;
    await fleet.call("probe_beat", { name: "job", good, text: "the last one" });
    expect(row()?.beat_text).not.toBe("the last one");
    await fleet.pass(310, 10);
    expect(row()).toEqual({ beat_good: good ? 1 : 0, beat_text: "the last one" });
    const kept = written("probe_beat_keep");
    await fleet.pass(HOUR_S, 60);
    expect(written("probe_beat_keep")).toBe(kept);
  });

  test("are in the log at once while they are few", async () => {
    await fleet.declareProbe("job", BEAT);
    await fleet.pass(10);
    for (const good of [true, false, true]) {
      await fleet.call("probe_beat", { name: "job", good });
      const row = fleet.store.reader.get<{ beat_good: number }>("SELECT beat_good FROM probe_controls");
      expect(row?.beat_good).toBe(good ? 1 : 0);
    }
    await Promise.all(Array.from({ length: 50 }, () => fleet.call("probe_beat", { name: "job", good: false })));
    expect(written("probe_beat_keep")).toBeLessThanOrEqual(10);
  });
});

test("of a probe that flaps, down is said at once after unknown, and unknown after down only when it lasts", () => {
  const damping = new Damping();
  const said = (state: "up" | "down" | "unknown") => ({ state, cause: "" as const, detail: "it" });
  const row = (state: "down" | "unknown") => ({ state, cause: "" as const });
  let nowMs = 0;
  const take = (state: "up" | "down" | "unknown", of: "down" | "unknown") => {
    nowMs += 1000;
    return damping.take("web", said(state), row(of), { declaredMs: 0, nowMs });
  };
  for (let fall = 1; fall <= 3; fall += 1) {
    take("up", "unknown");
    take("unknown", "unknown");
  }
  expect(take("up", "unknown")).toBeUndefined();
  expect(take("down", "unknown")).toMatchObject({ state: "down" });
  expect(take("unknown", "down")).toBeUndefined();
});
