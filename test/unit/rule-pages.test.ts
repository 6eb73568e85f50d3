// The pages of rules as strings: state, number, bound, cool-down and ceiling, the jobs that a rule started and no
// others, for whom, and with words of others as text.

import { expect, test } from "bun:test";
import type { Caller } from "../../src/access/caller.ts";
import { agentFeature } from "../../src/features/agent/index.ts";
import { contextFeature } from "../../src/features/context/index.ts";
import { declareFeature } from "../../src/features/declare/index.ts";
import { ACTION } from "../../src/features/job/action.ts";
import { jobConditions } from "../../src/features/job/conditions.ts";
import { jobFeature } from "../../src/features/job/index.ts";
import { RULE } from "../../src/features/job/rule.ts";
import { RULES, Rules } from "../../src/features/job/rules.ts";
import type { Measured } from "../../src/operation/measured.ts";
import { callerWith, localAdmin } from "../kit/core.ts";
import { PEOPLE, startJobs } from "../kit/jobs.ts";
import { webOver } from "../kit/web.ts";

const HOSTILE = "<script>alert(1)</script>\u202eevil";
/** One who may read, and not in the space of the jobs. */
const ELSEWHERE = callerWith({ id: "neve", login: "eve@x", grants: [{ role: "reader", spaces: ["other"] }] });

/** A node with the rule `scale`, whose probe measures what the test says. */
async function start() {
  const node = startJobs({ kinds: [ACTION, RULE] });
  let measured: Measured = { space: "team", why: `no number: ${HOSTILE}` };
  const rules = new Rules({
    ...{ reader: node.store.reader, log: () => node.log, declarations: node.declarations, say: () => {} },
    measured: () => () => measured,
    monotonicMs: node.nowMs,
    conditions: node.conditions.of(jobConditions),
  });
  rules.begin();
  node.services.provide(RULES, rules);
  await node.declareAction("work", { parameters: { host: { type: "string" } } });
  const input = { host: "a" };
  const scale = { probe: "queue", above: 10, for_seconds: 90, at_most: 2, cool_down_seconds: 300 };
  await node.declareAction("scale", { ...scale, start: { action: "work", input }, description: HOSTILE }, RULE);
  await node.declareAction("low", { probe: "queue", below: 1, start: { action: "missing" } }, RULE);
  const web = webOver(node, {
    ...{ features: [contextFeature, declareFeature, agentFeature, jobFeature], nowMs: node.nowMs },
    onUnexpected: (error) => {
      throw error;
    },
  });
  return {
    node,
    /** Goes on, measures, and lets the leader look. */
    async go(seconds: number, value: number) {
      await node.pass(seconds);
      measured = { space: "team", value, atMs: node.nowMs() };
      await rules.look();
    },
    async page(path: string, caller: Caller = localAdmin) {
      const response = await web.fetch(new Request(`http://cairn${path}`), caller, "http");
      const text = (await response?.text()) ?? "";
      const plain = text.replaceAll(/<[^>]*>/g, " ").replaceAll(/\s+/g, " ");
      return { status: response?.status, text, plain };
    },
    [Symbol.asyncDispose]: () => node[Symbol.asyncDispose](),
  };
}

test("the list says what each rule does now, what is to be mended first", async () => {
  await using scene = await start();
  const { page, go } = scene;
  const unknown = await page("/ui/rules");
  expect(unknown.status).toBe(200);
  expect(unknown.text).toContain("&lt;script&gt;alert(1)");
  expect(unknown.text).not.toMatch(/<script>alert|\u202e/);
  expect(unknown.text).toContain('data-again="5"');
  expect(unknown.text.indexOf('href="/ui/rules/low"')).toBeLessThan(unknown.text.indexOf('href="/ui/rules/scale"'));
  expect(unknown.plain).toContain("there is no action missing");
  await go(0, 12);
  await go(60, 12.5);
  expect((await page("/ui/rules?state=waiting")).plain).toContain(
    "scale work queue above 10 for 1 min 30 s waiting above for 1 min 12.5 0 of 2 never",
  );
  await go(60, 13);
  await go(20, 13);
  const cooling = await page("/ui/rules?space=team&state=cooling");
  expect(cooling.plain).toMatch(
    /cooling above for 2 min 20 s cools down until 2026-\d\d-\d\d \d\d:\d\d:\d\d 13 1 of 2 20 s ago/,
  );
  expect(cooling.text).not.toContain("/ui/rules/low");
  expect((await page("/ui/rules?state=paused")).text).toContain("There is no such rule.");
});

test("the page of one has its declaration, and the jobs that it started alone", async () => {
  await using scene = await start();
  const { node, page, go } = scene;
  const before = await page("/ui/rules/scale");
  for (const shown of ["None that is kept.", "unknown", "Last fired never", "Cool-down 5 min", "Number none"])
    expect(before.plain).toContain(shown);
  expect(before.text).toContain("&lt;script&gt;alert(1)");
  expect(before.text).not.toMatch(/<script>alert|\u202e/);
  const { id: other } = await node.start("work", { input: { host: "b" } });
  await go(0, 12);
  await go(90, 12);
  const { text, plain } = await page("/ui/rules/scale");
  const jobs = [...text.matchAll(/href="\/ui\/jobs\/(team\/[^"]+)"/g)].map(([, id]) => id);
  expect(jobs).toHaveLength(1);
  expect(jobs).not.toContain(other);
  for (const shown of [
    "Firings 1",
    "Open jobs 2 of at most 2",
    "Above for 1 min 30 s",
    "Cools down until",
    "Number 12",
  ])
    expect(plain).toContain(shown);
  expect(plain).toContain("&quot;cool_down_seconds&quot;: 300");
  // The job names its rule.
  expect((await page(`/ui/jobs/${jobs[0]}`)).text).toContain('href="/ui/rules/scale"');
  expect((await page(`/ui/jobs/${other}`)).text).not.toContain("/ui/rules/scale");
});

test("is shown to who may read the space of its jobs", async () => {
  await using scene = await start();
  const { page } = scene;
  expect((await page("/ui/rules", PEOPLE["ray"])).text).toContain("/ui/rules/scale");
  expect((await page("/ui/rules/scale", PEOPLE["ray"])).status).toBe(200);
  expect((await page("/ui/rules", ELSEWHERE)).text).toContain("There is no rule that you may see.");
  expect((await page("/ui/rules/scale", ELSEWHERE)).status).toBe(404);
  expect((await page("/ui/rules/none")).status).toBe(404);
  expect((await page("/ui/rules/NO%20NAME")).status).toBe(400);
});
