// Rules of subscriptions: which one decides, what transforms make, sampling, rates, and the rules of tas-mcp.

import { expect, test } from "bun:test";
import fc from "fast-check";
import {
  type EventRecord,
  type Rule,
  RuleSet,
  rules,
  type Sender,
  tasDuration,
  tasRules,
} from "../../src/features/event/rules/index.ts";
import { transform } from "../../src/features/event/rules/transform.ts";
import { parseExact } from "../../src/lib/json-value.ts";

const record: EventRecord = {
  id: "e-1",
  source: "//build/ci",
  type: "build.failed",
  time: "2026-11-29T12:00:00Z",
  region: "eu",
  data: parseExact('{"title": "say \\"hi\\"\\n", "n": 9007199254740993, "a": {"b": 1}, "list": [1, 2, 3]}'),
};
const sender: Sender = { caller: "user:ann@example.com", tags: ["tag:ci"], node: "laptop" };
const always = () => true;

function decide(written: unknown, event: EventRecord = record, by: Sender = sender) {
  return new RuleSet(rules.parse(written)).decide(event, by, always);
}

function made(written: Rule["transform"], event: EventRecord = record): EventRecord {
  const verdict = decide([{ id: "r", transform: written }], event);
  if (verdict.outcome !== "forward") throw new Error(JSON.stringify(verdict));
  return verdict.record;
}

test("no rules take everything, and rules that take nothing nothing", () => {
  expect(decide([])).toEqual({ outcome: "forward", record, problems: [] });
  expect(decide([{ id: "off", enabled: false }])).toEqual({ outcome: "none", problems: [] });
});

test("the first rule that takes an event decides: by priority, then in their order", () => {
  const all = [
    { id: "low", priority: -1 },
    { id: "first", match: { conditions: [{ field: "type", operator: "eq", value: "other" }] }, priority: 9 },
    { id: "drop", match: { cel: 'event.region == "eu"' }, priority: 5, action: "drop" },
    { id: "same", priority: 5 },
  ];
  expect(decide(all)).toEqual({ outcome: "drop", rule: "drop", problems: [] });
  expect(decide(all, { ...record, region: "us" })).toMatchObject({ outcome: "forward", rule: "same" });
  expect(decide(all, { ...record, type: "other" })).toMatchObject({ outcome: "forward", rule: "first" });
});

test("a rule that fails takes nothing, says why, and leaves the event to the others", () => {
  const verdict = decide([
    { id: "broken", match: { cel: "event.data.missing == 1" }, priority: 1 },
    { id: "change", transform: { add_fields: { "data.title.x": 1 } } },
    { id: "last" },
  ]);
  expect(verdict).toMatchObject({ outcome: "forward", rule: "last" });
  expect(verdict.problems.map(({ rule }) => rule)).toEqual(["broken", "change"]);
  expect(verdict.problems[0]?.reason).toContain("No such key: missing");
});

test.each<[Rule["from"], boolean]>([
  [{ callers: ["user:ann@example.com"] }, true],
  [{ callers: ["user:bob@example.com"] }, false],
  [{ tags: ["tag:other", "tag:ci"] }, true],
  [{ tags: ["tag:other"] }, false],
  [{ nodes: ["laptop"], tags: ["tag:ci"] }, true],
  [{ nodes: ["desk"], tags: ["tag:ci"] }, false],
])("from %p takes the event: %p", (from, taken) => {
  expect(decide([{ id: "r", from }]).outcome).toBe(taken ? "forward" : "none");
});

test("what an event says of itself is no sender", () => {
  const claims = { ...record, cairncaller: "user:boss@example.com" };
  expect(decide([{ id: "r", from: { callers: ["user:boss@example.com"] } }], claims).outcome).toBe("none");
});

test("samples take their share, and the same events every time", () => {
  const set = new RuleSet(rules.parse([{ id: "r", sample: 0.2 }]));
  const larger = new RuleSet(rules.parse([{ id: "other", sample: 0.5 }]));
  const ids = Array.from({ length: 5000 }, (_, at) => `e-${at}`);
  const taken = (by: RuleSet) => ids.filter((id) => by.decide({ ...record, id }, sender, always).outcome === "forward");
  expect(taken(set).length / ids.length).toBeCloseTo(0.2, 1);
  expect(taken(set)).toEqual(taken(set));
  expect(taken(larger)).toEqual(expect.arrayContaining(taken(set)));
  expect(decide([{ id: "r", sample: 1 }]).outcome).toBe("forward");
  expect(decide([{ id: "r", sample: 0 }]).outcome).toBe("none");
});

