// Heads that other members told: which are kept, and what a history that was rewritten, or cut, looks like against
// them.

import { expect, test } from "bun:test";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { verifyHeads } from "../../src/features/context/verify-heads.ts";
import { CLEARED_BY_FORK } from "../../src/features/index.ts";
import { AcknowledgedHeads, readAcknowledgedHeads } from "../../src/fleet/beats/acknowledged-heads.ts";
import { forkHistory } from "../../src/log/new-epoch.ts";
import { startCore } from "../kit/core.ts";
import { temporaryFolder } from "../kit/temporary.ts";

const HOUR = 3_600_000;
const START = Date.UTC(2026, 0, 1);
const head = (node: string, hours: number, seq = 1) => ({
  node,
  name: `${node}-name`,
  epoch: "aaaaaaaaaa",
  seq,
  hash: "00",
  at_ms: START + hours * HOUR,
});

test("one an hour of each member is kept, over restarts, for the node's user alone", () => {
  const data = temporaryFolder();
  const heads = new AcknowledgedHeads(data);
  for (const told of [head("a", 0, 1), head("a", 0.5, 2), head("b", 0.6, 3), head("a", 1, 4)]) heads.take(told);
  expect(readAcknowledgedHeads(data).map(({ node, seq }) => [node, seq])).toEqual([
    ["a", 1],
    ["b", 3],
    ["a", 4],
  ]);
  expect((statSync(join(data, "heads.json")).mode & 0o777).toString(8)).toBe("600");
  const again = new AcknowledgedHeads(data);
  again.take(head("a", 1.5, 5));
  again.take(head("b", 1.5, 6));
  expect(readAcknowledgedHeads(data)).toHaveLength(4);
});

test("two days of hours and ninety days are kept, and no more", () => {
  const data = temporaryFolder();
  const heads = new AcknowledgedHeads(data);
  for (let hour = 0; hour < 100 * 24; hour += 6) heads.take(head("a", hour, hour));
  const kept = readAcknowledgedHeads(data);
  expect(kept.length).toBeGreaterThan(8 + 86);
  expect(kept.length).toBeLessThan(8 + 92);
  expect(kept.at(-1)?.seq).toBe(100 * 24 - 6);
});

test("a damaged file begins again", () => {
  const data = temporaryFolder();
  writeFileSync(join(data, "heads.json"), "{");
  expect(readAcknowledgedHeads(data)).toEqual([]);
  new AcknowledgedHeads(data).take(head("a", 0));
  expect(JSON.parse(readFileSync(join(data, "heads.json"), "utf8"))).toHaveLength(1);
});

test("a history is held against what was told of it", async () => {
  const core = startCore();
  for (let count = 1; count <= 5; count += 1) await core.call("context_put", { id: "a/b", content: `text ${count}` });
  const { reader } = core.store;
  const rows = reader.all<{ seq: number; epoch: string; hash: Uint8Array }>("SELECT seq, epoch, hash FROM changes");
  const told = rows.map(({ seq, epoch, hash }) => ({
    name: "other",
    epoch,
    seq,
    at_ms: START,
    hash: Buffer.from(hash).toString("hex"),
  }));
  const [first, second] = told;
  if (first === undefined || second === undefined) throw new Error("no changes");
  expect(verifyHeads(reader, told, { seq: 5 })).toEqual({ heads: 5 });
  // Another fleet's, which says nothing of this history.
  expect(verifyHeads(reader, [{ ...first, epoch: "ffffffffff", hash: "11" }], { seq: 5 })).toEqual({ heads: 0 });
  const rewritten = verifyHeads(reader, [first, { ...second, hash: "11" }], { seq: 5 });
  expect(rewritten.problem).toContain("other reported change 2 on 2026-01-01T00:00:00.000Z");
  expect(rewritten.problem).toContain("rewritten");
  expect(verifyHeads(reader, [{ ...first, seq: 6 }], { seq: 5 }).problem).toContain("the history now ends at 5");
  // After a restore the old history counts up to where it was left.
  forkHistory(core.store, CLEARED_BY_FORK);
  expect(verifyHeads(reader, [...told, { ...first, seq: 6 }], { seq: 5 })).toEqual({ heads: 5 });
  expect(verifyHeads(reader, [{ ...first, hash: "11" }], { seq: 5 }).problem).toContain("rewritten");
  await core.close();
});
