// When a member of a fleet may restart for an upgrade: only while all others serve, and the one that leads comes last.

import { expect, test } from "bun:test";
import { reasonToWait } from "../../src/cli/upgrade/turn.ts";
import type { NodeReport } from "../../src/fleet/index.ts";

type Member = NodeReport["members"][number];

const member = (name: string, more: Partial<Member> = {}): Member =>
  ({
    name,
    role: "central",
    state: "active",
    self: false,
    leader: false,
    version: "2.0.0",
    age_seconds: 1,
    ...more,
  }) as Member;
const report = (...members: Member[]): NodeReport => {
  const leader = members.find((each) => each.leader)?.name ?? "";
  return { members, fleet: { leader } } as unknown as NodeReport;
};
const self = (more: Partial<Member> = {}) => member("self", { self: true, version: "1.0.0", ...more });
const leading = { leader: true };

test.each<[string, NodeReport, string | undefined]>([
  ["another leads and all serve", report(self(), member("a", leading), member("b")), undefined],
  ["another leads, with an older version", report(self(), member("a", { ...leading, version: "1.0.0" })), undefined],
  ["it leads, and all others have the new version", report(self(leading), member("a"), member("b")), undefined],
  ["it leads, and others have a newer one still", report(self(leading), member("a", { version: "2.0.1" })), undefined],
  [
    "it leads, and others are older",
    report(self(leading), member("a", { version: "1.9.9" }), member("b", { version: "1.0.0", role: "regional" })),
    "this node leads, and the leader comes last: a and b to be upgraded before",
  ],
  [
    "it leads, and only an edge is older",
    report(self(leading), member("e", { role: "edge", version: "1.0.0" })),
    undefined,
  ],
  [
    "an edge is away",
    report(self(), member("a", leading), member("e", { role: "edge", age_seconds: null })),
    undefined,
  ],
  [
    "a full member is away",
    report(self(), member("a", leading), member("b", { age_seconds: 16 }), member("c", { age_seconds: null })),
    "b and c did not report lately, and a fleet needs most of its members",
  ],
  [
    "one that leaves is away",
    report(self(), member("a", leading), member("b", { state: "leaving", age_seconds: null })),
    undefined,
  ],
  ["nobody leads", report(self(), member("a"), member("b")), "no leader is known"],
])("%s", (_what, seen, reason) => expect(reasonToWait(seen, "2.0.0")).toBe(reason));
