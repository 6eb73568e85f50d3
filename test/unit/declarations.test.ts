// Declarations: which version of a context is in force, that a wrong one leaves the last good one, that this follows
// from the log alone, and how they are applied from files.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { z } from "zod";
import { MAX_WRONG } from "../../src/features/declare/judge.ts";
import { declarationSettle } from "../../src/features/declare/settle.ts";
import type { DeclaredKind } from "../../src/operation/declared-kind.ts";
import { declaredRow } from "../../src/operation/declared-rows.ts";
import { agreesToRun } from "../../src/operation/fleet-run.ts";
import { callerWith, granted } from "../kit/core.ts";
import { LAMP, startDeclarations } from "../kit/declarations.ts";
import { eventually } from "../kit/eventually.ts";
import { refusal } from "../kit/refusal.ts";
import { temporaryFolder } from "../kit/temporary.ts";

let node: ReturnType<typeof startDeclarations>;
beforeEach(() => {
  node = startDeclarations();
});
afterEach(() => node[Symbol.asyncDispose]());

const inForce = (name: string, version: number | undefined) =>
  eventually(`${name} at ${version}`, () => node.lamps()[name]?.version === version, {
    seen: () => JSON.stringify([node.lamps(), node.conditionText("declaration_refused")]),
  });
const refused = () => eventually("a refusal", () => node.conditionText("declaration_refused"));

describe("what is in force", () => {
  test("a good version is, with the defaults of its kind, and its listeners are told", async () => {
    let told = 0;
    node.declarations.onNews(() => {
      told += 1;
    });
    await node.declare("desk", { watts: 40 });
    await inForce("desk", 1);
    expect(node.lamps()).toEqual({ desk: { version: 1, watts: 40, room: "hall" } });
    expect(told).toBeGreaterThan(0);
    expect(node.declarations.list(LAMP)).toBe(node.declarations.list(LAMP));
    await node.call("context_delete", { id: "fleet/lamps/desk" });
    await inForce("desk", undefined);
  });

  test("a text is parsed once, whatever else is declared", async () => {
    const value = () => node.declarations.list(LAMP).find(({ name }) => name === "desk")?.value;
    await node.declare("desk", { watts: 40 });
    await inForce("desk", 1);
    const parsed = value();
    await node.declare("lobby", { watts: 10 });
    await inForce("lobby", 1);
    expect(value()).toBe(parsed);
    await node.declare("desk", { watts: 50 });
    await inForce("desk", 2);
    expect(value()).toEqual({ watts: 50, room: "hall" });
  });

  test.each<[unknown, string]>([
    [{ watts: 0 }, "watts"],
    [{ watts: "many" }, "watts"],
    [{}, "watts is missing"],
    [{ watts: 40, color: "red" }, "color"],
    [[40], "it is no JSON object"],
    ["forty watts", "it is no JSON object"],
    [`{"watts": 40, "room": "${"x".repeat(70_000)}"}`, "at most 65536"],
  ])("after %j the last good one stays, and a condition says why", async (wrong, why) => {
    await node.declare("desk", { watts: 40 });
    await inForce("desk", 1);
    await node.declare("desk", wrong);
    const text = await refused();
    expect(text).toContain("fleet/lamps/desk version 2: ");
    expect(text).toContain(why);
    expect(text).toContain("(version 1 stays in force)");
    expect(node.conditions.list(() => false)[0]?.text).toBe("1 declaration is refused");
    expect(node.lamps()).toEqual({ desk: { version: 1, watts: 40, room: "hall" } });
    const { declarations } = await node.call("declaration_list", { kind: "lamp" });
    expect(declarations).toMatchObject([{ name: "desk", in_force: 1, newest: 2, declared: { watts: 40 } }]);
    expect(String((declarations as { problem: string }[])[0]?.problem)).toContain(why);
    await node.call("context_restore", { id: "fleet/lamps/desk", version: 1 });
    await inForce("desk", 3);
    await eventually("the condition ends", () => node.conditionText("declaration_refused") === undefined);
  });

  test("the first version of a name may be wrong: nothing is in force", async () => {
    await node.declare("bomb", { watts: 40 });
    expect(await refused()).toContain("this is no lamp (nothing of it is in force)");
    await node.declare("Desk", { watts: 40 });
    await eventually("the name", () => node.conditionText("declaration_refused")?.includes("its name takes"));
    expect(node.lamps()).toEqual({});
    expect((await node.call("declaration_list", {}))["declarations"]).toHaveLength(2);
  });

  test("what only some may read, and what is elsewhere, is none", async () => {
    await node.declare("desk", { watts: 60 }, { visibility: "private" });
    await node.call("context_put", { id: "fleet/notes/desk", content: { watts: 1 } });
    await node.call("context_put", { id: "team-a/lamps/desk", content: { watts: 1 } });
    await node.declare("lobby", { watts: 10 });
    await inForce("lobby", 1);
    expect(Object.keys(node.lamps())).toEqual(["lobby"]);
    expect(node.conditionText("declaration_refused")).toBeUndefined();
  });

  test("pruning and later versions leave the text that is in force, and a purge removes it", async () => {
    await node.declare("desk", { watts: 40, room: "secret-room" });
    await inForce("desk", 1);
    await node.declare("desk", { watts: -1 });
    await refused();
    expect(declaredRow(node.store.reader, "fleet/lamps/desk")?.text).toContain("secret-room");
    await node.call("context_purge", { id: "fleet/lamps/desk", versions: [1] });
    expect(declaredRow(node.store.reader, "fleet/lamps/desk")).toBeUndefined();
    await inForce("desk", undefined);
    expect(await node.call("audit_verify", {})).toMatchObject({ ok: true });
  });

  test("a purge of the refused version takes the words about it", async () => {
    await node.declare("desk", { watts: 40 });
    await inForce("desk", 1);
    await node.declare("desk", { watts: "secret-watts" });
    await refused();
    await node.declare("desk", { watts: "other" });
    await eventually("version 3", () => node.conditionText("declaration_refused")?.includes("version 3"));
    await node.call("context_purge", { id: "fleet/lamps/desk", versions: [3] });
    expect(declaredRow(node.store.reader, "fleet/lamps/desk")?.problem).not.toContain("other");
  });
});

