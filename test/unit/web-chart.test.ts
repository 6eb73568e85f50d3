// The script that draws charts: it is the copy that its page of origin names, and only pages with a chart may load it.

import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { sha256Hex } from "../../src/lib/sha256.ts";
import type { Feature } from "../../src/operation/feature.ts";
import { CHART_INTEGRITY, CHART_PATH, CHART_SCRIPT } from "../../src/web/chart.ts";
import { localAdmin, startCore } from "../kit/core.ts";
import { webOver } from "../kit/web.ts";

const vendor = join(dirname(dirname(import.meta.dir)), "src", "web", "vendor");

const charted: Feature = {
  name: "charted",
  pages: [
    { path: "/ui/with", summary: "", open: async () => ({ title: "with", charts: true, body: "" }) },
    { path: "/ui/without", summary: "", open: async () => ({ title: "without", body: "" }) },
  ],
};

test("files of others are the copies whose hashes are written beside them", () => {
  const rows = [
    ...readFileSync(join(vendor, "README.md"), "utf8").matchAll(/^\| `([^`]+)` \|.*`([0-9a-f]{64})` \|$/gm),
  ];
  expect(rows.map(([, file]) => file)).toEqual(["uplot/uPlot.iife.min.js", "uplot/LICENSE"]);
  for (const [, file = "", hash] of rows) expect(sha256Hex(readFileSync(join(vendor, file), "utf8"))).toBe(hash ?? "");
});

test("it is served with its license, for long, and a page with a chart alone may load it", async () => {
  await using core = startCore();
  const web = webOver(core, { features: [charted] });
  const ask = async (path: string) => {
    const response = await web.fetch(new Request(`http://cairn${path}`), localAdmin, "http");
    return { headers: response?.headers ?? new Headers(), text: (await response?.text()) ?? "" };
  };
  const script = await ask(CHART_PATH);
  expect(script.text).toBe(CHART_SCRIPT);
  expect(script.text).toContain("The MIT License");
  expect(script.headers.get("content-type")).toStartWith("text/javascript");
  expect(script.headers.get("cache-control")).toBe("private, max-age=31536000");
  const [charts, none] = [await ask("/ui/with"), await ask("/ui/without")];
  expect(charts.headers.get("content-security-policy")).toMatch(
    new RegExp(`script-src 'sha256-[^']+' '${CHART_INTEGRITY.replaceAll("+", "\\+")}';`),
  );
  expect(charts.text).toContain(`<script src="${CHART_PATH}" integrity="${CHART_INTEGRITY}" defer`);
  expect(none.headers.get("content-security-policy")).not.toContain(CHART_INTEGRITY);
  expect(none.text).not.toContain(CHART_PATH);
});
