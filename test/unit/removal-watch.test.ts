// When a node believes that its fleet removed it: one member says so three times, and no other contradicts it.

import { expect, test } from "bun:test";
import { readFleetFile, writeFleetFile } from "../../src/fleet/index.ts";
import { RemovalWatch } from "../../src/membership/removal-watch.ts";
import { Conditions } from "../../src/observe/conditions.ts";
import { member } from "../kit/fleet-facts.ts";
import { temporaryFolder } from "../kit/temporary.ts";

const [b, c] = [member("b"), member("c")];

function startWatch() {
  const folder = temporaryFolder();
  const file = { fleetId: "f", epoch: "e", fleet: "home", profile: "home", role: "central", node: "n-a" } as const;
  writeFleetFile(folder, { ...file, spaces: [], members: [b, c] });
  const clock = { ms: 0 };
  const watch = new RemovalWatch({ folder, conditions: new Conditions(() => {}), monotonicMs: () => clock.ms });
  return { watch, clock, marked: () => readFleetFile(folder)?.removed === true };
}

test("one refusal is no removal, nor are two, nor one each of several members", () => {
  const { watch, marked } = startWatch();
  for (const by of [b, b, c, c]) {
    watch.refusedBy(by);
    expect([watch.removed, marked()]).toEqual([false, false]);
  }
  watch.refusedBy(b);
  expect([watch.removed, marked()]).toEqual([true, true]);
});

test("a beat of the same member begins the count again", () => {
  const { watch, clock } = startWatch();
  for (let round = 0; round < 3; round += 1) {
    watch.refusedBy(b);
    watch.refusedBy(b);
    watch.acceptedBy(b);
    clock.ms += 60_000;
  }
  expect(watch.removed).toBe(false);
});

test("a beat of another full member outweighs refusals for five seconds; that of an edge does not", () => {
  const { watch, clock } = startWatch();
  watch.acceptedBy(c);
  for (let refusal = 0; refusal < 4; refusal += 1) watch.refusedBy(b);
  clock.ms = 4_999;
  watch.refusedBy(b);
  expect(watch.removed).toBe(false);
  watch.acceptedBy(member("e", "edge"));
  clock.ms = 5_000;
  watch.refusedBy(b);
  expect(watch.removed).toBe(true);
});

test("a node that was removed is a member again with the next beat of a full member", () => {
  const { watch, marked } = startWatch();
  for (let refusal = 0; refusal < 3; refusal += 1) watch.refusedBy(b);
  watch.acceptedBy(member("e", "edge"));
  expect([watch.removed, marked()]).toEqual([true, true]);
  watch.acceptedBy(c);
  expect([watch.removed, marked()]).toEqual([false, false]);
});
