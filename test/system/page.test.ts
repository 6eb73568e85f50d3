// The page in a real browser, at a real node: nothing breaks the policy, a write appears without a reload, it works
// without scripts and by keyboard, and it fits a phone. Its pictures go to build/screenshots/.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { joinAgent } from "../kit/agent.ts";
import { Browser, chromium, shows } from "../kit/chromium.ts";
import { eventually } from "../kit/eventually.ts";
import { startNode, type TestNode } from "../kit/node.ts";
import { TestTailnet } from "../kit/tailnet.ts";

const PICTURES = join(dirname(dirname(import.meta.dir)), "build", "screenshots");
const PHONE = { width: 390, height: 844 };
const DESK = { width: 1280, height: 800 };

let tailnet: TestTailnet;
let node: TestNode;
let browser: Browser;
let base: string;

beforeAll(async () => {
  tailnet = await TestTailnet.start();
  node = await startNode({ tailnet, args: ["--loopback", "0"] });
  base = (await node.ready()).localUrl ?? "";
  await put("team-a/plan", "# Plan\n\n- ship the pages\n- look at them\n", "?title=Plan%20for%20the%20week&tag=plan");
  await put(
    "team-a/plan",
    "# Plan\n\n- ship the page\n- look at it <script>alert(1)</script>\n- a hidden\u200bspace\n",
  );
  await put("team-a/settings", '{"limits":{"streams":64,"requests":6000},"admins":["ada"]}', "", "application/json");
  await put("team-a/settings", '{"limits":{"streams":32,"requests":6000},"admins":[]}', "", "application/json");
  for (const task of [1, 2, 3, 4, 5, 6])
    await put(`team-b/tasks/${task}`, `Task ${task}`, `?title=Task%20${task}&tag=todo`);
  for (const name of ["team-a/printer", `team-b/repository/${"folder-with-a-long-name/".repeat(5)}main.ts`])
    await lease(name, "Rename the parser, and all files that import it by its old name");
  if (chromium !== undefined) browser = await Browser.start();
  mkdirSync(PICTURES, { recursive: true });
}, 600_000);

afterAll(async () => {
  await browser?.[Symbol.asyncDispose]();
  await node?.[Symbol.asyncDispose]();
  await tailnet?.[Symbol.asyncDispose]();
}, 60_000);

async function put(id: string, body: string, query = "", type = "text/markdown"): Promise<void> {
  const answer = await fetch(`${base}/contexts/${id}${query}`, {
    method: "PUT",
    headers: { "content-type": type },
    body,
  });
  expect([200, 201]).toContain(answer.status);
}

async function lease(name: string, purpose: string): Promise<void> {
  const { status } = await fetch(`${base}/leases/${name}`, {
    method: "PUT",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ for: purpose }),
  });
  expect(status).toBe(200);
}

