// The pages of services as strings: what they show of what others wrote, for whom, and their forms.

import { expect, test } from "bun:test";
import { join } from "node:path";
import type { Caller } from "../../src/access/caller.ts";
import { agentFeature } from "../../src/features/agent/index.ts";
import { contextFeature } from "../../src/features/context/index.ts";
import { declareFeature } from "../../src/features/declare/index.ts";
import { serviceFeature } from "../../src/features/service/index.ts";
import { sha256Hex } from "../../src/lib/sha256.ts";
import { archiveOf } from "../kit/archive.ts";
import { callerWith } from "../kit/core.ts";
import { eventually } from "../kit/eventually.ts";
import { PEOPLE, startServices } from "../kit/services.ts";
import { webOver } from "../kit/web.ts";

const HOSTILE = "<script>alert(1)</script>\u202eevil";
const ROOT = callerWith({ kind: "local", id: "local", login: "" });
const person = (name: string) => (name === "root" ? ROOT : (PEOPLE[name] as Caller));

function pagesOver(fleet: ReturnType<typeof startServices>) {
  const unexpected: unknown[] = [];
  const web = webOver(fleet, {
    features: [contextFeature, declareFeature, agentFeature, serviceFeature],
    onUnexpected: (error) => `w${unexpected.push(error)}`,
  });
  const ask = async (path: string, caller: Caller, init: RequestInit = {}) => {
    const response = await web.fetch(new Request(`http://cairn${path}`, init), caller, "http");
    if (response === undefined) throw new Error(`${path} is no page`);
    expect(unexpected).toEqual([]);
    return response;
  };
  return {
    page: async (path: string, who: string) => {
      const response = await ask(path, person(who));
      return { status: response.status, text: await response.text() };
    },
    post: (path: string, fields: Record<string, string>, who: string) =>
      ask(path, person(who), {
        ...{ method: "POST", body: new URLSearchParams(fields), headers: { origin: "http://cairn" } },
      }),
  };
}

test("the list and the page of one show where it runs, why, and what it writes, as text", async () => {
  await using fleet = startServices({ a: [], b: ["web"], c: ["web"] });
  const { page } = pagesOver(fleet);
  const script = `echo "$2"; echo begin >> "$1"; exec sleep 600`;
  const argv = ["sh", "-c", script, "sh", join(fleet.folder, "log"), HOSTILE];
  await fleet.declareService("web", { argv, primary: "b", backups: ["c"], port: 1234, description: HOSTILE });
  await fleet.declareService("none", { argv: ["none"], primary: "c", description: "nobody agrees" });
  const { copies } = await fleet.ready("web", "b");
  const list = await page("/ui/services", "ray");
  for (const shown of ['href="/ui/services/ops/web"', "ready", "not running", ">b<", "its guard alone", "data-again"])
    expect(list.text).toContain(shown);
  // What does not run comes first.
  expect(list.text.indexOf("/ui/services/ops/none")).toBeLessThan(list.text.indexOf("/ui/services/ops/web"));
  const ready = await page("/ui/services?state=ready", "ray");
  expect(ready.text).not.toContain("/ui/services/ops/none");
  const one = await eventually("its output is there", async () => {
    const shown = await page("/ui/services/ops/web", "ray");
    return shown.text.includes("b has written") || shown.text.includes("&lt;script&gt;") ? shown : undefined;
  });
  expect(one.status).toBe(200);
  expect(one.text).not.toMatch(/<script>alert|\u202e/);
  for (const shown of [
    "&lt;script&gt;alert(1)",
    "is ready",
    'href="/svc/web/"',
    copies[0]?.fence ?? "?",
    "c: can run it",
  ])
    expect(one.text).toContain(shown);
  const none = await page("/ui/services/ops/none", "ray");
  for (const shown of ["It has never run", "does not agree to run it"]) expect(none.text).toContain(shown);
}, 60_000);

