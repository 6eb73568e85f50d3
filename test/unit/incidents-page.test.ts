// The page that says what happened, as a string: from real events in a log, for whom, and within its bounds.

import { describe, expect, test } from "bun:test";
import { z } from "zod";
import type { Caller } from "../../src/access/caller.ts";
import { agentFeature } from "../../src/features/agent/index.ts";
import { contextFeature } from "../../src/features/context/index.ts";
import { declareFeature } from "../../src/features/declare/index.ts";
import { declarationSettle } from "../../src/features/declare/settle.ts";
import { eventFeature, subscriptionFeature } from "../../src/features/event/index.ts";
import { ASKED_OF_FEATURES } from "../../src/features/event/pages/ask-happened.ts";
import { OPERATIONS } from "../../src/features/index.ts";
import { probeFeature } from "../../src/features/probe/index.ts";
import { probeTransition, type Transition } from "../../src/features/probe/transition.ts";
import { fleetFeature, fleetObserve } from "../../src/fleet/index.ts";
import { writeMeta } from "../../src/log/meta.ts";
import { nodeCommand } from "../../src/log/node-command.ts";
import { pathsOf } from "../kit/asked-paths.ts";
import { granted, localAdmin } from "../kit/core.ts";
import { startEvents } from "../kit/events.ts";
import { webOver } from "../kit/web.ts";

const features = [
  ...[agentFeature, contextFeature, declareFeature, eventFeature, subscriptionFeature],
  ...[probeFeature, fleetFeature],
];
const SECOND = 1000;

function start() {
  const events = startEvents({ features });
  const { core } = events;
  core.store.transaction((tx) => writeMeta(tx, { fleet_settings: JSON.stringify({ "events.own": ["*"] }) }));
  // Without the frame of the fleet, which needs a whole node.
  const pages = features.filter((feature) => feature !== fleetFeature);
  const web = webOver(core, { features: pages, nowMs: events.nowMs, onUnexpected: (error) => String(error) });
  const page = async (path: string, caller: Caller = localAdmin) => {
    const response = await web.fetch(new Request(`http://cairn${path}`), caller, "http");
    const text = (await response?.text()) ?? "";
    const main = text.slice(text.indexOf("<main"), text.indexOf("</main"));
    return { status: response?.status, text, words: main.replaceAll(/<[^>]*>/g, " ").replaceAll(/\s+/g, " ") };
  };
  /** A probe of the space ops became this, after so many seconds. */
  const became = (afterSeconds: number, state: Transition["state"], more: Partial<Transition> = {}) => {
    events.pass(afterSeconds * SECOND);
    const transition = { name: "web", node: "", space: "ops", cause: "service" as const, detail: "", quiet: false };
    return core.log.propose(nodeCommand(probeTransition, { transitions: [{ ...transition, state, ...more }] }));
  };
  const member = (afterSeconds: number, outcome: "up" | "down") => {
    events.pass(afterSeconds * SECOND);
    const value = outcome === "down" ? "down" : "";
    return core.log.propose(nodeCommand(fleetObserve, { observed: [{ target: "fleet/health/n-b", value, outcome }] }));
  };
  return { ...events, page, became, member };
}

const ofOps = granted({ role: "reader", spaces: ["ops"] });
const ofOthers = granted({ role: "reader", spaces: ["team-a"] });