describe.skipIf(chromium === undefined)("the page in chromium [needs chromium]", () => {
  test("shows a write by REST at once, without a reload", async () => {
    await browser.withPage(DESK, async (page) => {
      await page.goto(`${base}/?prefix=live/`);
      await page.until("document.getElementById('live').textContent === 'live'");
      await page.evaluate("document.querySelector('details summary').click()");
      await put("live/first", "1");
      await page.until(shows("live/first"));
      await put("other/unseen", "1");
      await put("live/second", "1");
      await page.until(shows("live/second"));
      expect(await page.evaluate(shows("other/unseen"))).toBe(false);
      expect(await page.evaluate("document.querySelector('details').open")).toBe(true);
      expect([page.loads, page.complaints]).toEqual([1, []]);
    });
  });

  test("one context follows its versions and keeps the focus", async () => {
    await browser.withPage(DESK, async (page) => {
      await put("live/one", "first text");
      await page.goto(`${base}/ui/contexts/live/one`);
      await page.until("document.getElementById('live').textContent === 'live'");
      await page.evaluate("document.querySelector('#history a').focus()");
      await put("live/one", "second text");
      await page.until(shows("second text"));
      expect(await page.evaluate("document.activeElement.getAttribute('href')")).toBe(
        "/ui/contexts/live/one?version=1",
      );
      expect([page.loads, page.complaints]).toEqual([1, []]);
    });
  });

  test("asks for nothing from elsewhere, runs nothing that was stored, and breaks no rule of its policy", async () => {
    await browser.withPage(DESK, async (page) => {
      for (const path of ["/", "/ui/contexts/team-a/plan?from=1", "/ui/contexts/team-a/settings?from=1"]) {
        await page.goto(base + path);
        await page.until("document.getElementById('live').textContent === 'live'");
      }
      expect(page.complaints).toEqual([]);
      expect(page.requests.filter((url) => !url.startsWith(base))).toEqual([]);
      // The policy is in force: what it forbids does not run.
      await page.evaluate(
        "document.body.append(Object.assign(document.createElement('script'), { text: 'window.ran = 1' }))",
      );
      expect(await page.evaluate("window.ran ?? 0")).toBe(0);
      await eventually("the complaint about it", () => page.complaints.length > 0);
    });
  });

  test("is whole without scripts, and every part is reached by keyboard", async () => {
    await browser.withPage({ ...DESK, script: false }, async (page) => {
      await page.goto(`${base}/ui/contexts/team-a/plan?from=1&to=2`);
      for (const text of [
        "Plan for the week",
        "-- ship the pages",
        "+- ship the page",
        "<script>alert(1)</script>",
        "\\u{200b}",
      ])
        expect(await page.evaluate(shows(text))).toBe(true);
      expect(await page.evaluate("document.getElementById('live').hidden")).toBe(true);
      expect(await page.evaluate("[...document.querySelectorAll('#history a')].length")).toBe(3);
    });
    await browser.withPage(DESK, async (page) => {
      await page.goto(`${base}/?prefix=team-a/`);
      const reached: unknown[] = [];
      for (let step = 0; step < 50; step++) {
        await page.press("Tab");
        reached.push(
          await page.evaluate(
            "document.activeElement.getAttribute('href') || document.activeElement.name || document.activeElement.tagName",
          ),
        );
      }
      expect(reached[0]).toBe("#main");
      for (const part of ["/", "prefix", "BUTTON", "/ui/contexts/team-a/plan", "/openapi.json"])
        expect(reached).toContain(part);
      await page.evaluate("document.querySelector('td a').focus()");
      const loads = page.loads;
      await page.press("Enter");
      await eventually("the next page", () => page.loads > loads);
      await page.until(shows("Plan for the week"));
    });
  });

  for (const [name, size] of Object.entries({ phone: PHONE, desk: DESK })) {
    for (const scheme of ["light", "dark"] as const) {
      test(`fits ${size.width}×${size.height} in ${scheme}`, async () => {
        await browser.withPage({ ...size, dark: scheme === "dark" }, async (page) => {
          const views = {
            overview: "/",
            context: "/ui/contexts/team-a/plan",
            diff: "/ui/contexts/team-a/settings?from=1&to=2&format=text",
            missing: "/ui/contexts/team-a/none",
          };
          for (const [view, path] of Object.entries(views)) {
            await page.goto(base + path);
            if (view !== "missing") await page.until("document.getElementById('live').textContent === 'live'");
            expect(await page.evaluate("document.documentElement.scrollWidth")).toBe(size.width);
            await page.screenshot(join(PICTURES, `${view}-${name}-${scheme}.png`));
          }
          const ground = String(await page.evaluate("getComputedStyle(document.body).backgroundColor"));
          const brightness = Number(ground.match(/\d+/)?.[0]);
          expect(brightness > 128).toBe(scheme === "light");
        });
      });
    }
  }
});

test("over the tailnet the page answers by rights, and moves to https where there are certificates", async () => {
  await tailnet.auth("open");
  const { url } = await node.serving();
  const agent = await joinAgent(tailnet, url, { hostname: "laptop", user: "owner@example.com" });
  const other = await joinAgent(tailnet, url, { hostname: "other", user: "other@example.com" });
  const page = await agent.http("/");
  expect(page.status).toBe(200);
  expect(page.text).toContain(`${url}/mcp`);
  const refused = await other.http("/");
  expect([refused.status, refused.text.includes("other@example.com")]).toEqual([403, true]);
  expect(
    (await agent.http("/", { headers: { "cairn-internal-scheme": "https" } })).headers.get("strict-transport-security"),
  ).toBeNull();
  await tailnet.https(true);
  const moved = await eventually("the page to move", async () => {
    const answer = await agent.http("/?tag=x", { redirect: "manual" });
    return answer.status === 308 && answer;
  });
  expect(moved.headers.get("location")).toMatch(/^https:\/\/cairn\.[^/]+\/\?tag=x$/);
  expect((await agent.http("/contexts")).status).toBe(200);
}, 120_000);
