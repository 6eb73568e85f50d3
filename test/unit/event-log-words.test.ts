// What `cairn events log` and `cairn events move` print.

import { expect, test } from "bun:test";
import { moveCommands } from "../../src/features/event/moves/words.ts";

const shown = (word: string, output: object, options: Record<string, unknown> = {}) => {
  const found = moveCommands.find(({ words }) => words[1] === word);
  if (found === undefined) throw new Error(`no command ${word}`);
  return found.show({ ...output }, { args: [], options });
};

const FOUND = {
  ...{ log: "jetstream", durability: "jetstream; replicas=1; sync=server", oldest: "a-e0", newest: "a-e3" },
  ...{ events: 3, bytes: 30, waiting: 0, stream: "cairn-a" },
};

test("the log says what is not in it", () => {
  expect(shown("log", FOUND)).toBe(
    "jetstream: 3 events (30 bytes) from a-e0 to a-e3\nstream of NATS: cairn-a\n" +
      "promise: jetstream; replicas=1; sync=server\n",
  );
  expect(shown("log", { ...FOUND, waiting: 200_000, untold: 7 })).toEndWith(
    "200000 events of Cairn itself are not in it yet\n" +
      "7 changes made no event, because too many waited: the audit has them\n",
  );
});