describe("the page of incidents", () => {
  test("has an incident from the first sign to the end, in order, with links and durations", async () => {
    await using web = start();
    await web.became(60, "suspect");
    await web.became(30, "down");
    await web.member(5, "down");
    await web.member(60, "up");
    await web.became(240, "up");
    const { text, words } = await web.page("/ui/incidents");
    for (const shown of [
      ...["1 incident from", "5 min 35 s", "probe web down after 30 s, for 5 min 35 s in all", "only this"],
      ...["+0 s probe web a check failed", "+30 s probe web is down", "+35 s member n-b does not respond"],
      ...["+1 min 35 s member n-b responds again", "+5 min 35 s probe web is up again"],
    ])
      expect(words).toContain(shown);
    for (const link of ['href="/ui/probes/ops/web"', 'href="/ui/fleet"', 'data-again="10"'])
      expect(text).toContain(link);
    expect(words).not.toMatch(/it lasts|What else happened/);
  });

  test("shows what the caller may read, and nothing of other spaces", async () => {
    await using web = start();
    await web.became(1, "suspect");
    await web.became(1, "down");
    await web.member(1, "down");
    const seen = await web.page("/ui/incidents", ofOps);
    expect(seen.words).toContain("probe web is down");
    expect(seen.words).not.toContain("n-b");
    const others = await web.page("/ui/incidents?thing=ops/probes/web", ofOthers);
    expect(others.status).toBe(200);
    expect(others.words).toContain("Nothing that you may see went wrong");
    expect(others.text).not.toContain("is down");
  });

  test("of one thing has that alone, and what may be its cause meanwhile", async () => {
    await using web = start();
    await web.became(1, "down", { name: "other" });
    await web.became(1, "down");
    await web.member(1, "down");
    await web.became(1, "up");
    const { words } = await web.page("/ui/incidents?thing=ops/probes/web");
    expect(words).toContain("probe web is down");
    expect(words).toContain("member n-b does not respond");
    expect(words).not.toContain("probe other");
    for (const thing of ["web", "ops/probes/web"])
      expect((await web.page(`/ui/incidents?thing=${thing}`)).words).toContain("1 incident from");
    // Its name at the beginning of another name.
    expect((await web.page("/ui/incidents?thing=ops/probes/we")).words).toContain("0 incidents from");
    expect((await web.page("/ui/incidents?thing=none")).words).toContain("0 incidents from");
  });

  test("says who asked for something, to those who may see the audit", async () => {
    await using web = start();
    await web.core.call("context_put", { id: "fleet/probes/web", content: { type: "http", target: "http://x/" } });
    await web.became(1, "down", { space: "fleet" });
    const path = "/ui/incidents?thing=fleet/probes/web";
    expect((await web.page(path)).words).toMatch(/context_put: created by/);
    const reader = await web.page(path, granted({ role: "reader", spaces: ["fleet"] }));
    expect(reader.words).toContain("probe web is down");
    expect(reader.words).not.toContain("context_put");
  });

  test("goes by time: what is elsewhere is left out, and what went on is said to", async () => {
    await using web = start();
    await web.became(0, "suspect");
    await web.became(10, "down");
    const at = new Date(web.nowMs()).toISOString().slice(0, 16).replace("T", " ");
    const now = await web.page("/ui/incidents");
    // It is in no list of probes: nobody declared it.
    expect(now.words).toContain("its end is not known");
    web.pass(3 * 86_400 * SECOND);
    expect((await web.page("/ui/incidents?span=1h")).words).toContain("0 incidents from");
    const then = await web.page(`/ui/incidents?at=${encodeURIComponent(at)}&span=6h`);
    expect(then.words).toContain("longer than is shown");
    expect(then.text).not.toContain('data-again="10"');
    for (const bad of ["at=soon", "span=2h"]) expect((await web.page(`/ui/incidents?${bad}`)).status).toBe(400);
  });

  test("says that it lasts while its probe is down, and when it ended of itself", async () => {
    await using web = start();
    const text = JSON.stringify({ type: "http", target: "http://x.example/" });
    const settled = [{ id: "fleet/probes/web", version: 1, hash: "x", problem: "", text }];
    await web.core.log.propose(nodeCommand(declarationSettle, { settled }));
    await web.became(1, "suspect", { space: "fleet" });
    web.pass(20 * SECOND);
    const during = await web.page("/ui/incidents");
    for (const shown of ["it lasts", "suspect, never down, since 20 s"]) expect(during.words).toContain(shown);
    // It is well again before it was down: there is no event of that.
    await web.became(10, "up", { space: "fleet" });
    web.pass(60 * SECOND);
    const after = await web.page("/ui/incidents");
    expect(after.words).not.toContain("it lasts");
    expect(after.words).toContain("suspect, never down, for 30 s in all");
  });

  test("says where more happened than it reads", async () => {
    await using web = start();
    for (let count = 0; count < 260; count += 1) {
      await web.became(1, "down", { name: "many" });
      await web.became(1, "up", { name: "many" });
    }
    const { words } = await web.page("/ui/incidents");
    expect(words).toContain("More happened than is shown at once: all of it only from");
    expect(words.match(/probe many is down/g)?.length).toBeLessThanOrEqual(250);
    const cut = await web.page(`/ui/incidents?at=${encodeURIComponent(new Date(web.nowMs()).toISOString())}&span=1d`);
    expect(cut.words).toContain("only up to");
  });

  test("counts only what Cairn itself says, and shows the words of others as text", async () => {
    await using web = start();
    const told = { space: "ops", type: "cairn.probe.down", subject: "ops/probes/lie" };
    expect(await web.publish("ann", { ...told, id: "1" })).toMatchObject({ id: "1", duplicate: false });
    await web.became(1, "down", { name: "true" });
    const all = await web.page("/ui/incidents");
    expect([all.words.includes("probe true is down"), all.words.includes("lie")]).toEqual([true, false]);
    const { text, words } = await web.page(`/ui/incidents?thing=${encodeURIComponent("<b>x\u202e")}`);
    expect(text).not.toContain("<b>x");
    expect(words).not.toContain("\u202e");
    expect(words).toContain("0 incidents from");
  });

  test("what it asks of features is there as it is read", () => {
    for (const { name, output } of ASKED_OF_FEATURES) {
      const real = OPERATIONS.find((operation) => operation.name === name);
      if (real === undefined) throw new Error(`there is no ${name}`);
      const known = pathsOf(z.toJSONSchema(real.output, { io: "output" }));
      expect([name, pathsOf(z.toJSONSchema(output)).filter((path) => !known.includes(path))]).toEqual([name, []]);
    }
  });
});