describe("wrong ones", () => {
  const many = async (names: readonly string[], content: unknown) => {
    for (let at = 0; at < names.length; at += 64) {
      const writes = names.slice(at, at + 64).map((name) => {
        return { operation: "context_put", id: `fleet/lamps/${name}`, content };
      });
      await node.call("context_many", { writes });
    }
  };
  const rows = () => node.store.reader.get<{ count: number }>("SELECT COUNT(*) AS count FROM declarations")?.count;

  test("are kept up to a number; the others are counted, and judged when there is room", async () => {
    const names = Array.from({ length: MAX_WRONG + 5 }, (_, at) => `l${1000 + at}`);
    await many(names, { watts: 0 });
    const inAll = (count: number) =>
      eventually(`${count} in all`, () => node.conditionText("declaration_refused")?.includes(`(${count} in all)`), {
        seen: () => node.conditionText("declaration_refused"),
      });
    await inAll(MAX_WRONG + 5);
    expect(rows()).toBe(MAX_WRONG);
    // A new leader counts the same.
    node.lead(false);
    node.lead(true);
    await inAll(MAX_WRONG + 5);
    expect(rows()).toBe(MAX_WRONG);
    await node.declare("l1504", { watts: 7 });
    await inForce("l1504", 2);
    await inAll(MAX_WRONG + 4);
    for (const name of ["l1000", "l1001"]) await node.call("context_delete", { id: `fleet/lamps/${name}` });
    await inAll(MAX_WRONG + 2);
    expect(rows()).toBe(MAX_WRONG + 1);
    expect(await node.call("audit_verify", {})).toMatchObject({ ok: true });
  });

  test("may have the longest ids, many at once: each is judged, and nothing is tried again and again", async () => {
    const names = Array.from({ length: 300 }, (_, at) => `${at}-`.padEnd(200, "€").slice(0, 160));
    await many(names, { watts: 1 });
    await eventually("all", () => rows() === 300, { seen: () => String(rows()) });
    const { seq } = node.log.position();
    await node.declare("desk", { watts: 40 });
    await inForce("desk", 1);
    expect(node.log.position().seq).toBe(seq + 2);
  });
});

