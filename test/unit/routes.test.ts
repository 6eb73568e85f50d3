// docs/routes.md against the listener: every path that some literal of the sources names and that is served has a row.

import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { generatedFiles } from "../../scripts/generate.ts";
import { FEATURES, MIGRATIONS } from "../../src/features/index.ts";
import { BodyBudget } from "../../src/lib/request-body.ts";
import { createMcp } from "../../src/mcp/index.ts";
import { type Listener, listen } from "../../src/node/listeners/listen.ts";
import { createWeb } from "../../src/web/index.ts";
import { localAdmin, startCore } from "../kit/core.ts";
import { temporaryFolder } from "../kit/temporary.ts";
import { counterFeature } from "./toy/feature.tsx";

const root = dirname(dirname(import.meta.dir));
const toy = counterFeature(MIGRATIONS.length + 1);

/** Returns the paths of the page; `{…}` and `…` stand for any text. */
function rowsOf(page: string): RegExp[] {
  const paths = [...page.matchAll(/^\| \[?`[A-Z, ]+ (\/[^`]*)`/gm)].map((match) => match[1] ?? "");
  const anyText = (path: string) => path.split(/\{\w+\}|…/).map(RegExp.escape);
  return paths.map((path) => new RegExp(`^${anyText(path).join(".*")}$`));
}

/** Returns every path that a literal of src/ or native/ begins with, with a name where a value follows. */
function literalPaths(): string[] {
  const files = [...new Bun.Glob("{src,native}/**/*.{ts,tsx,go}").scanSync({ cwd: root })];
  const found = files.flatMap((file) =>
    [...readFileSync(join(root, file), "utf8").matchAll(/["'`](\/(?!\/)[\w.{}/-]*)/g)].map((match) => match[1] ?? ""),
  );
  const filled = found.map((path) => path.replace(/\{\w*\}?/g, "x"));
  return [...new Set(filled.flatMap((path) => (path.endsWith("/") ? [path, `${path}x`] : [path])))];
}

test("every path that the listener serves has a row", async () => {
  await using core = startCore({ features: FEATURES.filter(({ name }) => name !== "access") });
  const log = () => {};
  const mcp = createMcp({ invoker: core.invoker, features: FEATURES, version: "0", log });
  const web = createWeb({
    invoker: core.invoker,
    features: FEATURES,
    version: "0",
    secureUrl: () => undefined,
    nowMs: Date.now,
    onUnexpected: String,
  });
  const unix = join(temporaryFolder(), "http.sock");
  const listener: Listener = listen({
    at: { unix, mode: 0o600 },
    identify: () => localAdmin,
    surfaces: { api: core.api, mcp, web },
    bodies: new BodyBudget(1024),
    origins: [],
    draining: () => false,
    log,
  });
  const isServed = async (path: string): Promise<boolean> => {
    const signal = AbortSignal.timeout(10_000);
    const response = await fetch(`http://cairn${path}`, { unix, method: "HEAD", redirect: "manual", signal });
    await response.body?.cancel();
    return response.status !== 404;
  };
  const rows = rowsOf(generatedFiles().get("docs/routes.md") ?? "");
  const lacking: string[] = [];
  let served = 0;
  for (const path of literalPaths()) {
    if (!(await isServed(path))) continue;
    served += 1;
    if (!rows.some((row) => row.test(path))) lacking.push(path);
  }
  await mcp.close();
  await listener.stop(1000);
  expect(lacking).toEqual([]);
  // Health, readiness, metrics, the description, the node, the changes, contexts, MCP and the pages at least.
  expect(served).toBeGreaterThan(8);
});

test("what a feature adds has a row", () => {
  const page = generatedFiles([...FEATURES, toy]).get("docs/routes.md") ?? "";
  expect(page).toContain("| `GET /ui/counters` | The counters |");
  for (const { method, path } of toy.rest ?? []) expect(page).toContain(`\`${method} ${path}\``);
});
