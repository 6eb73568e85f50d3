// Rules on values: a number that stays beyond a bound starts jobs, with a ceiling and a cool-down, whoever leads.

import { expect, test } from "bun:test";
import { ACTION } from "../../src/features/job/action.ts";
import { jobConditions } from "../../src/features/job/conditions.ts";
import { judgeRule, RULE, type RuleFacts, ruleShape } from "../../src/features/job/rule.ts";
import { jobRuleFire } from "../../src/features/job/rule-fire.ts";
import { RULES, Rules } from "../../src/features/job/rules.ts";
import { nodeCommand } from "../../src/log/node-command.ts";
import type { Measured } from "../../src/operation/measured.ts";
import { callerWith } from "../kit/core.ts";
import { eventually } from "../kit/eventually.ts";
import { type Shown, startJobs } from "../kit/jobs.ts";

const NEEDED = { probe: "queue", start: { action: "work" } };

/** One who may read, and not in the space of the jobs. */
const ELSEWHERE = callerWith({ id: "neve", login: "eve@x", grants: [{ role: "reader", spaces: ["other"] }] });

/** A node with a number that the test sets; the time of measurements is that of the test. */
function startRules() {
  const node = startJobs({ kinds: [ACTION, RULE] });
  let measured: Measured = { space: "team", why: "the probe queue has no number that is fresh" };
  const leader = () => {
    const rules = new Rules({
      ...{ reader: node.store.reader, log: () => node.log, declarations: node.declarations, say: () => {} },
      measured: () => () => measured,
      monotonicMs: node.nowMs,
      conditions: node.conditions.of(jobConditions),
    });
    rules.begin();
    return rules;
  };
  const first = leader();
  node.services.provide(RULES, first);
  return {
    ...node,
    ...{ first, leader },
    measure: (value: number) => {
      measured = { space: "team", value, atMs: node.nowMs() };
    },
    lose: (why: string) => {
      measured = { space: "team", why };
    },
    jobs: async () =>
      ((await node.as("ray", "job_list", { limit: 100 })) as { jobs: (Shown & { rule?: string })[] }).jobs,
    rule: async (name = "scale") =>
      ((await node.as("ray", "rule_list", { name })) as { rules: Record<string, unknown>[] }).rules[0],
    [Symbol.asyncDispose]: () => node[Symbol.asyncDispose](),
  };
}

test.each([
  [NEEDED, "one of them"],
  [{ ...NEEDED, above: 1, below: 2 }, "one of them"],
])("a rule needs one bound: %j", (declared, text) => {
  expect(RULE.problem?.(RULE.schema.parse(declared), "r")).toContain(text);
});

test("what holds a firing up is said, the first reason first", () => {
  const rule = ruleShape.parse({ ...NEEDED, above: 10, for_seconds: 60, at_most: 2 });
  const due: RuleFacts = {
    problem: undefined,
    measured: { value: 11 },
    heldMs: 60_000,
    nowMs: 5000,
    nextMs: 5000,
    open: 1,
  };
  const state = (more: Partial<RuleFacts>) => judgeRule(rule, { ...due, ...more }).state;
  expect(state({})).toBe("firing");
  expect(state({ open: 2 })).toBe("full");
  expect(state({ open: 2, nowMs: 4999 })).toBe("cooling");
  expect(state({ nowMs: 4999, heldMs: 59_999 })).toBe("waiting");
  expect(state({ heldMs: 0, measured: { value: 10 } })).toBe("within");
  expect(state({ measured: { why: "it is paused" } })).toBe("unknown");
  expect(state({ measured: { why: "it is paused" }, problem: "there is no action work" })).toBe("failing");
  expect(judgeRule({ ...rule, paused: true }, due).state).toBe("paused");
});

test("a number above the bound starts jobs up to the ceiling, each after the cool-down", async () => {
  await using node = startRules();
  const { first } = node;
  await node.declareAction("work", { parameters: { host: { type: "string" } } });
  const scale = { probe: "queue", above: 10, for_seconds: 60, at_most: 2, cool_down_seconds: 300 };
  await node.declareAction("scale", { ...scale, start: { action: "work", input: { host: "a" } } }, RULE);
  const go = async (seconds: number, value?: number) => {
    await node.pass(seconds);
    if (value !== undefined) node.measure(value);
    await first.look();
  };
  await first.look();
  expect(await node.rule()).toMatchObject({ state: "unknown", why: "the probe queue has no number that is fresh" });
  await go(0, 11);
  // A measurement that is old says nothing of the time since.
  await go(120);
  expect(await node.rule()).toMatchObject({ state: "waiting", beyond_seconds: 0, value: 11, open_jobs: 0, firings: 0 });
  await go(0, 9);
  expect(await node.rule()).toMatchObject({ state: "within" });
  await go(10, 12);
  await go(59, 12);
  expect(await node.jobs()).toEqual([]);
  node.lose("the probe queue is paused");
  await go(0);
  await go(1, 12);
  expect(await node.rule()).toMatchObject({ state: "waiting", beyond_seconds: 0 });
  await go(60, 12);
  expect(await node.jobs()).toMatchObject([{ state: "queued", rule: "scale" }]);
  expect((await node.jobs())[0]?.schedule).toBeUndefined();
  expect(await node.rule()).toMatchObject({ state: "cooling", firings: 1, open_jobs: 1 });
  await go(299, 12);
  expect((await node.jobs()).length).toBe(1);
  await go(1, 12);
  expect((await node.jobs()).length).toBe(2);
  await go(600, 12);
  expect((await node.jobs()).length).toBe(2);
  expect(await node.rule()).toMatchObject({
    state: "full",
    open_jobs: 2,
    why: "2 of at most 2 jobs of work have not ended",
  });
  const claimed = await node.claim("work");
  await node.as("bob", "job_finish", { id: claimed?.id ?? "", fence: claimed?.fence ?? "", outcome: "succeeded" });
  await go(1, 12);
  expect((await node.jobs()).length).toBe(3);
  expect(await node.call("audit_verify", {})).toMatchObject({ ok: true });
  expect(await node.call("rule_list", {}, ELSEWHERE)).toEqual({ rules: [] });
});

