// What the leader observes of members: what it proposes and when, what the log keeps of it, and the events of it.

import { describe, expect, test } from "bun:test";
import { eventsAfter } from "../../src/features/event/rows.ts";
import { allStates, type Beat, fleetRowProblem, Observer } from "../../src/fleet/index.ts";
import { LatestChanges } from "../../src/log/latest-changes.ts";
import type { Command } from "../../src/log/log.ts";
import { writeMeta } from "../../src/log/meta.ts";
import { AppliedFleet } from "../kit/applied-fleet.ts";

interface Seen {
  isAway?: boolean;
  conditions?: string[];
  backup?: string;
}

/** An observer over a store that knows that n1 leads, with members that the test plays. */
function startObserver() {
  const fleet = new AppliedFleet().begin();
  fleet.store.transaction((tx) => writeMeta(tx, { fleet_settings: JSON.stringify({ "events.own": ["*"] }) }));
  const seen = new Map<string, Seen>([
    ["n1", {}],
    ["n2", {}],
  ]);
  const known = { target: "fleet/leader/n1", value: "leads", outcome: "leads" };
  fleet.run("fleet_observe", { observed: [known] }, "node");
  const at = { ms: 0, self: "n1", isLeading: true, level: 3, isWanted: true };
  const beat = ({ conditions = [], backup }: Seen) => ({ conditions, backup }) as unknown as Beat;
  const received = (node: string) => {
    const found = seen.get(node);
    return found === undefined ? undefined : ({ beat: beat(found), atMs: 0, roundTripMs: 1, skewMs: 0 } as const);
  };
  const view = () => ({
    ...{ own: beat(seen.get("n1") ?? {}), received, ageMs: () => 0, monotonicMs: at.ms },
    isAway: (node: string) => seen.get(node)?.isAway ?? false,
  });
  let fails = 0;
  const observer = new Observer({
    members: {
      list: () => [...seen.keys()].map((node) => ({ node, role: node === "e1" ? "edge" : "central" }) as never),
    },
    beats: { view },
    self: () => at.self,
    leading: () => at.isLeading,
    level: () => at.level,
    isWanted: () => at.isWanted,
    states: () => allStates(fleet.store.reader),
    propose: async ({ name, input }: Command) => {
      if (fails-- > 0) throw new Error("no leader");
      return fleet.run(name, input as Record<string, unknown>, "node");
    },
    monotonicMs: () => at.ms,
    log: () => {},
  });
  const events = () =>
    eventsAfter(fleet.store.reader, 1, 100).map(
      ({ type, subject, data }) => `${type} ${subject} ${JSON.parse(data).outcome}`,
    );
  return {
    ...{ fleet, seen, at, observer, events },
    fail: (times: number) => {
      fails = times;
    },
    /** Looks for so many seconds. */
    pass: async (seconds: number) => {
      for (let second = 0; second < seconds; second += 1) {
        at.ms += 1000;
        await observer.tick();
      }
    },
  };
}

