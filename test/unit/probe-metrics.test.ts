// Metrics of probes: states, checks and their times, by closed labels, without names.

import { expect, test } from "bun:test";
import { probeMetrics } from "../../src/features/probe/metrics.ts";
import { Metrics } from "../../src/observe/metrics.ts";
import { startProbes } from "../kit/probes.ts";

test("states and checks are counted by type, and no probe is named", async () => {
  await using node = startProbes();
  const metrics = new Metrics();
  probeMetrics(metrics, node.services);
  const lines = () => metrics.text().split("\n");
  expect(lines()).toContain('cairn_probes{state="up"} 0');
  await node.declareProbe("secret-name", { down: 1 });
  await node.declareProbe("other", { type: "dns", target: "absent.example", down: 1 });
  node.behaviour.slowMs = 40;
  await node.pass(15);
  expect(lines()).toContain('cairn_probes{state="up"} 1');
  expect(lines()).toContain('cairn_probes{state="down"} 1');
  const counted = (outcome: string) => lines().find((line) => line.includes(`type="http",outcome="${outcome}"`)) ?? "";
  const checks = Number(counted("good").split(" ").at(-1));
  expect(checks).toBeGreaterThan(0);
  expect(counted("bad")).toBe("");
  expect(lines().some((line) => line.includes('type="dns",outcome="bad"'))).toBe(true);
  expect(lines()).toContain(`cairn_probe_check_duration_seconds_count{type="http"} ${checks}`);
  expect(metrics.text()).not.toContain("secret-name");
});