test("leaders that both believe to lead start one job; a new one counts anew, and keeps the cool-down", async () => {
  await using node = startRules();
  await node.declareAction("work");
  const scale = { probe: "queue", below: 3, for_seconds: 30, at_most: 5, cool_down_seconds: 100 };
  await node.declareAction("scale", { ...scale, start: { action: "work" } }, RULE);
  const [one, other] = [node.leader(), node.leader()];
  for (const seconds of [0, 30]) {
    await node.pass(seconds);
    node.measure(1);
    await Promise.all([one.look(), other.look()]);
  }
  expect((await node.jobs()).length).toBe(1);
  const next = node.leader();
  await node.pass(99);
  node.measure(1);
  await next.look();
  // Over for the others and their cool-down, and for the new one not for long enough.
  await node.pass(1);
  node.measure(1);
  await next.look();
  expect((await node.jobs()).length).toBe(1);
  await node.pass(29);
  node.measure(1);
  await next.look();
  expect((await node.jobs()).length).toBe(2);
  // A command that was made before, and comes late.
  const job = next.plan("scale", { value: 1 })?.job;
  const version = node.declarations.list(RULE)[0]?.version ?? 0;
  const late = { name: "scale", space: "team", version, firing: 2, at_most: 5, cool_down_ms: 0, job };
  await node.log.propose(nodeCommand(jobRuleFire, late));
  await node.log.propose(nodeCommand(jobRuleFire, { ...late, firing: 3, version: version + 1 }));
  await node.log.propose(nodeCommand(jobRuleFire, { ...late, firing: 3, cool_down_ms: 100_000 }));
  await node.log.propose(nodeCommand(jobRuleFire, { ...late, firing: 3, at_most: 2 }));
  expect((await node.jobs()).length).toBe(2);
  // One that forgets the rule is of an earlier leader: it is declared again, and goes on counting.
  await node.log.propose(nodeCommand(jobRuleFire, { ...late, firing: 0, job: null }));
  await node.log.propose(nodeCommand(jobRuleFire, { ...late, firing: 3 }));
  expect((await node.jobs()).length).toBe(3);
});

test("a plan says what would start, and what holds it up; a rule without its action is said; one that ends is forgotten", async () => {
  await using node = startRules();
  await node.declareAction("work");
  const scale = { probe: "queue", above: 10, for_seconds: 30, start: { action: "work" } };
  await node.declareAction("scale", scale, RULE);
  const plan = (value: number) => node.as("ray", "rule_plan", { name: "scale", value });
  expect(await plan(11)).toMatchObject({
    fires: true,
    after_seconds: 30,
    job: { action: "work", space: "team", input: {} },
  });
  expect(await plan(10)).toMatchObject({ fires: false, state: "within" });
  for (const seconds of [0, 30]) {
    await node.pass(seconds);
    node.measure(11);
    await node.first.look();
  }
  expect(await plan(11)).toMatchObject({ fires: false, state: "full", not_before: "2026-11-30T12:05:30.000Z" });
  await expect(node.as("ray", "rule_plan", { name: "none", value: 1 })).rejects.toMatchObject({ code: "not_found" });
  const asElsewhere = node.call("rule_plan", { name: "scale", value: 1 }, ELSEWHERE);
  await expect(asElsewhere).rejects.toMatchObject({ code: "not_found" });
  expect(node.store.reader.all("SELECT name, firing FROM job_rules")).toEqual([{ name: "scale", firing: 1 }]);
  await node.declareAction("wrong", { ...scale, start: { action: "absent" } }, RULE);
  await node.first.look();
  expect(node.conditionText("rule_failing")).toBe("wrong: there is no action absent");
  for (const name of ["scale", "wrong"]) await node.call("context_delete", { id: `fleet/rules/${name}` });
  await eventually("no rule is in force", () => node.declarations.list(RULE).length === 0);
  await node.first.look();
  expect(node.store.reader.all("SELECT name FROM job_rules")).toEqual([]);
  expect(node.conditionText("rule_failing")).toBeUndefined();
});
