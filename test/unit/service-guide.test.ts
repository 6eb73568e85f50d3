// What docs/service-guide.md shows is taken as it is written: its declarations, its calls and its commands.

import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { judgeValue } from "../../src/features/declare/judge.ts";
import { FEATURES } from "../../src/features/index.ts";
import { ACTION } from "../../src/features/job/action.ts";
import { RULE } from "../../src/features/job/rule.ts";
import { PROBE } from "../../src/features/probe/declared.ts";
import { serviceCommands } from "../../src/features/service/commands.ts";
import { operationsOf } from "../../src/operation/derive.ts";
import { parseInput } from "../../src/operation/parse-input.ts";
import { Services } from "../../src/operation/services.ts";

const guide = readFileSync(new URL("../../docs/service-guide.md", import.meta.url), "utf8");
const KINDS = new Map([PROBE, ACTION, RULE].map((each) => [each.kind, each] as const));

test("its declarations are taken", () => {
  const [, yaml = ""] = /```yaml\n([\s\S]*?)```/.exec(guide) ?? [];
  const declared = Bun.YAML.parse(yaml) as Record<string, unknown>[];
  expect(declared.map(({ kind, name }) => `${kind} ${name}`)).toEqual([
    ...["probe web", "probe queue", "action tidy", "rule queue-long"],
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
