// The pages of jobs and probes as strings: what they show of what others wrote, for whom, and their forms.

import { describe, expect, test } from "bun:test";
import type { Caller } from "../../src/access/caller.ts";
import { agentFeature } from "../../src/features/agent/index.ts";
import { contextFeature } from "../../src/features/context/index.ts";
import { declareFeature } from "../../src/features/declare/index.ts";
import { jobFeature } from "../../src/features/job/index.ts";
import { LIVE_OUTPUT } from "../../src/features/job/live.ts";
import { probeFeature } from "../../src/features/probe/index.ts";
import type { Feature } from "../../src/operation/feature.ts";
import { type Core, localAdmin } from "../kit/core.ts";
import { PEOPLE, startJobs } from "../kit/jobs.ts";
import { startProbes } from "../kit/probes.ts";
import { webOver } from "../kit/web.ts";

const HOSTILE = "<script>alert(1)</script>\u202eevil \"x\" 'y'";
const BASE = [contextFeature, declareFeature, agentFeature];

function pagesOver(core: Core, feature: Feature, nowMs: () => number) {
  const unexpected: unknown[] = [];
  const web = webOver(core, {
    ...{ features: [...BASE, feature], nowMs },
    onUnexpected: (error) => `w${unexpected.push(error)}`,
  });
  const ask = async (path: string, caller: Caller, init: RequestInit = {}) => {
    const response = await web.fetch(new Request(`http://cairn${path}`, init), caller, "http");
    if (response === undefined) throw new Error(`${path} is no page`);
    expect(unexpected).toEqual([]);
    return response;
  };
  return {
    page: async (path: string, caller: Caller = localAdmin) => {
      const response = await ask(path, caller);
      return { status: response.status, text: await response.text() };
    },
    post: (path: string, fields: Record<string, string> = {}, caller: Caller = localAdmin) =>
      ask(path, caller, { method: "POST", body: new URLSearchParams(fields), headers: { origin: "http://cairn" } }),
  };
}

function isHarmless(text: string): void {
  expect(text).toContain("&lt;script&gt;alert(1)");
  expect(text).not.toMatch(/<script>alert|\u202e/);
}

const person = (name: string) => PEOPLE[name] as Caller;

describe("jobs", () => {
  test("the list and the page of one show what it is, with words of others as text", async () => {
    await using jobs = startJobs();
    const { page } = pagesOver(jobs, jobFeature, jobs.nowMs);
    await jobs.declareAction("tidy", { attempts: 2, backoff: 0, parameters: { note: { type: "string" } } });
    const { id } = await jobs.start("tidy", { input: { note: HOSTILE } });
    const claim = await jobs.claim("tidy");
    if (claim === undefined) throw new Error("nothing to claim");
    await jobs.as("bob", "job_heartbeat", { id, fence: claim.fence, progress: HOSTILE, checkpoint: HOSTILE });
    const list = await page("/ui/jobs");
    for (const shown of [`href="/ui/jobs/${id}"`, "tidy", "running", "1 of 2"]) expect(list.text).toContain(shown);
    const one = await page(`/ui/jobs/${id}`);
    expect(one.status).toBe(200);
    isHarmless(one.text);
    for (const shown of ["running", "ann@x", "an agent", "Checkpoint"]) expect(one.text).toContain(shown);
    // An agent's job has no output.
    expect(one.text).not.toContain("Output");
    await jobs.as("bob", "job_finish", { id, fence: claim.fence, outcome: "succeeded", result: `done ${HOSTILE}` });
    const ended = await page(`/ui/jobs/${id}`);
    expect(ended.text).toContain("succeeded");
    expect(ended.text).toContain("done &lt;script&gt;");
    expect([one.text.includes("data-again"), ended.text.includes("data-again")]).toEqual([true, false]);
  });

  test("the list shows what is chosen, page by page", async () => {
    await using jobs = startJobs();
    const { page } = pagesOver(jobs, jobFeature, jobs.nowMs);
    for (const action of ["tidy", "sweep"]) await jobs.declareAction(action);
    const ids: string[] = [];
    for (let at = 0; at < 60; at += 1) ids.push((await jobs.start(at % 10 === 0 ? "sweep" : "tidy")).id);
    const link = (id = "") => `href="/ui/jobs/${id}"`;
    const first = (await page("/ui/jobs")).text;
    expect([first.includes(link(ids.at(-1))), first.includes(link(ids[0]))]).toEqual([true, false]);
    const next = /href="(\/ui\/jobs\?[^"]*cursor=[^"]*)"/.exec(first)?.[1]?.replaceAll("&amp;", "&") ?? "";
    const second = (await page(next)).text;
    expect([second.includes(link(ids.at(-1))), second.includes(link(ids[0]))]).toEqual([false, true]);
    const swept = (await page("/ui/jobs?action=sweep")).text;
    expect([swept.includes(link(ids[10])), swept.includes(link(ids[11]))]).toEqual([true, false]);
    expect((await page("/ui/jobs?state=dead")).text).toContain("There is no such job.");
    expect((await page("/ui/jobs?state=nonsense")).status).toBe(400);
  });

  test("the output of one that runs is shown, and looked at again", async () => {
    await using jobs = startJobs();
    const { page } = pagesOver(jobs, jobFeature, jobs.nowMs);
    await jobs.declareAction("build", { argv: ["make"] });
    const { id } = await jobs.start("build");
    jobs.store.transaction((tx) => tx.run("UPDATE jobs SET place = 3, state = 'running', attempt = 1, worker = 'n-a'"));
    expect((await page(`/ui/jobs/${id}`)).text).toContain("the node n-a does not say");
    jobs.services.provide(LIVE_OUTPUT, async () => ({ text: `step 1\n${HOSTILE}`, bytes: 9_000_000 }));
    const { text } = await page(`/ui/jobs/${id}`);
    isHarmless(text);
    for (const shown of ["step 1", "The end of 8.6 MiB", 'data-again="2"']) expect(text).toContain(shown);
  });

  test("is cancelled and queued again by those who may, and not by others", async () => {
    await using jobs = startJobs();
    const { page, post } = pagesOver(jobs, jobFeature, jobs.nowMs);
    await jobs.declareAction("tidy");
    const { id } = await jobs.start("tidy");
    const path = `/ui/jobs/${id}`;
    const button = async (who: string) =>
      /<button type="submit">(.*?)<\/button>/.exec((await page(path, person(who))).text)?.[1];
    expect([await button("ann"), await button("ray")]).toEqual(["Cancel the job", undefined]);
    expect((await page(path, person("zoe"))).status).toBe(403);
    expect((await post(`${path}?form=cancel`, {}, person("ray"))).status).toBe(403);
    expect((await jobs.get(id)).job.state).toBe("queued");
    const cancelled = await post(`${path}?form=cancel`, { key: "k1" }, person("ann"));
    expect([cancelled.status, cancelled.headers.get("location")]).toEqual([303, path]);
    expect((await jobs.get(id)).job.state).toBe("cancelled");
    expect(await button("ann")).toBe("Queue it again");
    expect((await post(`${path}?form=redrive`, { key: "k2" }, person("ann"))).status).toBe(303);
    expect((await jobs.get(id)).job.state).toBe("queued");
    expect((await page("/ui/jobs/team/1-999", person("ann"))).status).toBe(404);
  });
});

