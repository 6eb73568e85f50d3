// The faults of calls that need another node: what they say of the leader and of the outcome.

import { expect, test } from "bun:test";
import { Fault } from "../../src/lib/fault.ts";
import { gaveUp, lostLeadership, neverForwarded, notLeader, waitingFault } from "../../src/operation/routing-faults.ts";

const leader = { node: "n1", name: "lead" };

test("a node without a store says why it waits, where it knows", () => {
  const known = new Fault("unavailable", "it needs a newer build");
  expect(waitingFault({ whyWaiting: () => known })).toBe(known);
  for (const routing of [undefined, {}, { whyWaiting: () => undefined }])
    expect(waitingFault(routing).code).toBe("not_ready");
});

test("the leader is named where there is one", () => {
  expect(notLeader(leader).facts).toMatchObject({ outcome: "not_done", leader: { node: "n1" } });
  expect(lostLeadership(leader).facts).toMatchObject({ outcome: "unknown", leader: { node: "n1" } });
  expect(neverForwarded("fleet_member_remove", leader)).toMatchObject({
    hint: "Run it on lead.",
    facts: { leader: { name: "lead" } },
  });
  for (const fault of [notLeader(undefined), lostLeadership(undefined), neverForwarded("x", undefined)])
    expect(fault.facts.leader).toBeUndefined();
  expect(neverForwarded("x", undefined).hint).toBe("Run it on the leader, once there is one.");
});

test("the text of the last error is shown where it is for callers", () => {
  for (const mayBeDone of [true, false]) {
    const texts = [new Fault("unavailable", "no route"), new DOMException("late"), new TypeError("secret")].map(
      (cause) => gaveUp(mayBeDone, cause).message,
    );
    expect(texts.map((text) => /: (.*)$/.exec(text)?.[1])).toEqual(["no route", "late", undefined]);
    expect(gaveUp(mayBeDone, undefined).facts.outcome).toBe(mayBeDone ? "unknown" : "not_done");
  }
});
