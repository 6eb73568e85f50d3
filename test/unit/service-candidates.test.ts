// Which members a service may run on: by names that the tailnet shows, ids before names, and labels that are not known
// yet.

import { expect, test } from "bun:test";
import { decide, seenNode, type World } from "../../src/features/service/decide.ts";
import { planOf } from "../../src/features/service/plan.ts";
import { memberNamed, oneNamed, type ServiceRow } from "../../src/features/service/rows.ts";
import { takeStep } from "../../src/features/service/transition.ts";
import { PlacedWorld } from "../kit/placed-world.ts";

test("a word names the member of that id, or else the only one of that name", () => {
  const all = [
    { node: "n1", name: "mini" },
    { node: "n2", name: "n1" },
    { node: "n3", name: "Pi" },
    { node: "n4", name: "pi" },
  ];
  expect(memberNamed("n1", all)?.node).toBe("n1");
  expect(memberNamed("MINI", all)?.node).toBe("n1");
  expect(memberNamed("pi", all)).toBeUndefined();
  expect(memberNamed("n4", all)?.node).toBe("n4");
  expect(memberNamed("other", all)).toBeUndefined();
  expect(oneNamed("n1", all, "to")?.node).toBe("n1");
  expect(() => oneNamed("PI", all, "to")).toThrow('"PI" is the name of several members: n3 and n4');
});

test("a primary that is the name of several members is none of them, and the plan gives their ids", () => {
  const { nodes, ...world } = new PlacedWorld(() => 0.5, { primary: "pi", backups: [] }).world();
  const named = nodes.map((node) => ({ ...node, name: node.node === "n2" ? "mini" : "pi" }));
  expect(planOf({ ...world, nodes: named })[0]).toMatchObject({
    steps: [],
    candidates: [{ name: "pi", problem: "it is the name of several members: n0 and n1" }],
  });
});

test("a plan shows the space that is declared, by which its reader was judged, and not the one before", () => {
  const { services, ...world } = worldOf({ where: "any", space: "lab" }, [], true);
  const rows = world.rows.map((row) => ({ ...row, space: "secret" }));
  expect(planOf({ ...world, services, rows })[0]?.space).toBe("lab");
  expect(planOf({ ...world, services: [], rows })[0]?.space).toBe("secret");
});

test("a member keeps the id of its row where the tailnet gives it none, as on cairn dev", () => {
  const member = { node: "", name: "cairn", away: false, labels: ["web"] };
  const row = { node: "loopback", boot: "b", offers: '["wiki"]' };
  expect(seenNode(row, member, { drained: false, thereMs: 1 })).toEqual({
    ...{ node: "loopback", name: "cairn", boot: "b", offers: new Set(["wiki"]), away: false, labels: ["web"] },
    ...{ drained: false, thereMs: 1 },
  });
});

/** A world in which each member has these labels, with the service ready on the first one, or running nowhere. */
function worldOf(declared: Record<string, unknown>, labels: readonly string[] | undefined, isReady: boolean): World {
  const played = new PlacedWorld(() => 0.5, { primary: undefined, backups: [], ...declared }).world();
  const copy = declared["copies"] === "per_label" ? "n0" : "";
  const known = { ...played, nodes: played.nodes.map((node) => ({ ...node, labels: ["web", "gpu"] })), rows: [] };
  const first = decide(known).find((each) => each.copy === copy)?.step;
  const started = first && takeStep(undefined, { ...first, node: "n0" }, { seq: 5, timeMs: 0, n: 1 })?.row;
  const row = { ...(started as ServiceRow), state: "ready", ready_at: 1, ready_node: "n0" } as const;
  return { ...played, nodes: played.nodes.map((node) => ({ ...node, labels })), rows: isReady ? [row] : [] };
}

test.each([{ where: "label:web" }, { where: "label:web", copies: "per_label" }])(
  "labels that are not known yet end nothing and start nothing: %j",
  (declared) => {
    const steps = (labels: readonly string[] | undefined, isReady: boolean) =>
      decide(worldOf(declared, labels, isReady)).map(({ copy, step }) => [copy, step?.to]);
    const copy = declared.copies === undefined ? "" : "n0";
    expect(steps(undefined, true)).toEqual([[copy, undefined]]);
    expect(steps(["web"], true)[0]).toEqual([copy, undefined]);
    expect(steps([], true)).toEqual([[copy, "stopping"]]);
    expect(steps(undefined, false).filter(([, to]) => to !== undefined)).toEqual([]);
    expect(steps(["web"], false)[0]).toEqual([copy, "starting"]);
  },
);

