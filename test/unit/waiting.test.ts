// Commands that wait for the log: how they are cut into entries, by turns with costly ones, and what is refused while
// too many wait (replication.md 4, security.md 24).

import { expect, test } from "bun:test";
import { Fault } from "../../src/lib/fault.ts";
import { MAX_ENTRY_BYTES, MAX_ENTRY_COMMANDS } from "../../src/log/entry.ts";
import { type Batch, resolveBatch, WaitingCommands } from "../../src/log/waiting.ts";

const COSTLY = MAX_ENTRY_BYTES / 2;

/** Adds commands of these weights; returns what became of them, in the order of their outcomes. */
function waitingWith(...weights: (number | undefined)[]) {
  const waiting = new WaitingCommands();
  const ended: string[] = [];
  const add = (weight?: number, input: unknown = {}): void => {
    const command = { name: "x", v: 1, input, caller: "c", via: "", key: "", ...(weight !== undefined && { weight }) };
    waiting.add(command).then(
      ({ output, position }) => ended.push(`${JSON.stringify(output)} at ${position.epoch}-${position.seq}`),
      (error: Fault) => ended.push(error.code),
    );
  };
  for (const weight of weights) add(weight);
  const sizes = (mayBeCostly?: boolean): string[] => {
    const found: string[] = [];
    for (let batch = waiting.takeBatch(mayBeCostly); batch !== undefined; batch = waiting.takeBatch(mayBeCostly))
      found.push(`${batch.items.length}${batch.isCostly ? " costly" : ""}`);
    return found;
  };
  return { waiting, add, ended, sizes };
}

const many = (count: number, weight?: number) => Array<number | undefined>(count).fill(weight);

test("an entry has at most 512 commands, and at most 256 KiB by weight", () => {
  expect(waitingWith().waiting.takeBatch()).toBeUndefined();
  expect(waitingWith(...many(MAX_ENTRY_COMMANDS)).sizes()).toEqual([`${MAX_ENTRY_COMMANDS}`]);
  expect(waitingWith(...many(MAX_ENTRY_COMMANDS + 1)).sizes()).toEqual([`${MAX_ENTRY_COMMANDS}`, "1"]);
  expect(waitingWith(...many(8, MAX_ENTRY_BYTES / 4)).sizes()).toEqual(["4", "4"]);
  expect(waitingWith(...many(8, MAX_ENTRY_BYTES / 4 + 1)).sizes()).toEqual(["3", "3", "2"]);
});

test("what weighs more than an entry gets one of its own", () => {
  const { add, sizes } = waitingWith(undefined);
  add(undefined, { text: "x".repeat(MAX_ENTRY_BYTES) });
  add();
  expect(sizes()).toEqual(["1", "1", "1"]);
});

test("costly commands are taken one at a time, by turns with the others, or not at all", () => {
  const one = waitingWith(...many(3, COSTLY), ...many(MAX_ENTRY_COMMANDS + 1), COSTLY - 1);
  expect(one.waiting.length).toBe(MAX_ENTRY_COMMANDS + 5);
  expect(one.sizes()).toEqual(["1 costly", `${MAX_ENTRY_COMMANDS}`, "1 costly", "2", "1 costly"]);
  const other = waitingWith(COSTLY, undefined, COSTLY);
  expect(other.sizes(false)).toEqual(["1"]);
  expect(other.waiting.length).toBe(2);
  expect(other.sizes()).toEqual(["1 costly", "1 costly"]);
});

test("of costly commands 64 may wait, of all 8,192, and of their bytes 64 MiB", async () => {
  const { add, ended, waiting } = waitingWith(...many(64, COSTLY));
  add(COSTLY);
  for (let n = waiting.length; n < 8_192; n += 1) add();
  add();
  await Bun.sleep(0);
  expect([waiting.length, ended]).toEqual([8_192, ["unavailable", "unavailable"]]);
  waiting.takeBatch();
  add();
  expect(waiting.length).toBe(8_192);

  const large = waitingWith();
  for (let n = 0; n < 16; n += 1) large.add(undefined, { text: "x".repeat(4 * 1024 * 1024) });
  large.add();
  await Bun.sleep(0);
  expect([large.waiting.length, large.ended]).toEqual([16, ["unavailable"]]);
  large.sizes();
  large.add();
  expect(large.waiting.length).toBe(1);
});

test("each command gets its own outcome, and all that wait are refused at the end", async () => {
  const { add, ended, waiting } = waitingWith(undefined, undefined, undefined);
  const batch: Batch | undefined = waiting.takeBatch();
  resolveBatch(
    batch?.items ?? [],
    [{ output: { n: 1 }, seq: 7 }, { fault: new Fault("not_found", "no", {}) }, { output: { n: 3 }, seq: 8 }],
    (seq) => ({ epoch: seq < 8 ? "d" : "e", seq }),
  );
  add(COSTLY);
  add();
  waiting.rejectAll(() => new Fault("cancelled", "gone", {}));
  await Bun.sleep(0);
  expect(ended).toEqual(['{"n":1} at d-7', "not_found", '{"n":3} at e-8', "cancelled", "cancelled"]);
  expect([waiting.length, waiting.takeBatch()]).toEqual([0, undefined]);
});
