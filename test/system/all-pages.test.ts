// Every page in a real browser, over a store in which every field is hostile: it fits a phone, is readable in both
// schemes, works by keyboard and without scripts, and runs nothing that was stored. Search finds while somebody types.
// Its pictures go to build/screenshots/.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { callAt } from "../kit/call-at.ts";
import { Browser, chromium, type Page, shows } from "../kit/chromium.ts";
import { type DevNode, startDevNode } from "../kit/dev-node.ts";
import { eventually } from "../kit/eventually.ts";
import { hostileFleet, hostileScene, ODD } from "../kit/hostile-scene.ts";
import { type SocketSite, serveSocket } from "../kit/socket-site.ts";

const PICTURES = join(dirname(dirname(import.meta.dir)), "build", "screenshots", "all");
const RULES = readFileSync(join(dirname(import.meta.dir), "kit", "page-rules.client.js"), "utf8");
const PHONE = { width: 360, height: 780 };
const DESK = { width: 1280, height: 900 };

let node: DevNode;
/** Its pages for an admin. */
let site: SocketSite;
let browser: Browser;
let paths: string[] = [];

beforeAll(async () => {
  node = await startDevNode();
  const { out } = await node.cairn(["paths", "--data", node.dataDir, "--json"]);
  site = serveSocket(String(JSON.parse(out).socket));
  paths = [
    ...(await hostileScene(call)),
    ...(await hostileFleet(call)),
    "/ui/search?q=alert",
    "/ui/store",
    "/ui/fleet",
    "/ui/incidents",
    "/ui/incidents?thing=fleet/probes/web&span=7d",
    "/ui/memory?space=none",
    "/ui/leases?prefix=none",
  ];
  if (chromium !== undefined) browser = await Browser.start();
  mkdirSync(PICTURES, { recursive: true });
}, 300_000);

afterAll(async () => {
  await browser?.[Symbol.asyncDispose]();
  await site?.[Symbol.asyncDispose]();
  await node?.[Symbol.asyncDispose]();
}, 60_000);

const call = (operation: string, input: Record<string, unknown>) =>
  callAt(site.url, operation, input, { "cairn-client": "<b>client</b> 1" });

/** A name for the picture of a page. */
function pictureOf(path: string): string {
  return (
    path
      .replace(/[^a-z0-9]+/gi, "-")
      .slice(0, 60)
      .replace(/^-|-$/g, "") || "overview"
  );
}

const NONE = { wider: [], scrolls: false, problems: [], injected: 0, odd: undefined, complaints: [] };

/** Returns what is wrong with a page, whatever its size and scheme. */
async function look(page: Page) {
  const body = String(await page.evaluate("document.body.innerText"));
  return {
    wider: await page.evaluate(
      "[...document.querySelectorAll('body *')].filter((each) => each.checkVisibility() && !each.closest('svg') && each.getBoundingClientRect().right > innerWidth + 0.5 && !each.closest('.hidden, .skip')).map((each) => each.tagName + '.' + each.className).slice(0, 5)",
    ),
    scrolls: await page.evaluate("document.documentElement.scrollWidth > innerWidth"),
    problems: await page.evaluate(RULES),
    injected: await page.evaluate("document.querySelectorAll('img, i, b:not(.odd), script:not(body > script)').length"),
    odd: ODD.exec(body)?.[0],
    complaints: page.complaints.splice(0),
  };
}

