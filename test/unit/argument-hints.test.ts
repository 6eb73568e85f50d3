// The refusal of an argument has a call that is taken: for every argument of every operation that callers may name.

import { expect, test } from "bun:test";
import { FEATURES } from "../../src/features/index.ts";
import type { Operation } from "../../src/operation/define.ts";
import { operationsOf } from "../../src/operation/derive.ts";
import { parseInput } from "../../src/operation/parse-input.ts";
import { COMMON_NAMES } from "../../src/operation/registry.ts";
import { Services } from "../../src/operation/services.ts";
import { faultOf } from "../kit/refusal.ts";

const OPERATIONS = new Map<string, Operation>(
  operationsOf(FEATURES, new Services())
    .filter((operation) => operation.kind !== "write" || operation.internal !== true)
    .map((operation) => [operation.name, operation]),
);

/** No argument takes any of these, apart from those that take any JSON, or any object. */
const WRONG = [{ wrong: [1] }, [{ wrong: 1 }], 1e300];
const ANY_JSON = new Set(["content", "patch", "value", "metadata"]);
/** Of one operation: what is in them is judged item by item, or later. */
const ANY_OF = new Set([
  "event_publish data",
  "event_publish extensions",
  "event_publish_many events",
  "job_start input",
  "service_deploy declared",
]);

const CASES = [...OPERATIONS.values()].flatMap(({ name, kind, input }) =>
  [...Object.keys(input.shape), ...COMMON_NAMES]
    .filter(
      (argument) =>
        !ANY_JSON.has(argument) &&
        !ANY_OF.has(`${name} ${argument}`) &&
        (kind === "write" || argument !== "idempotency_key"),
    )
    .map((argument) => [name, argument] as const),
);

test.each(CASES)("%s: the hint for %s has a call that is taken", (name, argument) => {
  const operation = OPERATIONS.get(name);
  if (operation === undefined) throw new Error(name);
  const refusals = WRONG.map((value) =>
    faultOf(() => parseInput(operation, { ...operation.example, [argument]: value })),
  );
  const refused = refusals.find((fault) => String(fault.details["field"]).split(".")[0] === argument);
  const hint = refused?.hint ?? "";
  const [shown = ""] = /(?<=^For example: )\{.*\}(?=\. \w+ takes )/s.exec(hint) ?? [];
  expect(hint).toContain(`. ${argument} takes `);
  expect(JSON.parse(shown)).toHaveProperty(argument);
  expect(shown).not.toContain("…");
  expect(() => parseInput(operation, JSON.parse(shown), "exactly")).not.toThrow();
});

test("lines that came as a number are refused with a range", () => {
  const get = OPERATIONS.get("context_get");
  if (get === undefined) throw new Error("context_get");
  const { message, hint } = faultOf(() => parseInput(get, { id: "team-a/plan", lines: 5 }));
  expect([message, hint]).toEqual([
    expect.stringContaining("lines: "),
    expect.stringContaining('For example: {"id":"team-a/plan","lines":"1-200"}. lines takes text.'),
  ]);
});

test("a read that gets the key of a write is refused with the arguments that it takes", () => {
  const grep = OPERATIONS.get("context_grep");
  if (grep === undefined) throw new Error("context_grep");
  const keyed = faultOf(() => parseInput(grep, { pattern: "a", idempotency_key: "k" }));
  expect(keyed).toMatchObject({
    message: 'context_grep has no argument "idempotency_key"',
    hint: "Known arguments: pattern, id, prefix, literal, ignore_case, limit, cursor, consistency, min_position, as.",
  });
  // Nor is it offered where another name is unknown.
  expect(faultOf(() => parseInput(grep, { pattern: "a", xyzzy: 1 })).hint).toBe(keyed.hint);
});

test("of several shapes, the refusal names the field that chooses one, or the field of the chosen one", () => {
  const declare = OPERATIONS.get("event_target_set");
  if (declare === undefined) throw new Error("event_target_set");
  const said = (target: object) =>
    faultOf(() => parseInput(declare, { name: "ops", target, spaces: ["team-a"] })).message;
  const kinds = '"http", "webhook", "grpc", "notify", "peer", "callback"';
  expect(said({ kind: "htp", url: "https://example.com" })).toBe(
    `event_target_set: target.kind: takes one of ${kinds}; it is "htp"`,
  );
  expect(said({ url: "https://example.com" })).toBe(
    `event_target_set: target.kind is missing; it takes one of ${kinds}`,
  );
  expect(said({ kind: "http" })).toBe("event_target_set: target.url is missing");
  expect(said({ kind: "notify", service: "slak" })).toBe(
    'event_target_set: target.service: takes one of "ntfy", "slack", "discord", "telegram", "email"; it is "slak"',
  );
});
