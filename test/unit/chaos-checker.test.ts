// The checker is itself checked: a model that is right passes whatever its seed, and each planted bug of replication.md
// 32 is found by the rule that is about it.

import { describe, expect, test } from "bun:test";
import { check, report } from "../chaos/checker.ts";
import {
  type FencedWrite,
  Findings,
  type Hold,
  type MemberEnd,
  OTHER_CONTENT,
  type Row,
  type Run,
} from "../chaos/history.ts";
import { judgeLeases } from "../chaos/lease-rules.ts";
import { BUGS, type Bug, runModel } from "../chaos/model.ts";
import { raftEventsOf } from "../chaos/raft-events.ts";

const FIXED_SEEDS = [1, 2];
const SEEDS = [1, 2, 3].map((at) => at * 7919 + (Date.now() % 7919));

describe("a model that is right", () => {
  test.each(SEEDS)("passes with seed %d", (seed) => {
    const run = runModel({ seed, asks: 4000 });
    expect(report(run).text.split("\n").slice(1)).toEqual([]);
    expect(run.rows.length).toBeGreaterThan(1000);
  });

  test.each(SEEDS)("passes with seed %d, recovered half way", (seed) => {
    const run = runModel({ seed, asks: 4000, recover: true });
    expect(report(run).text.split("\n").slice(1)).toEqual([]);
  });
});

/** Rules that must find the bug. */
const FOUND_BY: Readonly<Record<Bug, readonly string[]>> = {
  "ack before commit": ["lost"],
  "leader read without a barrier": ["leader"],
  "skipped apply": ["ends"],
  "doubled apply": ["ends"],
  "dedupe lost in a snapshot": ["once"],
  "label ahead of content": ["state"],
  "feed drops the last row of a batch": ["feed"],
  "edge fill race": ["age"],
  "etag without hash": ["condition"],
  "position reused after recover": ["seq-unique"],
  "body of the version before": ["body"],
  "forward keys not remembered": ["once"],
  "votes not stored": ["two-votes"],
  "lost pending copy": ["ends"],
  "half of a batch": ["batch"],
  "batch seen half way": ["batch"],
  "patch of an earlier text": ["content"],
  "restore of the version after": ["content"],
  "deletion not seen": ["state"],
  "decided by an older state": ["condition", "refusal"],
  "list of another position": ["state"],
  "history without a version": ["state"],
  "another version at a position": ["state"],
  "stream repeats after a reconnect": ["feed"],
  "stream skips after a reconnect": ["feed"],
  "lost notification": ["feed"],
};

// With one seed of a hundred some bugs show no effect that their rule is about, so these are the same in every run.
describe.each(BUGS)("%s", (bug) => {
  test.each(FIXED_SEEDS)("is found with seed %d", (seed) => {
    const recover = bug === "etag without hash" || bug === "position reused after recover";
    // Some rules see a bug in few of its effects: with 4,000 requests one seed of 200 shows none of them.
    const asks = FOUND_BY[bug].length > 1 ? 8000 : 4000;
    const rules = new Set(check(runModel({ seed, asks, bug, recover })).map(({ rule }) => rule));
    for (const rule of FOUND_BY[bug]) expect(rules).toContain(rule);
  });
});