describe("what is observed", () => {
  test("nothing while all is as usual, and nothing that passes within a look", async () => {
    const { seen, pass, events, fleet } = startObserver();
    await pass(20);
    seen.set("n2", { conditions: ["slow_fsync"] });
    await pass(3);
    seen.set("n2", {});
    await pass(20);
    expect(events()).toEqual([]);
    expect(fleet.state.seq).toBe(1);
  });

  test("a member that goes and comes, once each, and its conditions are as they were meanwhile", async () => {
    const { seen, pass, events } = startObserver();
    seen.set("n2", { conditions: ["slow_fsync"] });
    await pass(12);
    seen.set("n2", { isAway: true });
    await pass(30);
    expect(events()).toEqual([
      "cairn.condition.raised fleet/health/n2/slow_fsync raised",
      "cairn.member.down fleet/health/n2 down",
    ]);
    seen.set("n2", {});
    await pass(30);
    expect(events().slice(2)).toEqual([
      "cairn.member.up fleet/health/n2 up",
      "cairn.condition.cleared fleet/health/n2/slow_fsync cleared",
    ]);
  });

  test("backups that are made, that fail, and that are made again", async () => {
    const { seen, pass, events } = startObserver();
    for (const now of [{ backup: "b1" }, { backup: "b1", conditions: ["backup_failed"] }, { backup: "b2" }]) {
      seen.set("n2", now);
      await pass(15);
    }
    expect(events().filter((text) => text.startsWith("cairn.backup"))).toEqual([
      "cairn.backup.done fleet/backups/n2 done",
      "cairn.backup.failed fleet/backups/n2 failed",
      "cairn.backup.done fleet/backups/n2 done",
    ]);
  });

  test("an edge that is away is none, and what was of a former member is removed without an event", async () => {
    const { seen, pass, events, fleet } = startObserver();
    seen.set("e1", { isAway: true });
    seen.set("n3", { conditions: ["disk_full"] });
    await pass(15);
    seen.delete("n3");
    await pass(15);
    expect(events()).toEqual(["cairn.condition.raised fleet/health/n3/disk_full raised"]);
    expect([...allStates(fleet.store.reader).keys()]).toEqual(["fleet/leader/n1"]);
  });

  test("only by the leader, from the level on, where it is published; and again where it could not be kept", async () => {
    const { seen, at, pass, events, fail } = startObserver();
    seen.set("n2", { isAway: true });
    for (const off of [{ isLeading: false }, { level: 2 }, { isWanted: false }]) {
      Object.assign(at, { isLeading: true, level: 3, isWanted: true }, off);
      await pass(15);
    }
    expect(events()).toEqual([]);
    Object.assign(at, { isLeading: true, level: 3, isWanted: true });
    fail(2);
    await pass(60);
    expect(events()).toEqual(["cairn.member.down fleet/health/n2 down"]);
  });

  test("another leader once it has led for a while, and none of a member that is alone with edges", async () => {
    const { seen, at, pass, events, fleet } = startObserver();
    at.self = "n2";
    await pass(5);
    at.self = "n1";
    await pass(15);
    expect(events()).toEqual([]);
    at.self = "n2";
    await pass(15);
    expect(events()).toEqual(["cairn.member.leads fleet/leader/n2 leads"]);
    expect([...allStates(fleet.store.reader).keys()]).toEqual(["fleet/leader/n2"]);
    at.self = "n1";
    seen.delete("n2");
    seen.set("e1", {});
    await pass(15);
    expect(events()).toHaveLength(1);
    expect(allStates(fleet.store.reader).size).toBe(0);
  });

  test("a new leader goes on from what the log has", async () => {
    const { seen, pass, events, fleet } = startObserver();
    seen.set("n2", { isAway: true });
    await pass(15);
    const observed = [{ target: "fleet/health/n2", value: "down", outcome: "down" }];
    expect(fleet.run("fleet_observe", { observed }, "node")).toEqual({ changed: 0 });
    expect(events()).toHaveLength(1);
  });
});

test("an edit of what was observed is found", async () => {
  const { seen, pass, fleet } = startObserver();
  seen.set("n2", { isAway: true });
  await pass(15);
  const audit = () => {
    const latest = new LatestChanges();
    latest.catchUp(fleet.store.reader);
    return fleetRowProblem(fleet.store.reader, latest);
  };
  expect(audit()).toBeUndefined();
  fleet.store.transaction((tx) => tx.run("UPDATE fleet_states SET value = 'failed' WHERE target = 'fleet/health/n2'"));
  expect(audit()).toBe("fleet/health/n2 is not as change 2 observed it");
  fleet.store.transaction((tx) => tx.run("INSERT INTO fleet_states VALUES ('fleet/backups/n1', 'x')"));
  expect(audit()).toBe("fleet/backups/n1 was observed by no change");
});
