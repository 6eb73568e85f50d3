// Which calls share a command: those of one sender and space that come while another is under way, and none with a key.
// An event that was judged is a part of a command as it is.

import { expect, test } from "bun:test";
import { Batches } from "../../src/features/event/batches.ts";
import { type EventItem, eventItem, itemOf } from "../../src/features/event/item.ts";
import type { MacroSteps } from "../../src/operation/define.ts";

test("a call with a key makes commands of its own, whatever is under way, and the same ones when it is repeated", async () => {
  const commands: { ask: MacroSteps["ask"]; ids: string[]; done: () => void }[] = [];
  let tail = 0;
  const batches = new Batches(() => ({
    append: async ({ ask }, _space, items) => {
      const { promise, resolve } = Promise.withResolvers<void>();
      commands.push({ ask, ids: items.map(({ id }) => id), done: resolve });
      await promise;
      return { epoch: "e", offsets: items.map(() => ++tail), duplicates: [], looped: [] } as never;
    },
  }));
  const item = (id: string) => ({ id, data: "" }) as EventItem;
  const call = (key: string | undefined, ...ids: string[]) => {
    const ask: MacroSteps["ask"] = async () => ({});
    const steps = { ask, key, who: "alice" } as MacroSteps;
    return { ask, placed: Promise.all(batches.append(steps, "a", ids.map(item))) };
  };
  const first = call(undefined, "1");
  const waiting = [call(undefined, "2"), call(undefined, "3")];
  const keyed = [call("k1", "4", "5"), call("k1", "4", "5")];
  expect(commands.map(({ ids }) => ids)).toEqual([["1"], ["4", "5"], ["4", "5"]]);
  expect(commands.map(({ ask }) => ask)).toEqual([first, ...keyed].map(({ ask }) => ask));
  for (const { done } of commands) done();
  await Promise.all([first, ...keyed].map(({ placed }) => placed));
  expect(commands.slice(3).map(({ ids }) => ids)).toEqual([["2", "3"]]);
  commands.at(-1)?.done();
  expect((await Promise.all(waiting.map(({ placed }) => placed))).flat().map(({ offset }) => offset)).toEqual([6, 7]);
});

test("the schema of commands takes the very event that was judged, and judges everything that is made like it", () => {
  const item = itemOf({ id: "1", source: "ci", type: "n", data: { n: 1 }, extensions: { severity: "low" } }, 10_000);
  expect(eventItem.parse(item)).toBe(item);
  const copy = { ...item };
  expect(eventItem.parse(copy)).toEqual(item);
  expect(eventItem.parse(copy)).not.toBe(item);
  const wrong = [{ data: "{" }, { id: "" }, { source: "a b" }, { extensions: { Severity: "low" } }, { further: 1 }];
  for (const part of wrong) expect([part, eventItem.safeParse({ ...item, ...part }).success]).toEqual([part, false]);
});

test("an event that comes as the command before it ends goes with the next one, whenever that is", async () => {
  for (let turns = 0; turns < 12; turns += 1) {
    const sent: string[][] = [];
    const batches = new Batches(() => ({
      append: async (_steps, _space, items) => {
        sent.push(items.map(({ id }) => id));
        return { epoch: "e", offsets: items.map(() => 1), duplicates: [], looped: [] };
      },
    }));
    const steps = { ask: async () => ({}), who: "alice" } as unknown as MacroSteps;
    const append = (id: string) => batches.append(steps, "a", [{ id, data: "" } as EventItem]);
    await append("1")[0];
    for (let turn = 0; turn < turns; turn += 1) await Promise.resolve();
    append("2");
    await new Promise(setImmediate);
    expect([turns, ...sent]).toEqual([turns, ["1"], ["2"]]);
  }
});