test("events above a rate are left out", () => {
  const asked: unknown[] = [];
  const set = new RuleSet(rules.parse([{ id: "r", rate: { per_second: 0.5 } }, { id: "later" }]));
  const verdict = set.decide(record, sender, (...rate) => {
    asked.push(rate);
    return false;
  });
  expect(verdict).toEqual({ outcome: "limited", rule: "r", problems: [] });
  expect(asked).toEqual([["r", 0.5, 1]]);
});

test.each<[Rule["transform"], Partial<EventRecord>]>([
  [
    { remove_fields: ["data.a.b", "data.none", "region"] },
    { data: { ...(record.data as object), a: {} }, region: undefined },
  ],
  [{ remove_fields: ["data"] }, { data: undefined }],
  [{ rename_fields: { "data.a.b": "data.c.d" } }, { data: { ...(record.data as object), a: {}, c: { d: 1 } } }],
  [
    { rename_fields: { "data.list.0": "metadata.first", "data.missing": "type" } },
    { first: 1, data: { ...(record.data as object), list: [2, 3] } },
  ],
  [
    { add_fields: { type: "build.over", "metadata.Team": "core", "data.list.1": 9 } },
    { type: "build.over", team: "core", data: { ...(record.data as object), list: [1, 9, 3] } },
  ],
  [
    { template: '{"text": "{{type}}: {{data.title}}", "n": {{data.n}}, "no": {{data.missing}}, "a": "{{data.a}}"}' },
    {
      datacontenttype: "application/json",
      data: parseExact(
        '{"text": "build.failed: say \\"hi\\"\\n", "n": 9007199254740993, "no": null, "a": "{\\"b\\":1}"}',
      ),
    },
  ],
  [{ map: '{"text": event.type + "!"}' }, { datacontenttype: "application/json", data: { text: "build.failed!" } }],
  [
    { add_fields: { "data.title": "new" }, template: '"{{data.title}}"' },
    { datacontenttype: "application/json", data: "new" },
  ],
])("%j", (written, changes) => {
  const before = JSON.stringify(record);
  const expected = Object.entries({ ...record, ...changes }).filter(([, value]) => value !== undefined);
  expect(JSON.stringify(Object.entries(made(written)).toSorted())).toBe(JSON.stringify(expected.toSorted()));
  expect(JSON.stringify(record)).toBe(before);
});

test.each<[unknown, string, string]>([
  [{ add_fields: { id: "x" } }, "add_fields.id", "does not change"],
  [{ add_fields: { cairncaller: "user:x" } }, "add_fields.cairncaller", "does not change"],
  [{ remove_fields: ["metadata.cairnhops"] }, "remove_fields.0", "does not change"],
  [{ rename_fields: { "data.a": "timestamp" } }, "rename_fields", "time"],
  [{ template: '{"a": {{data.b}' }, "template", "without its }}"],
  [{ template: "{{data.b}} text" }, "template", "not JSON"],
  [{ template: '{"a": "{{nothing!}}"}' }, "template", "names a field"],
  [{ map: "event.x.matches('a')" }, "map", "regex"],
  [{ map: "{}", template: "{}" }, "map", "not both"],
  [{ script: "x" }, "", "script"],
])("%j is refused", (written, place, words) => {
  const { issues = [] } = transform.safeParse(written).error ?? {};
  expect(issues[0]?.path.join(".")).toStartWith(place);
  expect(JSON.stringify(issues)).toContain(words);
});

test("no text of an event leaves its place in a template", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), fc.json(), (text, value) => {
      const event = { ...record, data: { text, value: JSON.parse(value) } };
      const { data } = made({ template: '{"a": "{{data.text}}", "b": {{data.value}}, "c": "x{{data.value}}"}' }, event);
      const { a, b } = data as Record<string, unknown>;
      expect(a).toBe(text);
      expect(JSON.stringify(b)).toBe(JSON.stringify(JSON.parse(value)));
      expect(Object.keys(data as object)).toEqual(["a", "b", "c"]);
    }),
  );
});