describe("the judge", () => {
  test("is the leader: nothing is judged without one, and a new one judges what was missed", async () => {
    node.lead(false);
    await node.declare("desk", { watts: 40 });
    await node.declare("lobby", { watts: 400 });
    expect(node.lamps()).toEqual({});
    node.lead(true);
    await inForce("desk", 1);
    expect(await refused()).toContain("fleet/lamps/lobby");
    node.lead(false);
    await node.call("context_delete", { id: "fleet/lamps/desk" });
    node.lead(true);
    await inForce("desk", undefined);
  });

  test("judges a refused one again where a later build takes it, and leaves what this build no longer takes", async () => {
    const folder = temporaryFolder();
    const build = async (kind: DeclaredKind, use: (at: ReturnType<typeof startDeclarations>) => Promise<void>) => {
      await using at = startDeclarations({ folder, kinds: [kind] });
      await use(at);
    };
    await build(LAMP, async (at) => {
      await at.declare("desk", { watts: 40 });
      await at.declare("lobby", { watts: 400 });
      await eventually("one in force", () => at.lamps()["desk"] && at.conditionText("declaration_refused"));
    });
    const later: DeclaredKind = { ...LAMP, schema: z.strictObject({ watts: z.number().min(50) }) };
    await build(later, async (at) => {
      const names = () => at.declarations.list(later).map(({ name }) => name);
      await eventually("the other", () => names().length === 1);
      expect(names()).toEqual(["lobby"]);
      expect(at.conditionText("declaration_unreadable")).toContain("fleet/lamps/desk: watts");
      expect(declaredRow(at.store.reader, "fleet/lamps/desk")).toMatchObject({ version: 1, problem: "" });
    });
  });

  test("a judgement is written once, and one that is so already changes nothing", async () => {
    await node.declare("desk", { watts: 40 });
    await inForce("desk", 1);
    const { seq } = node.log.position();
    node.lead(false);
    node.lead(true);
    await node.declare("lobby", { watts: 40 });
    await inForce("lobby", 1);
    expect(node.log.position().seq).toBe(seq + 2);
    const row = declaredRow(node.store.reader, "fleet/lamps/desk");
    if (row === undefined) throw new Error("no row");
    const same = { id: row.id, version: 1, hash: row.hash, problem: "", text: row.text };
    const { name, v } = declarationSettle;
    const command = { name, v, input: { settled: [same] }, caller: "node", via: "", key: "" };
    expect((await node.log.propose(command)).output).toEqual({ changed: 0 });
  });

  test("its command is replayed to the same rows", async () => {
    const commands = [
      { id: "fleet/lamps/a", version: 1, hash: "h1", problem: "", text: "{}" },
      { id: "fleet/lamps/a", version: 2, hash: "h2", problem: "wrong", text: "" },
      { id: "fleet/lamps/b", version: 1, hash: "h3", problem: "wrong", text: "" },
      { id: "fleet/lamps/c", version: 1, hash: "h4", problem: "", text: "{}" },
      { id: "fleet/lamps/c", version: 0, hash: "", problem: "", text: "" },
    ];
    const rows = async () => {
      await using other = startDeclarations({ nowMs: () => 1_800_000_000_000 });
      other.lead(false);
      for (const each of commands) {
        const { name, v } = declarationSettle;
        await other.log.propose({ name, v, input: { settled: [each] }, caller: "node", via: "", key: "" });
      }
      return other.store.reader.all("SELECT * FROM declarations ORDER BY id");
    };
    const first = await rows();
    expect(first).toMatchObject([
      { id: "fleet/lamps/a", version: 1, hash: "h1", judged: 2, problem: "wrong" },
      { id: "fleet/lamps/b", version: 0, text: "", judged: 1, problem: "wrong" },
    ]);
    expect(await rows()).toEqual(first);
  });
});