describe("probes", () => {
  test("the list has the worst first, with the last results; the page of one has latency and declaration", async () => {
    await using fleet = startProbes();
    const { page } = pagesOver(fleet, probeFeature, () => fleet.clock.nowMs);
    await fleet.declareProbe("a-good", { description: HOSTILE });
    await fleet.pass(30);
    fleet.behaviour.status = 503;
    await fleet.declareProbe("z-bad", { down: 2 });
    await fleet.declareProbe("a-good", { description: HOSTILE, expect: { status: [503] } });
    await fleet.pass(60);
    expect(fleet.states()).toEqual(["a-good up", "z-bad down service"]);
    const { text } = await page("/ui/probes");
    expect(text.indexOf("z-bad")).toBeLessThan(text.indexOf("a-good"));
    expect(text).toContain("status 503; expected is 2xx, 3xx");
    expect(text).toMatch(/>0 of the last \d+ checks good</);
    expect(text).toContain('class="bad"');
    const one = await page("/ui/probes/fleet/a-good");
    isHarmless(one.text);
    for (const shown of [
      "the leader",
      'data-chart="latency-0"',
      'id="latency-0"',
      'data-again="10"',
      "&quot;target&quot;",
    ])
      expect(one.text).toContain(shown);
    expect((await page("/ui/probes?state=down")).text).not.toContain("a-good");
    expect((await page("/ui/probes?label=none")).text).toContain("There is no such probe.");
    expect((await page("/ui/probes/fleet/none")).status).toBe(404);
    expect((await page("/ui/probes/elsewhere/a-good")).status).toBe(404);
  });

  test("is muted, unmuted, paused and resumed by those who may", async () => {
    await using fleet = startProbes();
    const { page, post } = pagesOver(fleet, probeFeature, () => fleet.clock.nowMs);
    await fleet.declareProbe("web", { space: "team" });
    await fleet.pass(20);
    const path = "/ui/probes/team/web";
    const buttons = async (who?: string) =>
      [
        ...(await page(path, who === undefined ? undefined : person(who))).text.matchAll(
          /<button type="submit">(.*?)<\/button>/g,
        ),
      ].map(([, label]) => label);
    expect(await buttons("ray")).toEqual([]);
    expect(await buttons()).toEqual(["Mute it for an hour", "Pause it"]);
    expect((await post(`${path}?form=mute`, { seconds: "60" }, person("ray"))).status).toBe(403);
    expect((await post(`${path}?form=mute`, { seconds: "3600", key: "k" })).status).toBe(303);
    expect(await buttons()).toEqual(["Unmute it", "Pause it"]);
    expect((await page("/ui/probes")).text).toContain("muted");
    expect((await post(`${path}?form=mute`, { seconds: "0" })).status).toBe(303);
    expect((await post(`${path}?form=mute`, { seconds: "soon" })).status).toBe(400);
    expect((await post(`${path}?form=pause`, {})).headers.get("location")).toBe(path);
    expect(await buttons()).toEqual(["Mute it for an hour", "Check it again"]);
    expect((await post(`${path}?form=resume`, {})).status).toBe(303);
    expect(await buttons()).toEqual(["Mute it for an hour", "Pause it"]);
    expect((await page("/ui/probes", person("zoe"))).status).toBe(403);
  });
});
