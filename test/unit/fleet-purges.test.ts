// Where purged texts still are, by what beats say.

import { expect, test } from "bun:test";
import type { ReceivedBeat } from "../../src/fleet/index.ts";
import { keptFromBefore, newestPurge, pendingErasures } from "../../src/fleet/purges.ts";
import { beat, heardOf, member } from "../kit/fleet-facts.ts";

const MEMBERS = [member("a"), member("b"), member("c"), member("e", "edge")];

function facts(received: Record<string, ReceivedBeat>, own = beat("a", { purged: 9, erased: 9 }), away: string[] = []) {
  return {
    self: "n-a",
    members: MEMBERS,
    own,
    received: (node: string) => received[node],
    isAway: (node: string) => away.includes(node),
  };
}

test("nothing was purged: nothing is pending", () => {
  expect(pendingErasures(facts({}, beat("a", { purged: 0, erased: 0 })))).toBeUndefined();
  expect(keptFromBefore(facts({}, beat("a")))).toBeUndefined();
});

test("members that are behind, away, silent or of an older build are named until each has erased the newest purge", () => {
  const done = { purged: 9, erased: 9 };
  const all = { "n-b": heardOf("b", done), "n-c": heardOf("c", done), "n-e": heardOf("e", done) };
  expect(pendingErasures(facts(all))).toBeUndefined();
  expect(pendingErasures(facts({ ...all, "n-b": heardOf("b", { purged: 9, erased: 4 }) }))).toBe("Pending on b");
  expect(pendingErasures(facts({ ...all, "n-b": heardOf("b", { purged: 4, erased: 4 }) }, undefined, ["n-b"]))).toBe(
    "Pending on b (away)",
  );
  expect(pendingErasures(facts({ "n-b": heardOf("b"), "n-c": heardOf("c", done) }))).toBe(
    "Pending on b (needs a newer version), e",
  );
  // Another member knows a newer purge than this one.
  const newer = facts({ ...all, "n-c": heardOf("c", { purged: 12, erased: 12 }) });
  expect(newestPurge(newer)).toBe(12);
  expect(pendingErasures(newer)).toBe("Pending on a, b, e");
});

test("what members keep from before is named", () => {
  const kept = facts({ "n-b": heardOf("b", { kept: ["cairn-b-1", "aside/2026"] }) }, beat("a", { kept: [] }));
  expect(keptFromBefore(kept)).toBe("From before the last purge: b: cairn-b-1, aside/2026");
});

test("a backup in a bucket that members share is named once, and what each does not know is said of each", () => {
  const shared = "bucket/cairn-b-1";
  const unknown = "bucket/ (not listed yet)";
  const kept = facts(
    { "n-b": heardOf("b", { kept: ["cairn-b-1", shared, unknown] }), "n-c": heardOf("c", { kept: [shared, unknown] }) },
    beat("a", { kept: [shared] }),
  );
  expect(keptFromBefore(kept)).toBe(
    `From before the last purge: a: ${shared}; b: cairn-b-1, ${unknown}; c: ${unknown}`,
  );
});
