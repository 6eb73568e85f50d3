// Which version of a write is proposed and applied (replication.md 8).

import { expect, test } from "bun:test";
import type { AnyWrite } from "../../src/operation/define.ts";
import { refuseInputAbove, versionAt, versionOf } from "../../src/operation/versions.ts";

const newest = () => ({ output: {}, changes: [] });
const first = () => ({ output: {}, changes: [] });
const asked = () => "asked";
const work = () => 7;
/** Only what versions.ts reads of a write. */
const write = (parts: Partial<AnyWrite>) => ({ name: "thing_put", v: 1, apply: newest, ...parts }) as AnyWrite;

const plain = write({});
const grown = write({
  ...{ v: 3, level: 3, maxWork: 30, asked, work },
  earlier: [
    { v: 2, level: 2, maxWork: 20 },
    { v: 1, apply: first },
  ],
  needsLevel: (input) => (input as { level: number }).level,
});

test("each version has its own apply and limit, and all of them the key of the first", () => {
  const shared = { first: 1, asked, work };
  expect(versionOf(grown, 3)).toStrictEqual({ v: 3, apply: newest, maxWork: 30, ...shared });
  expect(versionOf(grown, 2)).toStrictEqual({ v: 2, apply: newest, maxWork: 20, ...shared });
  expect(versionOf(grown, 1)).toStrictEqual({ v: 1, apply: first, ...shared });
  expect(versionOf(plain, 1)).toStrictEqual({ v: 1, apply: newest, first: 1 });
  expect([versionOf(grown, 4), versionOf(plain, 2)]).toEqual([undefined, undefined]);
});

test("the newest version is proposed that the level of the fleet allows", () => {
  const proposed = [1, 2, 3, 4].map((level) => versionAt(grown, level).v);
  expect(proposed).toEqual([1, 2, 3, 3]);
  expect(versionAt(plain, 1).v).toBe(1);
  const late = write({ v: 2, level: 2 });
  expect(versionAt(late, 2).v).toBe(2);
  expect(() => versionAt(late, 1)).toThrow("thing_put needs fleet level 2; the fleet has 1");
});

test("an input that needs a higher level is refused, and no other", () => {
  expect(() => refuseInputAbove(2, grown, { level: 3 })).toThrow("needs fleet level 3; the fleet has 2");
  refuseInputAbove(3, grown, { level: 3 });
  refuseInputAbove(1, plain, {});
});