describe.skipIf(chromium === undefined)("all pages in chromium [needs chromium]", () => {
  for (const [size, options] of Object.entries({ desk: DESK, phone: PHONE }))
    for (const scheme of ["light", "dark"] as const)
      test(`fit ${options.width} pixels in ${scheme}, are readable, and run nothing that was stored`, async () => {
        await browser.withPage({ ...options, dark: scheme === "dark" }, async (page) => {
          const looked: [string, object][] = [];
          for (const path of paths.filter((each) => !each.startsWith("/ui/%"))) {
            await page.goto(site.url + path);
            await page.screenshot(join(PICTURES, `${pictureOf(path)}-${size}-${scheme}.png`));
            looked.push([path, await look(page)]);
          }
          expect(looked.filter(([, found]) => !Bun.deepEquals(found, NONE))).toEqual([]);
          expect(page.requests.filter((url) => !url.startsWith(site.url))).toEqual([]);
        });
      }, 180_000);

  test("the rules by which they are looked at find what is wrong", async () => {
    await browser.withPage(DESK, async (page) => {
      await page.goto(`${site.url}/ui/leases`);
      expect(await page.evaluate(RULES)).toEqual([]);
      const bad = [
        '<p style="color: #999; background: #fff">pale</p><h3>too deep</h3><input><a href="#x"></a><svg></svg>',
        '<table></table><button tabindex="2">b</button><section aria-labelledby="none"></section><p id="main"></p>',
      ];
      await page.evaluate(`document.body.insertAdjacentHTML("beforeend", ${JSON.stringify(bad.join(""))})`);
      const found = JSON.stringify(await page.evaluate(RULES));
      for (const words of [
        "left out",
        "no label",
        "no name",
        "without words",
        "without headings",
        "changes the order",
        "names none",
        "twice",
      ])
        expect(found).toContain(words);
      // Styles of attributes are refused, so the pale text is made by the script of the test.
      await page.evaluate("document.querySelector('h1').style.color = '#bbb'");
      expect(JSON.stringify(await page.evaluate(RULES))).toContain("contrast 1.9");
    });
  });

  test("search finds while somebody types, says how many, and keeps the place of the cursor", async () => {
    await browser.withPage(DESK, async (page) => {
      await page.goto(`${site.url}/ui/search`);
      await page.until("document.activeElement.name === 'q'");
      const type = (text: string) =>
        page.evaluate(
          `(() => { const field = document.querySelector('[name=q]'); field.focus(); field.value = ${JSON.stringify(text)}; field.dispatchEvent(new Event('input', { bubbles: true })); })()`,
        );
      const asked = () => page.requests.filter((url) => url.includes("/ui/search?")).length;
      for (const text of ["a", "al", "ale", "aler", "alert"]) await type(text);
      await page.until(`${shows("found")} && document.querySelectorAll('.hits li').length > 2`);
      expect(await page.evaluate("document.getElementById('found').getAttribute('role')")).toBe("status");
      // The keys between were too fast to be asked about.
      expect(asked()).toBe(1);
      expect(await page.evaluate("location.search")).toBe("?q=alert");
      expect(await page.evaluate("document.activeElement.name")).toBe("q");
      // An older request is ended when somebody types on before it is answered.
      await page.evaluate(
        "window.signals = []; window.real = window.fetch; window.fetch = (_address, { signal }) => { signals.push(signal); return new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason))); }",
      );
      for (const text of ["alerts", "alertsx"]) {
        const before = await page.evaluate("signals.length");
        await type(text);
        await page.until(`signals.length > ${before}`);
      }
      expect(await page.evaluate("signals.map(({ aborted }) => aborted)")).toEqual([true, false]);
      await page.evaluate("window.fetch = window.real");
      await type("nothinghasthisword");
      await page.until(shows("0 found"));
      await page.until(shows("Nothing that you may read was found."));
      await type("x".repeat(5000));
      await page.until("document.getElementById('found').textContent.includes('query')");
      await type("");
      await page.until("document.getElementById('found').textContent === ''");
      expect([page.loads, page.complaints.filter((text) => !text.includes("400"))]).toEqual([1, []]);
    });
    await browser.withPage({ ...DESK, script: false }, async (page) => {
      await page.goto(`${site.url}/ui/search`);
      await page.evaluate("document.querySelector('[name=q]').value = 'alert'");
      const before = page.loads;
      await page.evaluate("document.querySelector('form button').click()");
      await eventually("the page of hits", () => page.loads > before);
      expect(await page.evaluate("document.querySelectorAll('.hits li').length > 2")).toBe(true);
    });
  });

  test("the keyboard comes first to the skip link, then along the page, and one sees where it is", async () => {
    for (const path of ["/", "/ui/memory?space=team-a", "/ui/leases", "/ui/audit"])
      await browser.withPage(DESK, async (page) => {
        await page.goto(site.url + path);
        const reached: { at: number; seen: boolean; text: string }[] = [];
        for (let step = 0; step < 16; step++) {
          await page.press("Tab");
          reached.push(
            (await page.evaluate(
              `(() => { const at = document.activeElement; const { outlineStyle, outlineWidth } = getComputedStyle(at); const box = at.getBoundingClientRect();
               return { at: [...document.querySelectorAll('*')].indexOf(at), text: at.textContent.trim(), seen: outlineStyle !== 'none' && parseFloat(outlineWidth) >= 1 && box.width > 0 && box.top >= 0 }; })()`,
            )) as (typeof reached)[number],
          );
        }
        expect(reached[0]?.text).toBe("Skip to content");
        const places = reached.map(({ at }) => at);
        expect([path, places]).toEqual([path, [...places].sort((one, other) => one - other)]);
        expect([path, reached.filter(({ seen }) => !seen)]).toEqual([path, []]);
      });
  });

  test("an operator takes a lease away without scripts, and a member is not offered it", async () => {
    const name = "team-a/taken";
    await call("lease_acquire", { name, for: "to be taken" });
    const offered =
      "[...document.querySelectorAll('summary')].filter((each) => each.textContent === 'Take it away').length";
    await browser.withPage({ ...DESK, script: false }, async (page) => {
      await page.goto(`${node.url}/ui/leases?prefix=${name}`);
      expect([await page.evaluate(shows(name)), await page.evaluate(offered)]).toEqual([true, 0]);
      await page.goto(`${site.url}/ui/leases?prefix=${name}`);
      expect(await page.evaluate(offered)).toBe(1);
      const before = page.loads;
      await page.evaluate("document.querySelector('form[action$=\"form=force\"] button').click()");
      await eventually("the page of leases", () => page.loads > before);
      expect(await page.evaluate(shows(name))).toBe(false);
    });
    expect(await call("lease_list", { prefix: name })).toEqual({ leases: [] });
  });

  test("what others do appears without a reload: leases, what agents do, memories, sessions, the audit", async () => {
    const { handle } = await call("agent_register", { name: "live", takeover: true });
    const writes: [string, string, string, Record<string, unknown>][] = [
      ["/ui/leases", "team-a/live", "lease_acquire", { name: "team-a/live" }],
      ["/ui/agents", "working live", "agent_status", { doing: "working live", as: handle }],
      [
        "/ui/memory?space=team-a",
        "live/key",
        "memory_store",
        { key: "live/key", value: "x", scope: "shared", space: "team-a" },
      ],
      ["/ui/sessions", "begun live", "session_create", { purpose: "begun live", space: "team-a" }],
      ["/ui/audit", "team-a/live-audit", "context_put", { id: "team-a/live-audit", content: "x" }],
      [
        "/ui/contexts?prefix=team-a/live",
        "team-a/live-context",
        "context_put",
        { id: "team-a/live-context", content: "x" },
      ],
    ];
    await browser.withPage(DESK, async (page) => {
      for (const [path, text, operation, input] of writes) {
        await page.goto(site.url + path);
        await page.until("document.getElementById('live').textContent === 'live'");
        expect([path, await page.evaluate(shows(text))]).toEqual([path, false]);
        await call(operation, input);
        await page.until(shows(text));
      }
      expect([page.loads, page.complaints]).toEqual([writes.length, []]);
    });
  }, 60_000);

  test("the store has a chart that is drawn from its table, and the table without scripts", async () => {
    const rows = "document.querySelectorAll('#growth tbody tr').length > 5";
    await browser.withPage(DESK, async (page) => {
      await page.goto(`${site.url}/ui/store`);
      await page.until("document.querySelector('figure canvas')?.width > 500");
      const drawn =
        "(() => { const canvas = document.querySelector('figure canvas'); const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height); return new Set(new Uint32Array(data.buffer)).size > 3; })()";
      expect([await page.evaluate(drawn), await page.evaluate(rows)]).toEqual([true, true]);
      expect([page.complaints, page.requests.filter((url) => !url.startsWith(site.url))]).toEqual([[], []]);
    });
    await browser.withPage({ ...DESK, script: false }, async (page) => {
      await page.goto(`${site.url}/ui/store`);
      expect([await page.evaluate(rows), await page.evaluate(shows("changes so far"))]).toEqual([true, true]);
    });
  });
});