test("rights are those of the space fleet", async () => {
  const reader = granted({ role: "reader", spaces: ["fleet"] });
  const operator = granted({ role: "operator", spaces: ["fleet", "*"] });
  await node.declare("desk", { watts: 40 });
  await inForce("desk", 1);
  expect((await node.call("declaration_list", {}, reader))["declarations"]).toHaveLength(1);
  const declarations = [{ kind: "lamp", name: "desk", declared: { watts: 50 } }];
  expect(await node.call("declaration_plan", { declarations }, operator)).toMatchObject({ differs: true });
  for (const caller of [reader, operator]) {
    expect((await refusal(node.call("declaration_apply", { declarations }, caller))).code).toBe("forbidden");
    const put = node.call("context_put", { id: "fleet/lamps/desk", content: {} }, caller);
    expect((await refusal(put)).code).toBe("forbidden");
  }
  for (const operation of ["declaration_list", "declaration_kinds"])
    expect((await refusal(node.call(operation, {}, callerWith()))).code).toBe("forbidden");
});

describe("declaration_apply", () => {
  const apply = (declarations: object[], more: object = {}) =>
    node.call("declaration_apply", { declarations, ...more });
  const planned = (declarations: object[], more: object = {}) =>
    node.call("declaration_plan", { declarations, ...more });
  const lamp = (name: string, watts: unknown) => ({ kind: "lamp", name, declared: { watts } });

  test("plans, writes what differs with the etags of the plan, and prunes only where it is asked", async () => {
    await node.declare("old", { watts: 1 });
    await node.declare("desk", '{"watts":40}', { content_type: "application/json" });
    const wanted = [lamp("desk", 60), lamp("lobby", 10)];
    const plan = await planned(wanted, { prune: true });
    expect(plan).toMatchObject({
      differs: true,
      steps: [
        { name: "desk", action: "change" },
        { name: "lobby", action: "create" },
        { name: "old", action: "remove" },
      ],
    });
    const [change] = plan["steps"] as { diff: string }[];
    expect(change?.diff).toContain('-  "watts": 40');
    expect(change?.diff).toContain('+  "watts": 60');
    expect(await apply(wanted)).toMatchObject({ applied: true });
    await inForce("lobby", 1);
    await inForce("desk", 2);
    expect(node.lamps()["old"]).toBeDefined();
    expect(await apply(wanted)).toMatchObject({
      applied: false,
      steps: [{ action: "unchanged" }, { action: "unchanged" }],
    });
    expect(await apply(wanted, { prune: true })).toMatchObject({ applied: true });
    await inForce("old", undefined);
  });

  test("refuses all where one is wrong, and names every one", async () => {
    const { code, message } = await refusal(apply([lamp("a", 0), lamp("b", 40), lamp("c", "x"), lamp("b", 41)]));
    expect(code).toBe("invalid_input");
    expect(message).toContain("lamp a: watts");
    expect(message).toContain("lamp c: watts");
    expect(message).toContain("lamp b: it is there twice");
    const other = await refusal(apply([{ kind: "fridge", name: "a", declared: {} }]));
    expect(other.message).toContain('no kind of declarations "fridge"');
    expect((await node.call("context_list", { prefix: "fleet/" }))["contexts"]).toEqual([]);
  });

  test("names where a wrong one is from, and judges the text as it will be kept", async () => {
    const from = { ...lamp("a", 0), source: "lamps/hall.yaml" };
    expect((await refusal(apply([from]))).message).toContain("lamp a (lamps/hall.yaml): watts");
    // As it is kept, with line ends and blanks, it is longer than a declaration may be.
    const long = { kind: "lamp", name: "b", declared: { watts: 1, more: Array(10_000).fill(1) } };
    expect((await refusal(apply([long]))).message).toContain("a declaration has at most 65536");
    expect((await node.call("context_list", { prefix: "fleet/" }))["contexts"]).toEqual([]);
  });

  test("prunes most of a kind only where that is meant", async () => {
    await apply(["a", "b", "c", "d"].map((name) => lamp(name, 10)));
    await eventually("all in force", () => Object.keys(node.lamps()).length === 4);
    const refused = await refusal(apply([lamp("a", 20), lamp("e", 1)], { prune: true }));
    expect(refused.code).toBe("invalid_input");
    expect(refused.message).toBe("prune would remove 3 of 4 lamp declarations");
    expect(refused.hint).toContain("prune_most");
    expect((await planned([lamp("a", 20)], { prune: true }))["differs"]).toBe(true);
    expect((await node.call("context_get", { id: "fleet/lamps/a" }))["version"]).toBe(1);
    expect(await apply([lamp("a", 10), lamp("b", 10)], { prune: true })).toMatchObject({ applied: true });
    await eventually("two", () => Object.keys(node.lamps()).length === 2);
    expect(await apply([lamp("z", 1)], { prune: true, prune_most: true })).toMatchObject({ applied: true });
    await eventually("one", () => Object.keys(node.lamps()).join() === "z");
  });

  test("writes nothing that is not as the plan saw it", async () => {
    await node.declare("desk", { watts: 40 });
    const wanted = [lamp("desk", 60), lamp("lobby", 10)];
    const { steps } = await planned(wanted);
    const expected = (steps as { id: string; etag?: string }[]).map(({ id, etag }) => ({ id, ...(etag && { etag }) }));
    await node.declare("desk", { watts: 41 });
    expect((await refusal(apply(wanted, { expect: expected }))).code).toBe("version_mismatch");
    expect((await node.call("context_get", { id: "fleet/lamps/desk" }))["version"]).toBe(2);
    const again = await planned(wanted);
    const seen = (again["steps"] as { id: string; etag?: string }[]).map(({ id, etag }) => ({
      id,
      ...(etag && { etag }),
    }));
    expect(await apply(wanted, { expect: seen })).toMatchObject({ applied: true });
  });

  test("takes more than one command can write", async () => {
    const many = Array.from({ length: 70 }, (_, at) => lamp(`l${at}`, 1 + at));
    expect(await apply(many)).toMatchObject({ applied: true });
    await eventually("all in force", () => Object.keys(node.lamps()).length === 70);
    expect(await apply(many)).toMatchObject({ applied: false });
  });

  test("a refusal names the fields of the kind, and how to see them", async () => {
    const { message, hint } = await refusal(apply([{ kind: "lamp", name: "desk", declared: { wats: 40 } }]));
    expect(message).toContain("lamp desk: ");
    expect(hint).toMatch(/Fields of the kind lamp: watts\b.*'\{"kind":"lamp"\}'/);
  });

  test("declaration_kinds says how they are written", async () => {
    const { kinds } = await node.call("declaration_kinds", { kind: "lamp" });
    expect(kinds).toMatchObject([
      { kind: "lamp", place: "fleet/lamps/NAME", example: { watts: 40 }, schema: { required: ["watts"] } },
    ]);
  });
});

test.each<[readonly string[], boolean]>([
  [[], false],
  [["*"], true],
  [["backup-check"], true],
  [["backup-*"], true],
  [["check"], false],
  [["probe/backup-check"], true],
  [["service/backup-check"], false],
  [["probe/*"], true],
  [["*check"], false],
  [["label:nightly"], true],
  [["label:night*"], true],
  [["label:daily"], false],
  [["nightly"], false],
])("a node with fleet.run %j agrees: %p", (entries, agrees) => {
  expect(agreesToRun(entries, { kind: "probe", name: "backup-check", labels: ["nightly"] })).toBe(agrees);
});
