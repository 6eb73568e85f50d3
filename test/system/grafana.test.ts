// The dashboard of docs/grafana.json against a node: every metric that it draws, with the labels that it groups by, is
// one of a node's.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { spawnNode, type TestNode } from "../kit/node.ts";

interface Dashboard {
  panels: { id: number; title: string; targets: { expr: string; legendFormat: string }[] }[];
}

const dashboard: Dashboard = JSON.parse(readFileSync(join(import.meta.dir, "../../docs/grafana.json"), "utf8"));
const exprs = dashboard.panels.flatMap(({ targets }) => targets.map(({ expr }) => expr));
let node: TestNode;
let base: string;

beforeAll(async () => {
  node = await spawnNode({ args: ["--conformance"] });
  base = (await node.ready()).localUrl ?? "";
}, 120_000);
afterAll(async () => {
  await node?.[Symbol.asyncDispose]();
}, 60_000);

/** Names of metrics in an expression, as they are declared. */
const namesIn = (expr: string) =>
  [...expr.matchAll(/\b(?:cairn|tas_mcp|process)_[a-z0-9_]+/g)].map(([name]) => name.replace(/_bucket$/, ""));

test("each metric of the dashboard is one of a node, and none is drawn twice", async () => {
  const json = { "content-type": "application/json" };
  await fetch(`${base}/events`, { method: "POST", headers: json, body: '{"type":"build.done"}' });
  const text = await (await fetch(`${base}/metrics`)).text();
  const declared = new Set([...text.matchAll(/^# TYPE (\S+) \S+$/gm)].map(([, name]) => name));
  expect(declared.size).toBeGreaterThan(30);
  for (const expr of exprs) {
    const names = namesIn(expr);
    expect([expr, names.length]).toEqual([expr, 1]);
    expect({ expr, isThere: declared.has(names[0] ?? "") }).toEqual({ expr, isThere: true });
  }
  expect(new Set(exprs).size).toBe(exprs.length);
  // Those that have samples by now have the labels that the panel groups by.
  const sample = (name: string) => text.split("\n").find((line) => line.startsWith(`${name}{`)) ?? "";
  expect(sample("tas_mcp_events_total")).toBe('tas_mcp_events_total{method="http",status="success"} 1');
  for (const [name, label] of [
    ["tas_mcp_event_size_bytes", "percentile"],
    ["tas_mcp_active_connections", "type"],
    ["cairn_operations_total", "code"],
    ["cairn_operation_duration_seconds_bucket", "operation"],
  ] as const)
    expect(sample(name)).toContain(`${label}="`);
});

test("the panels have ids and places of their own", () => {
  const ids = dashboard.panels.map(({ id }) => id);
  expect(new Set(ids).size).toBe(ids.length);
  expect(ids.length).toBeGreaterThan(10);
});
