// The frame of the pages: links by rights, the ways to the overview, and words of a node that is on no tailnet.

import { describe, expect, test } from "bun:test";
import type { Caller } from "../../src/access/caller.ts";
import { bridge } from "../../src/cli/bridge.ts";
import { contextOperations } from "../../src/features/context/index.ts";
import { FEATURES } from "../../src/features/index.ts";
import { presetsOf, READ_ONLY } from "../../src/operation/presets.ts";
import { whoami } from "../../src/operation/whoami.ts";
import { callerWith, granted, localAdmin, startCore } from "../kit/core.ts";
import { ALONE, statusWith } from "../kit/fleet-report.ts";
import { Someone, startSessions, user } from "../kit/sessions.ts";
import { webOver } from "../kit/web.ts";

function start(core = startSessions()) {
  const web = webOver(core, { features: FEATURES, onUnexpected: () => "w1" });
  const ask = async (path: string, caller: Caller = localAdmin, method = "GET") => {
    const response = await web.fetch(new Request(`http://cairn${path}`, { method }), caller, "http");
    if (response === undefined) throw new Error(`${path} is no page`);
    return response;
  };
  const page = async (path: string, caller?: Caller) => (await ask(path, caller)).text();
  return { core, ask, page, [Symbol.asyncDispose]: () => core[Symbol.asyncDispose]() };
}

const linksOf = (page: string) =>
  [...(/<nav aria-label="Pages">(.*?)<\/nav>/s.exec(page)?.[1] ?? "").matchAll(/href="([^"]+)"/g)].map(
    ([, path]) => path,
  );

describe("the bar", () => {
  test("links to pages that the caller may see, on refusals too", async () => {
    await using web = start();
    const member = granted({ role: "member", spaces: ["team-a"] });
    const operator = granted({ role: "operator", spaces: ["team-a"] });
    const shown = linksOf(await web.page("/ui/connect", member));
    expect(shown).toContain("/ui/sessions");
    expect(shown).not.toContain("/ui/audit");
    expect(linksOf(await web.page("/ui/connect", operator))).toContain("/ui/audit");
    const refused = await web.ask("/ui/nothing", member);
    expect([refused.status, linksOf(await refused.text())]).toEqual([404, shown]);
    const nobody = callerWith({ id: "nEVE", login: "eve@example.com" });
    expect(linksOf(await web.page("/", nobody))).toEqual(["/", "/ui/connect"]);
    const narrow = granted({ role: "member", spaces: ["team-a"], tools: ["session_*"] });
    expect(linksOf(await web.page("/ui/connect", narrow))).toEqual(["/", "/ui/sessions", "/ui/connect"]);
  });
});

test("/ui leads to the overview", async () => {
  await using web = start();
  for (const [path, location] of [
    ["/ui", "/"],
    ["/ui/", "/"],
    ["/ui?prefix=team-a/", "/?prefix=team-a/"],
  ] as const) {
    const response = await web.ask(path);
    expect([response.status, response.headers.get("location")]).toEqual([302, location]);
  }
  expect((await web.ask("/ui", localAdmin, "POST")).status).toBe(405);
});

test("Connect says why no key is needed, and it and the bridge name every preset", async () => {
  await using web = start();
  const development: Caller = { ...localAdmin, id: "local:dev" };
  const here = await web.page("/ui/connect", development);
  expect(here).toContain("everyone on this machine may use it");
  expect(here).not.toContain("the tailnet says");
  expect(await web.page("/ui/connect", user("ann"))).toContain("the tailnet says who calls");
  const help = bridge.options?.find(({ flags }) => flags.startsWith("--preset"))?.help ?? "";
  const names = [...presetsOf(FEATURES).map(({ name }) => name), READ_ONLY];
  expect(names).toContain("memory-tool");
  for (const name of names) {
    expect(here).toContain(`/mcp?preset=${name}</code>`);
    expect(help.split(/[ ,;]+/)).toContain(name);
  }
});

test("the visibility of a context is apart from its id", async () => {
  await using web = start();
  const one = new Someone(web.core, user("ann"));
  await one.call("context_put", { id: "team-a/done.md", content: "x", visibility: "private" });
  expect(await web.page("/ui/contexts", user("ann"))).toMatch(/done\.md<\/bdi><\/a> <span class="tag">private/);
});

test("a node that is on no tailnet says so in place of its state there", async () => {
  const report = async (engine: "loopback" | "library") => ({
    ...{ status: "ok" as const, version: "0", commit: "source", uptime_seconds: 9, position: "0000000000-0", ...ALONE },
    tailnet: {
      ...{ engine, state: "NoState", control: "unknown", name: "", ips: [], key_expiry: null },
      ...{ https: false, funnel_available: false },
    },
    ...{ urls: [], conditions: [] },
  });
  for (const engine of ["loopback", "library"] as const) {
    await using web = start(
      startCore({ operations: [...contextOperations, whoami, statusWith(() => report(engine))] }),
    );
    const page = await web.page("/");
    expect(page.includes("none: this node is for this machine only")).toBe(engine === "loopback");
    expect(page.includes("NoState")).toBe(engine !== "loopback");
    expect(page.includes("none yet")).toBe(engine !== "loopback");
  }
});
