// A follower of the change feed: what one step takes, judges and costs, and what its end gives back.

import { expect, test } from "bun:test";
import { Fault } from "../../src/lib/fault.ts";
import { LOOK_AT_ROW } from "../../src/lib/work.ts";
import type { Change, Cursor } from "../../src/log/changes.ts";
import { ChangeCursor, Following } from "../../src/operation/follow.ts";
import { refusal } from "../kit/refusal.ts";

/** Changes of one step of a follower. */
const STEP = 512;

/** A follower of the changes 1..`count`, of which it may see those that `isShown` says. */
function followerOf(count: number, isShown: (seq: number) => boolean = () => true) {
  let at = 0;
  const seen = { asked: [] as number[], judged: 0, spent: 0, released: 0, isBehind: false, isAllowed: true };
  const feed: Pick<Cursor, "next" | "isBehind"> = {
    next: (max) => {
      seen.asked.push(max);
      const step = Array.from({ length: Math.min(max, count - at) }, (_, index) => ({
        epoch: "e",
        seq: at + index + 1,
      }));
      at += step.length;
      return step as Change[];
    },
    isBehind: () => seen.isBehind,
  };
  const cursor = new ChangeCursor({
    cursor: feed as Cursor,
    position: "e-0",
    show: ({ seq }) => (isShown(seq) ? { seq } : undefined),
    spend: (units) => {
      seen.spent += units;
    },
  });
  const following = new Following({
    cursor,
    judge: () => {
      seen.judged += 1;
      if (!seen.isAllowed) throw new Fault("forbidden", "no longer");
    },
    release: () => {
      seen.released += 1;
    },
  });
  const take = (max: number) => {
    const { items, more } = following.take(max);
    return [items.map(({ position }) => position), more, following.position];
  };
  const more = (by: number) => {
    count += by;
  };
  return { following, seen, take, more };
}

test("takes at most so many changes, and says whether more are there", () => {
  const { following, take, seen } = followerOf(5, (seq) => seq !== 2);
  expect(following.position).toBe("e-0");
  expect(take(2)).toEqual([["e-1", "e-3"], true, "e-3"]);
  expect(take(2)).toEqual([["e-4", "e-5"], false, "e-5"]);
  expect(take(2)).toEqual([[], false, "e-5"]);
  expect(seen.asked).toEqual([STEP, STEP]);
});

test("goes on behind changes that are not for it", () => {
  const { take, more } = followerOf(0, (seq) => seq > 3);
  expect(take(9)).toEqual([[], false, "e-0"]);
  more(3);
  expect(take(9)).toEqual([[], false, "e-3"]);
  more(1);
  expect(take(9)).toEqual([["e-4"], false, "e-4"]);
});

test("says that more may be there where the feed is behind, and after a whole step", () => {
  const { take, seen } = followerOf(STEP + 1);
  expect(take(STEP)[1]).toBe(true);
  expect(take(STEP)).toEqual([[`e-${STEP + 1}`], false, `e-${STEP + 1}`]);
  seen.isBehind = true;
  expect(take(STEP)).toEqual([[], true, `e-${STEP + 1}`]);
});

test("pays for whole steps: what lies behind is read because it asked, what comes is not its doing", () => {
  const { take, seen, more } = followerOf(2 * STEP + 7);
  expect(seen.spent).toBe(STEP * LOOK_AT_ROW);
  take(STEP);
  take(STEP);
  expect(seen.spent).toBe(2 * STEP * LOOK_AT_ROW);
  take(STEP);
  more(9);
  take(STEP);
  expect(seen.spent).toBe(2 * STEP * LOOK_AT_ROW);
});

test("is judged before it is shown anything", async () => {
  const { following, take, seen, more } = followerOf(0);
  take(9);
  expect(seen.judged).toBe(0);
  more(2);
  expect([take(1), seen.judged]).toEqual([[["e-1"], true, "e-1"], 1]);
  seen.isAllowed = false;
  expect(await refusal(Promise.resolve().then(() => take(1)))).toMatchObject({ code: "forbidden" });
  expect(following.position).toBe("e-1");
});

test("gives its stream back once, and its news are those of the change feed", () => {
  const { following, seen } = followerOf(1);
  expect(following.isOfChanges).toBe(true);
  expect(seen.released).toBe(0);
  following.close();
  following.close();
  expect(seen.released).toBe(1);
  const own = new Following({
    cursor: { position: "e-0", eventName: undefined, take: () => ({ items: [], more: false }), onNews: () => () => {} },
    ...{ judge: () => {}, release: () => {} },
  });
  expect(own.isOfChanges).toBe(false);
});