test("rules have bounds, and each refusal names its place", () => {
  const issuesOf = (written: unknown) =>
    rules.safeParse(written).error?.issues.map(({ path, message }) => `${path.join(".")}: ${message}`) ?? [];
  expect(issuesOf([{ id: "a" }, { id: "a" }])).toEqual(["1.id: is the id of another rule too"]);
  expect(issuesOf([{ id: "a", match: { cel: "x" } }])[0]).toStartWith("0.match.cel: ");
  expect(issuesOf([{ id: "a", match: { conditions: [{ field: "x", operator: "gt", value: null }] } }])[0]).toStartWith(
    "0.match.conditions.0.value: ",
  );
  const long = { field: "type", operator: "eq", value: "x".repeat(1000) };
  const many = Array.from({ length: 4 }, (_, at) => ({ id: `r${at}`, match: { conditions: Array(32).fill(long) } }));
  expect(issuesOf(many)[0]).toContain("65536 bytes");
});

test("rules of tas-mcp are read by what they mean", () => {
  const read = tasRules.parse([
    {
      id: "critical",
      name: "Critical",
      enabled: true,
      priority: 10,
      conditions: [{ field: "event_type", operator: "eq", value: "critical" }],
      transform: { add_fields: { "metadata.seen": "yes" } },
      rate_limit: { requests_per_second: 10, burst_size: 20, window: "1s" },
      metadata: { owner: "x" },
    },
    { id: "windowed", conditions: null, rate_limit: { requests_per_second: 2, window: 30_000_000_000 } },
  ]);
  expect(read[0]).toMatchObject({ id: "critical", priority: 10, rate: { per_second: 10, burst: 20 } });
  expect(read[1]).toEqual({ id: "windowed", rate: { per_second: 2, burst: 60 } });
  expect(tasRules.parse(undefined)).toEqual([]);
  expect(tasRules.safeParse([{ id: "x", transform: { script: "y" } }]).success).toBe(false);
});

test.each<[unknown, number | undefined]>([
  ["30s", 30_000],
  ["1m30s", 90_000],
  ["1.5h", 5_400_000],
  ["250ms", 250],
  [30_000_000_000, 30_000],
  [0, 0],
  ["30", undefined],
  ["-1s", undefined],
  [-5, undefined],
])("the duration %p is %p ms", (written, ms) => {
  expect(tasDuration.safeParse(written).data).toBe(ms as number);
});

/** Rules whose conditions take long and hold for no event. */
function longRules(each: object, count: number): object[] {
  const conditions = [...Array(31).fill({ ...each, negate: true }), { field: "id", operator: "eq", value: "no" }];
  return Array.from({ length: count }, (_, at) => ({ id: `r${at}`, match: { conditions } }));
}

const longText = "ab".repeat(130_000);
const sum = (count: number) => `(${Array(count).fill("event.data.text").join(" + ")})`;

test.each<[string, object[], unknown]>([
  [
    "a value in a long list",
    longRules({ field: "data", operator: "contains", value: 1 }, 25),
    Array.from({ length: 250_000 }, (_, at) => `${at}.5`),
  ],
  [
    "patterns",
    longRules({ field: "data", operator: "regex", value: `(a|b)*${"(a|b)".repeat(9)}c` }, 18),
    "ab".repeat(32_000),
  ],
  ...["upperAscii().size() == 1", 'lastIndexOf("ba") == 1', 'indexOf("abba") == 1'].map(
    (end): [string, object[], unknown] => [
      end,
      Array.from({ length: 50 }, (_, at) => ({ id: `r${at}`, match: { cel: `${sum(10)}.${end}` } })),
      { text: longText },
    ],
  ),
  [
    "copies of a long list",
    Array.from({ length: 20 }, (_, at) => ({
      id: `r${at}`,
      transform: { remove_fields: Array(50).fill("data.list.0"), add_fields: { "data.list.x": 1 } },
    })),
    { list: Array(250_000).fill(1) },
  ],
])("all rules together end soon, and say so: %s", (_what, written, data) => {
  const set = new RuleSet(rules.parse(written));
  const start = performance.now();
  const verdict = set.decide({ ...record, data }, sender, always);
  expect(performance.now() - start).toBeLessThan(5000);
  expect(verdict.outcome).toBe("none");
  expect(verdict.problems.at(-1)?.reason).toBe("the rules take too long on this event");
});

test("fifty rules with ordinary conditions on a large event are no long ones", () => {
  const written = Array.from({ length: 50 }, (_, at) => ({
    id: `r${at}`,
    match: {
      conditions: [{ field: "data.text", operator: "contains", value: `x${at}`, negate: true }],
      cel: `event.data.list.exists(i, i.n == ${at}.5) && event.data.text.startsWith("b") && event.data.text == "y"`,
    },
  }));
  const data = { text: longText, list: Array.from({ length: 500 }, (_, n) => ({ n })) };
  expect(decide(written, { ...record, data })).toEqual({ outcome: "none", problems: [] });
});
