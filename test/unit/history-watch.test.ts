// What a member does once it is known whose state is wrong (replication.md 33): it names the servers to refuse, or
// stops itself where another member can send it a copy.

import { expect, test } from "bun:test";
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { buildInfo } from "../../src/config/build-info.ts";
import { type Member, writeFleetFile } from "../../src/fleet/index.ts";
import type { Fault } from "../../src/lib/fault.ts";
import type { Log } from "../../src/log/log.ts";
import { HistoryWatch } from "../../src/membership/history-watch.ts";
import { Conditions } from "../../src/observe/conditions.ts";
import { heardOf, member } from "../kit/fleet-facts.ts";
import { temporaryFolder } from "../kit/temporary.ts";

const digest = (digit: string) => `7-${digit.repeat(64)}`;

/** Node `a` of a fleet, with a raft folder, over a log at change 10. */
function watchOf(members: readonly Member[]) {
  const dataDir = temporaryFolder();
  const file = { fleetId: "f", epoch: "e", fleet: "home", profile: "home", role: "central", node: "n-a" } as const;
  mkdirSync(join(dataDir, "raft"));
  writeFleetFile(join(dataDir, "raft"), { ...file, spaces: [], members: [...members] });
  const stopped: Fault[] = [];
  const log = {
    position: () => ({ epoch: "e", seq: 10 }),
    head: () => ({ seq: 10, hash: new Uint8Array([7]) }),
    hashAt: () => new Uint8Array([7]),
    digest: () => ({ count: 7, hash: "1".repeat(64) }),
    digestAt: () => "1".repeat(64),
    stopApply: (fault: Fault) => stopped.push(fault),
  } as unknown as Log;
  const conditions = new Conditions(() => {});
  const watch = new HistoryWatch({
    dataDir,
    log,
    members: { list: () => members } as never,
    self: () => "n-a",
    leaderNode: () => "n-b",
    copies: () => "",
    conditions,
    line: () => {},
    nowMs: () => 0,
  });
  const hears = (name: string, digit: string, agreed: Record<string, number> = {}) => {
    const told = Object.entries(agreed).map(([node, count]) => ({ node, count }));
    const state = { hash: "07", version: buildInfo.version, digest: digest(digit), agreed: told };
    watch.take(member(name), heardOf(name, state));
  };
  const text = () => conditions.list().find(({ code }) => code === "two_histories")?.text;
  return { watch, dataDir, stopped, hears, text };
}

const THREE = ["a", "b", "c"].map((name) => member(name));

test("with the majority on its side it refuses the server that differs, names it, and goes on", () => {
  const { watch, stopped, hears, text } = watchOf(THREE);
  hears("b", "2");
  hears("c", "1");
  expect([watch.update(), watch.agreed()]).toEqual([["s-b"], [{ node: "n-c", count: 7 }]]);
  expect(text()).toBe("b has another state than this node under the same changes; most members contradict it");
  hears("b", "1");
  expect([watch.update(), text(), stopped]).toEqual([[], undefined, []]);
});

test("contradicted by a majority it stops once, keeps its vote, and does not note the head that it gives up", () => {
  const { watch, dataDir, stopped, hears, text } = watchOf(THREE);
  hears("b", "2", { "n-c": 7 });
  expect([watch.update(), stopped]).toEqual([[], []]);
  hears("c", "2");
  expect([watch.update(), watch.update(), text()]).toEqual([
    [],
    [],
    "b, c agree on another state than this node, and they are most members",
  ]);
  expect(stopped.map(({ code, facts }) => [code, facts.quarantine])).toEqual([["data_corrupt", "two_histories"]]);
  watch.stop();
  expect(existsSync(join(dataDir, "heads.json"))).toBe(false);
});

test("where no other member could lead and send it a copy, it goes on and says so", () => {
  const regionals = [member("a"), member("b", "regional"), member("c", "regional")];
  const { watch, dataDir, stopped, hears, text } = watchOf(regionals);
  hears("b", "2", { "n-c": 7 });
  hears("c", "2");
  expect([watch.update(), stopped]).toEqual([[], []]);
  expect(text()).toContain("b, c agree on another state");
  watch.stop();
  expect(existsSync(join(dataDir, "heads.json"))).toBe(true);
});