describe("leases", () => {
  const hold = (fence: number, fromMs: number, untilMs: number, more: Partial<Hold> = {}): Hold => ({
    ...{ process: `p${fence}`, name: "n", fence, fromMs, untilMs, waited: false },
    ...more,
  });
  const rulesOf = (holds: Hold[], fenced: FencedWrite[] = []) => {
    const findings = new Findings();
    judgeLeases({ rows: [], feeds: [], ends: [], epochs: [], holds, fenced }, findings);
    return findings.list.map(({ rule }) => rule);
  };

  test("that are held one after the other are right, and so are two names at one time", () => {
    const other = hold(8, 0, 100, { name: "m" });
    const writes = [
      { name: "n", fence: 5, seq: 6 },
      { name: "n", fence: 7, seq: 8 },
    ];
    expect(rulesOf([hold(7, 20, 30), hold(5, 0, 20), other], writes)).toEqual([]);
  });

  test("two holders at one time are found, also with a short one between", () => {
    expect(rulesOf([hold(5, 0, 21), hold(7, 20, 30)])).toEqual(["two-holders"]);
    expect(rulesOf([hold(5, 0, 50), hold(7, 51, 52), hold(9, 52, 60)])).toEqual([]);
    expect(rulesOf([hold(5, 0, 100), hold(7, 20, 30), hold(9, 90, 95)])).toEqual(["two-holders", "two-holders"]);
  });

  test("a fence that does not grow is found", () => {
    expect(rulesOf([hold(7, 0, 10), hold(7, 20, 30), hold(5, 40, 50)])).toEqual(["fences", "fences"]);
  });

  test("a write under an older fence, after a newer grant, is found", () => {
    const writes = [{ name: "n", fence: 5, seq: 8 }];
    expect(rulesOf([hold(5, 0, 10), hold(7, 20, 30)], writes)).toEqual(["fenced"]);
    // Granted in line at a seq that is not known.
    expect(rulesOf([hold(5, 0, 10), hold(7, 20, 30, { waited: true })], writes)).toEqual([]);
  });
});

