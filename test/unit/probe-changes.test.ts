// Probes whose surroundings change: the clock is set back, they need each other, they move while they are paused.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { startProbes } from "../kit/probes.ts";

let fleet: ReturnType<typeof startProbes>;
beforeEach(() => {
  fleet = startProbes();
});
afterEach(() => fleet[Symbol.asyncDispose]());

describe("a probe", () => {
  test("is checked after its clock was set back", async () => {
    await fleet.declareProbe("web", { down: 1 });
    await fleet.pass(20);
    fleet.clock.nowMs -= 3_600_000;
    fleet.behaviour.status = 500;
    await fleet.pass(20);
    expect(fleet.states()).toEqual(["web down service"]);
  });

  test("that needs one that needs it is down all the same", async () => {
    await fleet.declareProbe("web", { depends_on: ["database"] });
    await fleet.declareProbe("database", { depends_on: ["cache"] });
    await fleet.declareProbe("cache", { depends_on: ["web"] });
    await fleet.declareProbe("page", { depends_on: ["web"] });
    await fleet.pass(20);
    fleet.behaviour.status = 500;
    await fleet.pass(60);
    expect(fleet.states()).toEqual([
      ...["cache down service", "database down service", "page unknown dependency", "web down service"],
    ]);
  });

  test("stays paused where it moves, and one declared later by its name is not", async () => {
    const controls = () => fleet.store.reader.all("SELECT name, paused FROM probe_controls");
    await fleet.declareProbe("web", { down: 1 });
    await fleet.pass(20);
    await fleet.call("probe_pause", { name: "web" });
    await fleet.declareProbe("web", { down: 1, where: "member:a" });
    await fleet.pass(20);
    expect(fleet.states()).toEqual([]);
    expect(controls()).toEqual([{ name: "web", paused: 1 }]);
    await fleet.remove("web");
    await fleet.pass(10);
    expect(controls()).toEqual([]);
    expect(await fleet.call("audit_verify", {})).toMatchObject({ ok: true });
    const { seq } = fleet.log.position();
    await fleet.pass(10);
    expect(fleet.log.position().seq).toBe(seq);
  });
});
