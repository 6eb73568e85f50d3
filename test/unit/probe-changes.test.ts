// Probes whose surroundings change: the clock is set, they need each other, they move while they are paused, they are
// declared anew while they are checked.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { declarationSettle } from "../../src/features/declare/settle.ts";
import { PROBE } from "../../src/features/probe/declared.ts";
import { sha256Hex } from "../../src/lib/sha256.ts";
import { eventually } from "../kit/eventually.ts";
import { startProbes } from "../kit/probes.ts";
import { refusal } from "../kit/refusal.ts";
import { temporaryFolder } from "../kit/temporary.ts";

let fleet: ReturnType<typeof startProbes>;
beforeEach(() => {
  fleet = startProbes();
});
afterEach(() => fleet[Symbol.asyncDispose]());

describe("a probe", () => {
  test("is checked after its clock was set back", async () => {
    await fleet.declareProbe("web", { down: 1 });
    await fleet.pass(20);
    fleet.clock.aheadMs -= 3_600_000;
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

describe("a clock that is set", () => {
  const BEAT = { target: undefined, retry: undefined, timeout: undefined, type: "beat", interval: 60, grace: 10 };

  test.each([3_600_000, -3_600_000])("makes no member silent, and no beat late: by %p ms", async (byMs) => {
    await fleet[Symbol.asyncDispose]();
    fleet = startProbes(["a", "b"]);
    await fleet.declareProbe("disk", { where: "member:b" });
    await fleet.declareProbe("job", BEAT);
    await fleet.call("probe_beat", { name: "job" });
    await fleet.pass(30);
    expect(fleet.states()).toEqual(["disk n-b up", "job up"]);
    fleet.clock.aheadMs += byMs;
    await fleet.look();
    await fleet.pass(20);
    expect(fleet.states()).toEqual(["disk n-b up", "job up"]);
    // A member that is silent, and a job that is late, are so as soon as ever.
    fleet.member("b").isSilent = true;
    await fleet.pass(45);
    expect(fleet.states()).toEqual(["disk n-b unknown machine", "job down service"]);
  });

  test("does not make a new leader say that beats are late, or that a member is silent", async () => {
    await fleet[Symbol.asyncDispose]();
    fleet = startProbes(["a", "b", "c"]);
    await fleet.declareProbe("disk", { where: "member:c" });
    await fleet.declareProbe("job", BEAT);
    await fleet.call("probe_beat", { name: "job" });
    await fleet.pass(30);
    fleet.member("c").isSilent = true;
    fleet.lead("b");
    await fleet.look();
    fleet.clock.aheadMs += 3_600_000;
    await fleet.pass(20);
    expect(fleet.states()).toEqual(["disk n-c up", "job up"]);
  });
});

describe("a probe that is declared anew", () => {
  test("by a version that it had before is the new one", async () => {
    await fleet.declareProbe("web");
    await fleet.pass(20);
    expect(fleet.states()).toEqual(["web up"]);
    const declared = () => fleet.declarations.list(PROBE).find(({ name }) => name === "web");
    const before = declared();
    const id = "fleet/probes/web";
    const content = { type: "http", target: fleet.url, interval: 10, retry: 5, timeout: 1, down: 1 };
    const text = JSON.stringify({ ...content, expect: { contains: "else" } });
    const gone = { id, version: 0, hash: "", problem: "", text: "" };
    // No look in between.
    for (const settled of [gone, { id, version: 1, hash: sha256Hex(text), problem: "", text }]) {
      const { name, v } = declarationSettle;
      await fleet.log.propose({ name, v, input: { settled: [settled] }, caller: "node", via: "", key: "" });
    }
    expect(declared()?.version).toBe(before?.version as number);
    expect(declared()?.sinceMs).toBeGreaterThan(before?.sinceMs as number);
    await fleet.pass(20);
    expect(fleet.states()).toEqual(["web down service"]);
  });

  test("begins when the program of the one before has ended", async () => {
    const file = join(temporaryFolder(), "log");
    const lines = () => {
      try {
        return readFileSync(file, "utf8").trim().split("\n");
      } catch {
        return [];
      }
    };
    const program = (name: string) => [
      ...["sh", "-c"],
      `trap 'sleep 0.05; echo ${name} ends >> ${file}; exit' TERM; echo ${name} >> ${file}; sleep 30 & wait`,
    ];
    const { runner, around } = fleet.member("a");
    around.agreed.push("*");
    const declare = (name: string) =>
      fleet.declareProbe("disk", {
        ...{ target: undefined, retry: undefined, type: "command", timeout: 30, command: program(name) },
      });
    await declare("one");
    const checked = refusal(Promise.resolve(runner.checkNow("disk")));
    await eventually("it runs", () => lines().length === 1);
    await declare("two");
    await eventually("the other runs", async () => {
      fleet.clock.nowMs += 1000;
      await runner.look();
      return lines().includes("two");
    });
    expect(lines()).toEqual(["one", "one ends", "two"]);
    expect((await checked).message).toContain("declared anew or ended while it was checked");
    // Nothing of it is left when the declaration ends.
    await fleet.remove("disk");
    await runner.look();
    await eventually("it ends", () => lines().length === 4);
    expect(lines().at(-1)).toBe("two ends");
  });
});

test("checks that are asked for are as many at once as any", async () => {
  const { runner } = fleet.member("a");
  fleet.behaviour.hangs = true;
  const names = Array.from({ length: 33 }, (_, at) => `web-${at}`);
  for (const name of names) await fleet.declareProbe(name, { timeout: 60 });
  const asked = names.slice(0, 32).map((name) => Promise.resolve(runner.checkNow(name)).catch(() => {}));
  await eventually("they run", () => runner.running === 32);
  const { results } = await fleet.call("probe_check", { name: "web-32" });
  expect(results).toEqual([
    { node: "", outcome: "not run", cause: "", detail: "32 checks run on this node already, which is the most" },
  ]);
  expect(runner.running).toBe(32);
  await runner.stop();
  await Promise.all(asked);
});
