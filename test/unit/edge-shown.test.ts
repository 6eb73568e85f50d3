// How the cache of an edge is shown to people and to Prometheus: the page, the metrics, and none of it elsewhere.

import { expect, test } from "bun:test";
import { contextOperations } from "../../src/features/context/index.ts";
import { FEATURES } from "../../src/features/index.ts";
import type { CacheReport } from "../../src/fleet/index.ts";
import { cacheMetrics } from "../../src/node/report/cache-metrics.ts";
import { Metrics } from "../../src/observe/metrics.ts";
import { whoami } from "../../src/operation/whoami.ts";
import { localAdmin, startCore } from "../kit/core.ts";
import { ALONE, statusWith } from "../kit/fleet-report.ts";
import { webOver } from "../kit/web.ts";

const CACHE: CacheReport = {
  upstream: "nSELF",
  fresh: true,
  age_seconds: 1,
  spaces: ["*"],
  stale_spaces: ["run", "books"],
  entries: 3,
  bytes: 500,
  max_bytes: 1000,
  disk_bytes: 40,
  hits: 7,
  misses: 2,
  stale: 1,
  revalidated: 4,
  evictions: 5,
};

async function pageWith(cache: CacheReport | undefined): Promise<string> {
  const status = statusWith(async () => ({
    status: "ok",
    version: "0.0.0-test",
    commit: "source",
    uptime_seconds: 90,
    position: "0000000000-0",
    ...ALONE,
    tailnet: {
      engine: "loopback",
      state: "Running",
      control: "connected",
      name: "",
      ips: [],
      key_expiry: null,
      https: false,
      funnel_available: false,
    },
    ...(cache === undefined ? {} : { cache }),
    urls: [],
    conditions: [],
  }));
  await using core = startCore({ operations: [...contextOperations, whoami, status] });
  const web = webOver(core, { features: FEATURES });
  const response = await web.fetch(new Request("http://cairn/"), localAdmin, "http");
  return (await response?.text()) ?? "";
}

test("the page of an edge shows its cache, and only that of an edge", async () => {
  const page = await pageWith(CACHE);
  expect(page).toContain("fresh, at most 1 s old");
  expect(page).toContain("7 hits, 2 misses, 4 revalidated, 1 stale");
  expect(page).toContain("keeps every space; may be served stale: run, books");
  expect(page).toContain("3 documents in memory (50 % of the room)");
  expect(await pageWith({ ...CACHE, upstream: null, fresh: false, age_seconds: 90 })).toContain(
    "not fresh: may be 90 s old",
  );
  expect(await pageWith(undefined)).not.toContain("cache-title");
});

test("a scrape counts reads by how they were answered; without a cache nothing of it is there", () => {
  const metrics = new Metrics();
  cacheMetrics(metrics, () => CACHE);
  const text = metrics.text();
  expect(text).toContain("# TYPE cairn_cache_reads_total counter");
  expect(text).toContain('cairn_cache_reads_total{result="revalidated"} 4');
  expect(text).toContain("cairn_cache_evictions_total 5");
  expect(text).toContain("cairn_cache_age_seconds 1");
  const none = new Metrics();
  cacheMetrics(none, () => undefined);
  expect(none.text()).not.toMatch(/^cairn_cache/m);
});
