// The commands of docs/event-guide.md are taken as they are written, and its tables name what there is.

import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { eventCommands } from "../../src/features/event/commands.ts";
import { moveCommands } from "../../src/features/event/moves/words.ts";
import { OPERATORS } from "../../src/features/event/rules/condition.ts";
import { subscriptionCommands } from "../../src/features/event/subscription/commands.ts";
import { oneCommands } from "../../src/features/event/subscription/one-commands.ts";
import { outwardTarget } from "../../src/features/event/subscription/targets/declared.ts";
import { FEATURES } from "../../src/features/index.ts";
import type { Operation } from "../../src/operation/define.ts";
import { operationsOf } from "../../src/operation/derive.ts";
import { parseInput } from "../../src/operation/parse-input.ts";
import { Services } from "../../src/operation/services.ts";

const guide = readFileSync(new URL("../../docs/event-guide.md", import.meta.url), "utf8");
const operations = new Map<string, Operation>(
  operationsOf(FEATURES, new Services()).map((operation) => [operation.name, operation]),
);
const calls = [...guide.matchAll(/^cairn call (\w+) '(.*?)'/gm)].map(([, name = "", input = ""]) => [name, input]);

test("there are calls", () => expect(calls.length).toBeGreaterThan(7));

test.each(calls)("%s takes %s", (name = "", input = "") => {
  const operation = operations.get(name);
  if (operation === undefined) throw new Error(`no operation ${name}`);
  expect(() => parseInput(operation, JSON.parse(input), "exactly")).not.toThrow();
});

test("every kind of target and every operator is named", () => {
  const kinds = outwardTarget.options.map(({ def }) =>
    "shape" in def ? def.shape.kind.value : def.options[0]?.def.shape.kind.value,
  );
  expect(kinds).toContain("notify");
  for (const name of [...kinds, ...OPERATORS]) expect(guide).toContain(`\`${name}\``);
});

test("every command of events that is written is one", () => {
  const known = [...eventCommands, ...subscriptionCommands, ...oneCommands, ...moveCommands].map(
    ({ words }) => words[1] ?? "",
  );
  const written = [...guide.matchAll(/cairn events (\w+)/g)].map(([, word = ""]) => word);
  for (const word of written) expect([...known, "tail", "replay"]).toContain(word);
});