test("a move or a start waits for labels that could decide it, but not for ever", () => {
  const gpu = ["gpu"];
  /** What is decided where n0 has it, or had it last; n0, n1 and n2 have these labels. */
  const next = (labels: readonly (readonly string[] | undefined)[], row: Partial<ServiceRow>, thereMs = 14_999) => {
    const { nodes, rows, ...world } = worldOf({ where: "label:gpu", primary: "n0", backups: ["n1", "n2"] }, gpu, true);
    const seen = nodes.map((each, at) => ({ ...each, labels: labels[at], thereMs }));
    const [decision] = decide({ ...world, nodes: seen, rows: rows.map((each) => ({ ...each, ...row })) });
    return [decision?.step?.to, decision?.step?.to === "starting" ? decision.step.node : decision?.step?.next];
  };
  const moved = { asked: "move", pin: "n1" } as const;
  expect(next([gpu, gpu, gpu], moved)).toEqual(["stopping", "n1"]);
  expect(next([gpu, undefined, gpu], moved)).toEqual([undefined, undefined]);
  expect(next([undefined, undefined, gpu], moved)).toEqual([undefined, undefined]);
  expect(next([gpu, undefined, gpu], moved, 15_000)).toEqual(["stay", ""]);
  expect(next([gpu, ["cpu"], gpu], moved)).toEqual(["stay", ""]);
  const ended = { state: "idle" } as const;
  expect(next([gpu, gpu, gpu], ended)).toEqual(["starting", "n0"]);
  expect(next([undefined, gpu, gpu], ended)).toEqual([undefined, undefined]);
  expect(next([undefined, gpu, gpu], ended, 15_000)).toEqual(["starting", "n1"]);
  expect(next([gpu, undefined, undefined], ended)).toEqual(["starting", "n0"]);
});

test("a plan says that labels are not known", () => {
  const [plan] = planOf(worldOf({ where: "label:web" }, undefined, false));
  expect(plan?.candidates[0]?.problem).toBe("its labels are not known yet");
});

test("a copy that is ready goes on where a changed declaration names no member that could run it", () => {
  const { services, ...world } = worldOf({ where: "label:web" }, ["web"], true);
  const to = (changes: Record<string, unknown>, more: Partial<World> = {}) => {
    const changed = services.map((each) => ({ ...each, value: { ...each.value, where: "any", ...changes } }));
    const [decision] = decide({ ...world, services: changed, ...more });
    return [decision?.step?.to, decision?.why];
  };
  const nobody = "is ready as it was declared before: no member can run it: elsewhere: no full member of that name";
  expect(to({ primary: "elsewhere" })).toEqual([undefined, expect.stringContaining(nobody)]);
  expect(to({ primary: "n1" })).toEqual(["stopping", "its declaration names this member no more"]);
  // One that is drained ends it, whoever else could run it.
  const nodes = world.nodes.map((node) => ({ ...node, drained: true }));
  expect(to({}, { nodes })).toEqual(["stopping", "on n0: it is drained"]);
});

test("the next artifact is there before the one that runs is ended", () => {
  const { services, ...world } = worldOf({ where: "any", artifact: "a".repeat(64) }, [], true);
  const next = "b".repeat(64);
  const changed = services.map((each) => ({ ...each, value: { ...each.value, artifact: next } }));
  const to = (remark: ReturnType<World["remark"]>, timeMs = 0) => {
    const [decision] = decide({ ...world, timeMs, services: changed, remark: () => remark });
    return decision?.step?.to;
  };
  expect(to({})).toBeUndefined();
  expect(to({ has: "a".repeat(64) })).toBeUndefined();
  expect(to({ lacks: "no member has it" }, 10 * 3_600_000)).toBeUndefined();
  expect(to({ has: next })).toBe("stopping");
  // A member of an earlier version says nothing of it.
  expect(to({}, 599_999)).toBeUndefined();
  expect(to({}, 600_000)).toBe("stopping");
});