test("forms are for those who may operate; what is sent is done, and judged again", async () => {
  await using fleet = startServices({ a: [], b: ["web"], c: ["web"] });
  const { page, post } = pagesOver(fleet);
  const argv = ["sh", "-c", "exec sleep 600"];
  await fleet.declareService("web", { argv, primary: "b", backups: ["c"] });
  await fleet.ready("web", "b");
  const path = "/ui/services/ops/web";
  const forms = async (who: string) => {
    const { text } = await page(path, who);
    return [text.includes("form=restart"), text.includes("form=move")];
  };
  expect([await forms("ray"), await forms("olga")]).toEqual([
    [false, false],
    [true, true],
  ]);
  const operated = await page(path, "olga");
  expect(operated.text).toContain('<option value="n-c">c</option>');
  const key = /name="key" value="([^"]+)"/.exec(operated.text)?.[1] ?? "";
  expect((await post(`${path}?form=move`, { key, to: "n-c" }, "ray")).status).toBe(403);
  const moved = await post(`${path}?form=move`, { key, to: "n-c" }, "olga");
  expect([moved.status, moved.headers.get("location")]).toEqual([303, path]);
  await fleet.ready("web", "c");
  const before = fleet.rows("web")[0]?.fence_seq ?? 0;
  expect((await post(`${path}?form=restart`, { key: `${key}2` }, "olga")).status).toBe(303);
  await eventually("it was started again", () => (fleet.rows("web")[0]?.fence_seq ?? 0) > before);
  expect((await post(`${path}?form=restart`, { key, name: "x" }, "olga")).status).toBe(400);
}, 60_000);

test("whoever may see no service sees none, and no page of one", async () => {
  await using fleet = startServices({ a: ["web"] });
  const { page } = pagesOver(fleet);
  await fleet.declareService("web", { argv: ["sh", "-c", "exec sleep 600"], primary: "a" });
  await fleet.ready("web", "a");
  expect((await page("/ui/services/ops/web", "zoe")).status).toBe(403);
  expect((await page("/ui/services/ops/nothing", "ray")).status).toBe(404);
  expect((await page("/ui/services/other/web", "ray")).status).toBe(403);
}, 60_000);

test("a deploy is shown: on its way, taken back and why; who may write declarations may go back", async () => {
  await using fleet = startServices({ a: ["web"] });
  const { page, post } = pagesOver(fleet);
  const bytes = archiveOf([{ name: "run", content: "#!/bin/sh\nexec sleep 600\n", executable: true }]);
  const artifact = sha256Hex(bytes);
  fleet.blobs.set(artifact, bytes);
  await fleet.addBlob(artifact);
  const declared = { argv: ["./run"], primary: "a", artifact };
  await fleet.declareService("web", declared);
  await fleet.ready("web", "a");
  await fleet.declareService("web", { ...declared, ready_timeout: 50, deploy: { before: 1, within: 80_000 } });
  const path = "/ui/services/ops/web";
  await eventually("it is confirmed", async () => !(await page(path, "ray")).text.includes("is being deployed"));
  await fleet.declareService("web", { ...declared, deploy: { before: 1, failed: { version: 7, reason: HOSTILE } } });
  for (const place of [path, "/ui/services"]) {
    const { text } = await page(place, "ray");
    expect(text).toContain("Version 7 was taken back: ");
    expect(text).toContain("&lt;script&gt;");
    expect(text).not.toMatch(/<script>alert|\u202e/);
  }
  const shows = async (who: string) => (await page(path, who)).text.includes("form=rollback");
  expect([await shows("ray"), await shows("olga"), await shows("root")]).toEqual([false, false, true]);
  const key = /name="key" value="([^"]+)"/.exec((await page(path, "root")).text)?.[1] ?? "";
  expect((await post(`${path}?form=rollback`, { key }, "olga")).status).toBe(403);
  expect((await post(`${path}?form=rollback`, { key }, "root")).status).toBe(303);
  await eventually("nothing is said to be taken back", async () => {
    return !(await page(path, "ray")).text.includes("was taken back");
  });
}, 60_000);
