// The pages of sessions in a real browser, at a real node: a form begins a session and writes in it, with scripts and
// without, what others write appears while one types, and it fits a phone. Its pictures go to build/screenshots/.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { callAt } from "../kit/call-at.ts";
import { Browser, chromium, type Page, shows } from "../kit/chromium.ts";
import { type DevNode, startDevNode } from "../kit/dev-node.ts";
import { eventually } from "../kit/eventually.ts";

const PICTURES = join(dirname(dirname(import.meta.dir)), "build", "screenshots");
const PHONE = { width: 390, height: 844 };
const DESK = { width: 1280, height: 900 };

let node: DevNode;
let browser: Browser;

beforeAll(async () => {
  node = await startDevNode();
  if (chromium !== undefined) browser = await Browser.start();
  mkdirSync(PICTURES, { recursive: true });
}, 300_000);

afterAll(async () => {
  await browser?.[Symbol.asyncDispose]();
  await node?.[Symbol.asyncDispose]();
}, 60_000);

const call = (operation: string, input: Record<string, unknown>) => callAt(node.url, operation, input);

const fill = (form: string, name: string, value: string) =>
  `document.querySelector('form[action$="${form}"]').elements.namedItem("${name}").value = ${JSON.stringify(value)}`;

/** Clicks what leads to another page, and waits until that is loaded. */
async function follow(page: Page, selector: string): Promise<void> {
  const before = page.loads;
  await page.evaluate(`document.querySelector(${JSON.stringify(selector)}).click()`);
  await eventually(`${selector} leads on`, () => page.loads > before);
}
const send = (page: Page, form: string) => follow(page, `form[action$="${form}"] button`);

/** A session with a thread, a decision, a private message and what an attacker would write. */
async function scene(): Promise<string> {
  const { session } = await call("session_create", { purpose: "Release 1.0 of the parser", space: "team-a" });
  const { handle } = await call("agent_register", { name: "planner", type: "lead", takeover: true });
  const post = async (text: string, more: Record<string, unknown> = {}) =>
    (await call("message_post", { session, text, ...more }))["message"];
  const plan = await post("The plan:\n\n1. grammar\n2. tests\n3. release", { kind: "plan", as: handle });
  const question = await post("Who takes the tests?", { kind: "question", parent: plan });
  await post("I do, @planner. <script>alert(1)</script> \u202ereversed", { kind: "answer", parent: question });
  await post("Freeze at noon", { kind: "decision", as: handle, ack: true });
  await post("Only for the planner", { visibility: "private", to: ["planner"] });
  return String(session);
}

describe.skipIf(chromium === undefined)("the pages of sessions in chromium [needs chromium]", () => {
  test("a person begins a session, writes, replies and acknowledges", async () => {
    await browser.withPage(DESK, async (page) => {
      await page.goto(`${node.url}/ui/sessions`);
      await page.evaluate(fill("form=create", "purpose", "By hand"));
      await page.evaluate(fill("form=create", "space", "team-b"));
      await send(page, "form=create");
      await page.until(shows("Write a message"));
      await page.evaluate(fill("form=post", "text", "Hello <b>all</b>"));
      await page.evaluate("document.querySelector('[name=ack]').checked = true");
      await send(page, "form=post");
      await page.until(shows("Hello <b>all</b>"));
      await follow(page, "a.reply");
      await page.until(shows("Write a reply"));
      await page.evaluate(fill("form=post", "text", "A reply"));
      await send(page, "form=post");
      await page.until("document.querySelector('.thread .thread .said')?.textContent === 'A reply'");
      await send(page, "form=ack");
      await page.until(shows("acknowledged by local:dev, you too"));
      expect(page.complaints).toEqual([]);
      expect(page.requests.filter((url) => !url.startsWith(node.url))).toEqual([]);
    });
  });

  test("what others write appears while somebody types, and what is typed stays", async () => {
    const session = await scene();
    await browser.withPage(DESK, async (page) => {
      await page.goto(`${node.url}/ui/sessions/${session}`);
      await page.until("document.getElementById('live').textContent === 'live'");
      await page.evaluate(fill("form=post", "text", "half a sen"));
      await call("message_post", { session, text: "just arrived" });
      await page.until(shows("just arrived"));
      expect(await page.evaluate("document.querySelector('textarea').value")).toBe("half a sen");
      expect([page.loads, page.complaints]).toEqual([1, []]);
    });
  });

  test("works without scripts", async () => {
    const session = await scene();
    await browser.withPage({ ...DESK, script: false }, async (page) => {
      await page.goto(`${node.url}/ui/sessions/${session}`);
      for (const text of ["Who takes the tests?", "<script>alert(1)</script>", "\\u{202e}", "Freeze at noon"])
        expect(await page.evaluate(shows(text))).toBe(true);
      await page.evaluate(fill("form=post", "text", "without a script"));
      await send(page, "form=post");
      await page.until(shows("without a script"));
    });
  });

  test("fits a desk and a phone, by day and by night", async () => {
    const session = await scene();
    const pages = { session: `/ui/sessions/${session}`, sessions: "/ui/sessions", inbox: "/ui/inbox" };
    for (const [name, path] of Object.entries(pages))
      for (const [size, options] of Object.entries({ desk: DESK, phone: { ...PHONE, dark: true } }))
        await browser.withPage(options, async (page) => {
          await page.goto(node.url + path);
          await page.screenshot(join(PICTURES, `${name}-${size}.png`));
          const wide = "document.documentElement.scrollWidth > document.documentElement.clientWidth";
          expect([name, size, await page.evaluate(wide)]).toEqual([name, size, false]);
          expect(page.complaints).toEqual([]);
        });
  });
});