describe("small histories", () => {
  const put = (seq: number, more: Partial<Row> = {}): Row => ({
    process: "p",
    operation: "put",
    key: "k",
    invokeMs: seq * 10,
    completeMs: seq * 10 + 5,
    node: "one",
    outcome: "ok",
    code: "",
    version: seq,
    hash: `h${seq}`,
    position: { epoch: "e1", seq },
    ...more,
  });
  const get = (version: number, more: Partial<Row> = {}): Row =>
    put(version, {
      operation: "get",
      body: `h${version}`,
      invokeMs: 1000,
      completeMs: 1001,
      consistency: "any",
      ...more,
    });
  /** A run of these rows over three changes that all nodes have. */
  const run = (rows: Row[], more: Partial<Run> = {}): Run => {
    const changes = [1, 2, 3].map((seq) => ({ epoch: "e1", seq, key: "k", version: seq, hash: `h${seq}` }));
    const end = { node: "one", seq: 3, hash: "x", digest: "y", changes, floor: 0 };
    return { rows, feeds: [], ends: [end], epochs: [{ id: "e1", forkSeq: 0 }], ...more };
  };
  const rulesOf = (from: Run) => [...new Set(check(from).map(({ rule }) => rule))];
  const three = [put(1), put(2), put(3)];

  test("three writes and their reads are right", () => {
    const reads = [
      get(3, { consistency: "leader" }),
      get(2),
      get(3, { consistency: "session", shown: { epoch: "e1", seq: 3 } }),
    ];
    expect(rulesOf(run([...three, ...reads]))).toEqual([]);
  });

  test("a read with another body than its ETag names, or with none, and a write told of other content", () => {
    expect(check(run([...three, get(3, { body: "h2" })]))).toMatchObject([
      { rule: "body", rows: [expect.stringContaining("3-h3 body h2")] },
    ]);
    expect(rulesOf(run([...three, get(3, { body: undefined })]))).toEqual(["body"]);
    expect(rulesOf(run([...three, get(0, { body: undefined, position: { epoch: "e1", seq: 0 } })]))).toEqual([]);
    expect(rulesOf(run([put(1), put(2), put(3, { code: OTHER_CONTENT })]))).toEqual(["body"]);
  });

  test("a reader that has written, refused or not, and a caller that was refused what it may do", () => {
    const reads = { rights: "read", outcome: "fail", code: "forbidden", position: undefined } as const;
    expect(rulesOf(run([...three, put(9, reads), get(3, { rights: "read" })]))).toEqual([]);
    expect(rulesOf(run([put(1), put(2), put(3, { rights: "read" })]))).toEqual(["rights"]);
    expect(rulesOf(run([put(1), put(2), put(3, { ...reads, outcome: "unknown", code: "" })]))).toEqual(["rights"]);
    expect(rulesOf(run([...three, put(9, { ...reads, rights: undefined })]))).toEqual(["rights"]);
    expect(rulesOf(run([...three, get(3, { ...reads })]))).toEqual(["rights"]);
  });

  test("a write without key of unknown outcome that was done twice", () => {
    const unknown = { outcome: "unknown", keyed: false, position: undefined, version: 0 } as const;
    const changes = [1, 2, 3].map((seq) => ({
      epoch: "e1",
      seq,
      key: "k",
      version: seq,
      hash: seq === 3 ? "h2" : `h${seq}`,
    }));
    const ends = [{ node: "one", seq: 3, hash: "x", digest: "y", changes, floor: 0 }];
    const found = check(run([put(1), put(2, unknown)], { ends }));
    expect(found).toMatchObject([
      { rule: "once", rows: [expect.stringContaining("without key"), "change e1-2 k 2-h2", "change e1-3 k 3-h2"] },
    ]);
  });

  test("members that do not run, end by themselves or set data aside, unless they were harmed", () => {
    const member = { node: "one", runs: true, ends: [], asides: [] as string[], harmed: false };
    const found = (more: Partial<MemberEnd>) => rulesOf(run(three, { members: [{ ...member, ...more }] }));
    expect(found({})).toEqual([]);
    expect(found({ runs: false })).toEqual(["runs"]);
    expect(found({ ends: ["7"] })).toEqual(["unasked-end"]);
    expect(found({ asides: ["2026-01-01-1: stale"] })).toEqual(["unasked-aside"]);
    expect(found({ ends: ["7"], asides: ["2026-01-01-1: stale"], harmed: true })).toEqual([]);
    expect(found({ runs: false, harmed: true })).toEqual(["runs"]);
  });

  test("a time without writes counts while a write waits, and until one is decided", () => {
    const late = put(3, { invokeMs: 30, completeMs: 9000 });
    expect(check(run([put(1), put(2), late], { outageMs: 8000 }))).toMatchObject([
      { rule: "outage", message: "nobody could write for 8970 ms, more than 8000 ms" },
    ]);
    expect(rulesOf(run([put(1), put(2), late], { outageMs: 9000 }))).toEqual([]);
    // Nobody wrote meanwhile.
    expect(rulesOf(run([put(1), put(2), put(3, { invokeMs: 8990, completeMs: 9000 })], { outageMs: 100 }))).toEqual([]);
    // A write that gave up does not end it, a condition that did not hold does.
    const lost = { outcome: "unknown", position: undefined, version: 0, hash: "lost" } as const;
    const gaveUp = put(2, { ...lost, invokeMs: 25, completeMs: 5000 });
    expect(rulesOf(run([put(1), put(2), gaveUp, late], { outageMs: 8000 }))).toEqual(["outage"]);
    const refused = { outcome: "fail", code: "version_mismatch", condition: "9-bbbbbbbbbbbb" } as const;
    const decided = { ...gaveUp, ...refused };
    expect(rulesOf(run([put(1), put(2), decided, late], { outageMs: 8000 }))).toEqual([]);
    // It need not end within the run.
    expect(rulesOf(run([put(1), put(2), { ...gaveUp, completeMs: 8500 }], { outageMs: 8000 }))).toContain("outage");
  });

  test("two leaders in one term, and two votes of one member in one term, from log lines", () => {
    const line = (text: string) => `{"level":"debug","part":"tailnet","message":"raft: event ${text}"}`;
    const found = (...lines: string[]) => rulesOf(run(three, { raft: raftEventsOf(lines.map(line).join("\n")) }));
    const led = "kind=leads server=aa epoch=e1 term=3";
    const voted = "kind=votes server=aa epoch=e1 term=3 for=bb";
    expect(raftEventsOf([led, voted].map(line).join("\n"))).toHaveLength(2);
    expect(found(led, led, "kind=leads server=bb epoch=e1 term=4", "kind=leads server=bb epoch=e2 term=3")).toEqual([]);
    expect(found(led, "kind=leads server=bb epoch=e1 term=3")).toEqual(["two-leaders"]);
    expect(found(voted, voted, "kind=votes server=cc epoch=e1 term=3 for=aa")).toEqual([]);
    expect(found(voted, "kind=votes server=aa epoch=e1 term=3 for=cc")).toEqual(["two-votes"]);
  });

  test("a refused write that was done, and one done twice by an unknown outcome", () => {
    expect(rulesOf(run([put(1), put(2), put(3, { outcome: "fail", position: undefined })]))).toEqual(["failed"]);
    expect(rulesOf(run([put(1), put(2), put(3, { outcome: "unknown", position: undefined, version: 0 })]))).toEqual([]);
    const twice = run([put(1), put(2, { hash: "h3", outcome: "unknown", position: undefined, version: 0 }), put(3)]);
    expect(rulesOf(twice)).toContain("unasked");
  });

  test("an order that is not that of real time", () => {
    const late = put(1, { invokeMs: 500, completeMs: 505 });
    expect(rulesOf(run([late, put(2), put(3)]))).toEqual(["real-time"]);
    const unknown = put(1, { invokeMs: 500, completeMs: 505, outcome: "unknown", position: undefined });
    expect(rulesOf(run([unknown, put(2), put(3)]))).toEqual(["real-time"]);
  });

  test("a session that goes back, by what it was shown and by what it saw", () => {
    const shown = get(2, { consistency: "session", shown: { epoch: "e1", seq: 3 } });
    expect(rulesOf(run([...three, shown]))).toContain("session");
    const rows = [
      get(3, { consistency: "session" }),
      get(2, { consistency: "session", invokeMs: 1010, completeMs: 1011 }),
    ];
    expect(rulesOf(run([...three.map((row) => ({ ...row, process: "q" })), ...rows]))).toEqual(["session"]);
  });

  test("a position of a history that was left is not one of this", () => {
    const epochs = [
      { id: "e0", forkSeq: 0 },
      { id: "e1", forkSeq: 0 },
    ];
    const row = get(3, { consistency: "session", shown: { epoch: "e0", seq: 2 } });
    expect(rulesOf(run([...three, row], { epochs }))).toEqual(["forked"]);
  });

  test("a condition that did not hold, and one that held and was refused", () => {
    expect(rulesOf(run([put(1), put(2, { condition: "1-000000000000" }), put(3)]))).toEqual(["condition"]);
    const hashes = ["aaaaaaaaaaaa", "bbbbbbbbbbbb", "cccccccccccc"];
    const changes = hashes.map((hash, at) => ({ epoch: "e1", seq: at + 1, key: "k", version: at + 1, hash }));
    const rows = hashes.map((hash, at) => put(at + 1, { hash }));
    const refused = put(9, {
      hash: "d",
      outcome: "fail",
      code: "version_mismatch",
      condition: "3-cccccccccccc",
      position: undefined,
    });
    const ends = [{ node: "one", seq: 3, hash: "x", digest: "y", changes, floor: 0 }];
    expect(rulesOf(run([...rows, refused], { ends }))).toEqual(["condition"]);
    expect(rulesOf(run([...rows, { ...refused, condition: "2-bbbbbbbbbbbb" }], { ends }))).toEqual([]);
  });

  test("nodes that differ, a node with a gap, and a run in which none was looked at", () => {
    const [end] = run([]).ends;
    if (end === undefined) throw new Error("no end");
    const other = { ...end, node: "two", digest: "z" };
    expect(rulesOf(run(three, { ends: [end, other] }))).toEqual(["ends"]);
    expect(check(run(three, { ends: [end, { ...end, node: "two", changes: end.changes.slice(1) }] }))).toMatchObject([
      { rule: "ends", message: "two has no change 1" },
    ]);
    expect(rulesOf(run([], { ends: [] }))).toEqual(["ends"]);
  });

  test("a finding names the rows that show it", () => {
    const [finding] = check(run([put(1), put(2), put(3, { version: 4 })]));
    expect(finding).toMatchObject({
      rule: "lost",
      rows: [expect.stringContaining("p put k at one"), "change e1-3 k 3-h3"],
    });
  });
});
