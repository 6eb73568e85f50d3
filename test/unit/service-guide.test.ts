// What docs/service-guide.md shows is taken as it is written: its declarations, its calls and its commands.

import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { FEATURES } from "../../src/features/index.ts";
import { serviceCommands } from "../../src/features/service/commands.ts";
import { operationsOf } from "../../src/operation/derive.ts";
import { judgeValue } from "../../src/operation/judge-declared.ts";
import { parseInput } from "../../src/operation/parse-input.ts";
import { Services } from "../../src/operation/services.ts";

const guide = readFileSync(new URL("../../docs/service-guide.md", import.meta.url), "utf8");
const KINDS = new Map(FEATURES.flatMap(({ declares = [] }) => declares).map((each) => [each.kind, each]));

test("its declarations are taken", () => {
  const blocks = [...guide.matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, yaml = ""]) => Bun.YAML.parse(yaml));
  const declared = blocks.flat() as Record<string, unknown>[];
  expect(declared.map(({ kind, name }) => `${kind} ${name}`)).toEqual([
    ...["service wiki", "probe web", "probe queue", "action tidy", "rule queue-long", "action report"],
    "schedule nightly",
  ]);
  for (const { kind, name, ...value } of declared) {
    const found = KINDS.get(String(kind)) as Parameters<typeof judgeValue>[0];
    expect([name, judgeValue(found, String(name), value)]).toEqual([name, { value: expect.anything() }]);
  }
});

test("its calls are taken", () => {
  const operations = operationsOf(FEATURES, new Services());
  const calls = [...guide.matchAll(/^cairn call (\w+) '(.*?)'/gm)];
  expect(calls.map(([, name]) => name)).toEqual(["service_deploy", "service_rollback"]);
  for (const [, name, input = ""] of calls) {
    const operation = operations.find((each) => each.name === name);
    if (operation === undefined) throw new Error(`no operation ${name}`);
    expect(() => parseInput(operation, JSON.parse(input), "exactly")).not.toThrow();
  }
});

test("its commands of services are some", () => {
  const known = serviceCommands.filter(({ words }) => words[0] === "service").map(({ words }) => words[1]);
  const written = [...guide.matchAll(/cairn service (\w+)/g)].map(([, word]) => word);
  expect(written.length).toBeGreaterThan(4);
  for (const word of written) expect(known).toContain(word);
});
