// The work of one command in apply is bounded as a whole (security.md 24): costly patches are refused before the log or
// within their limit, at the largest documents, and what they may cost is printed beside the time that they took.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { contextOperations } from "../../src/features/context/index.ts";
import { MIGRATIONS } from "../../src/features/index.ts";
import { Fault } from "../../src/lib/fault.ts";
import { MAX_COMMAND_WORK, refuseWork, Work } from "../../src/lib/work.ts";
import { KNOWN_LEVEL } from "../../src/log/level.ts";
import type { AnyWrite, WriteLimits } from "../../src/operation/define.ts";
import { applierOf } from "../../src/operation/registry.ts";
import { versionAt, versionOf } from "../../src/operation/versions.ts";
import { Store, type Writer } from "../../src/store/store.ts";
import { startCore } from "../kit/core.ts";
import { computedMs } from "../kit/in-time.ts";
import { DEFAULT_WRITE_LIMITS } from "../kit/limits.ts";

const MIB = 1024 * 1024;
/** What one command may spend, with what it may clean up besides. */
const MOST = MAX_COMMAND_WORK + 16_000_000;
const LIMITS: WriteLimits = {
  ...DEFAULT_WRITE_LIMITS,
  maxDocumentBytes: 4 * MIB,
  quota: { callerBytes: 0, spaceBytes: 0 },
};

const costlyEdits = Array.from({ length: 64 }, (_, at) => ({
  op: "replace",
  old_text: at % 2 === 0 ? "a" : "b",
  new_text: at % 2 === 0 ? "b" : "a",
  expected_count: 1_000_000,
}));

describe("a patch of 64 times a million replacements", () => {
  test("is refused before the log, alone and as parts of context_many", async () => {
    await using core = startCore();
    await core.call("context_put", { id: "s/a", content: "a".repeat(1_000_000) });
    const before = core.log.position().seq;
    const many = costlyEdits.map((edit) => ({ operation: "context_patch", id: "s/a", format: "edit", patch: [edit] }));
    for (const call of [
      () => core.call("context_patch", { id: "s/a", format: "edit", patch: costlyEdits }),
      () => core.call("context_many", { writes: many }),
    ]) {
      const startMs = computedMs();
      await expect(call()).rejects.toMatchObject({
        code: "too_large",
        message: expect.stringContaining(`${MAX_COMMAND_WORK} units of work`),
        details: { limit: MAX_COMMAND_WORK },
      });
      expect(computedMs() - startMs).toBeLessThan(1_000);
    }
    expect(core.log.position().seq).toBe(before);
  });

  test("that says nothing of its work is refused within the limit in apply", async () => {
    await using core = startCore({ maxDocumentBytes: 4 * MIB });
    await core.call("context_put", { id: "s/a", content: "a".repeat(4_000_000) });
    // Small, one place each, and every one looks through the whole text.
    const patch = Array.from({ length: 1000 }, () => ({ op: "append", text: "x" }));
    await expect(core.call("context_patch", { id: "s/a", format: "edit", patch })).rejects.toMatchObject({
      code: "too_large",
    });
  });

  test("has its old outcome in version 1, which a log may hold", () => {
    const patch = find("context_patch");
    expect([versionAt(patch, 1).v, versionAt(patch, 1).maxWork]).toEqual([1, undefined]);
    expect([versionAt(patch, 2).v, versionAt(patch, 2).maxWork]).toEqual([2, MAX_COMMAND_WORK]);
    expect([versionAt(patch, KNOWN_LEVEL).v, versionAt(patch, KNOWN_LEVEL).maxWork]).toEqual([3, MAX_COMMAND_WORK]);
    expect(versionOf(patch, 4)).toBeUndefined();
    const edits = [{ op: "replace", old_text: "a", new_text: "b", expected_count: 1_000_000 }];
    const store = openStore();
    const run = (v: number, limit?: number) => {
      const version = versionOf(patch, v);
      if (version === undefined) throw new Error(`no version ${v}`);
      const command = patch.prepare({ id: "s/a", format: "edit", patch: edits }, LIMITS);
      return store.transaction((tx) => version.apply(tx, command, stampOf(new Work(limit ?? version.maxWork))).output);
    };
    store.transaction((tx) => write(tx, "context_put", { id: "s/a", content: "a".repeat(1_000_000) }));
    expect(run(1)).toMatchObject({ version: 2 });
    expect(() => run(2, 1000)).toThrow("1000 units of work");
    store.close();
  });
});

describe("the work of a command in apply", () => {
  const patch = find("context_patch");
  const command = (input: unknown) => ({ name: "context_patch", v: patch.v, input, caller: "a", via: "", key: "" });
  const applied = (changes: Partial<AnyWrite>, spends: number) => {
    const apply: AnyWrite["apply"] = (_tx, _input, stamp) => {
      stamp.work.spend(spends);
      return { output: {}, changes: [] };
    };
    const run = applierOf([{ ...patch, maxWork: 10, ...changes, apply }]);
    const store = openStore();
    const stamp = { timeMs: 0, caller: "a", via: "", seq: 1, level: KNOWN_LEVEL };
    try {
      return store.transaction((tx) => run(tx, command({}), stamp));
    } finally {
      store.close();
    }
  };
  const tooLarge = expect.objectContaining({ code: "too_large" });

  test("is judged with the state before it begins", () => {
    const work = (_input: unknown, reader?: unknown) => (reader === undefined ? 0 : 11);
    expect(() => applied({ work }, 0)).toThrow(tooLarge);
  });

  test("has the limit of its version while it runs", () => {
    expect(() => applied({ work: () => 0 }, 11)).toThrow(tooLarge);
    expect(applied({ work: () => 10 }, 10).changes).toEqual([]);
  });
});

test("apply judges state alone: what only a schema refuses is refused before the log", () => {
  const store = openStore();
  store.transaction((tx) => write(tx, "context_put", { id: "s/a", content: "a" }));
  store.transaction((tx) => write(tx, "context_put", { id: "s/j", content: { n: 0 } }));
  const operation = find("context_patch");
  const run = (id: string, format: string, patch: unknown) =>
    store.transaction((tx) => {
      const command = operation.prepare({ id, format: "merge", patch: {} }, LIMITS);
      return operation.apply(tx, { ...(command as object), format, patch: JSON.stringify(patch) }, stampOf(new Work()));
    });
  // As a build with other bounds could have accepted them.
  const edits = [{ op: "replace", old_text: "a", new_text: "b", expected_count: 1_000_001 }];
  expect(() => run("s/a", "edit", edits)).toThrow(expect.objectContaining({ code: "patch_failed" }));
  const steps = Array.from({ length: 1001 }, (_, at) => ({ op: "replace", path: "/n", value: at }));
  expect(run("s/j", "json-patch", steps).output).toMatchObject({ version: 2 });
  store.close();
});

/** Documents of about 4 MiB, each of which makes something else expensive. */
const DOCUMENTS: Readonly<Record<string, () => unknown>> = {
  "w/text": () => "ab".repeat(2 * MIB - 10),
  "w/keys": () => Object.fromEntries(Array.from({ length: 100_000 }, (_, at) => [`${at.toString(36)}x`, 0])),
  "w/zeros": () => ({ x: Array(1_000_000).fill(0), y: [] }),
  "w/objects": () => ({ x: Array.from({ length: 100_000 }, (_, at) => ({ [`k${at}`]: [] })) }),
  "w/numbers": () => ({ x: "1e5", y: Array.from({ length: 200_000 }, (_, at) => at + 0.1234567890123456) }),
  "w/strings": () => ({ x: "s".repeat(3 * MIB), y: {}, z: ["\\n".repeat(100_000)] }),
};
const IDS = Object.keys(DOCUMENTS);

const anyId = fc.constantFrom(...IDS);
const edit = fc.oneof(
  fc.record({ op: fc.constant("append"), text: fc.constantFrom("x", "y".repeat(1000)) }),
  fc.record({ op: fc.constant("prepend"), text: fc.constant("x") }),
  fc.record({
    op: fc.constant("replace"),
    old_text: fc.constantFrom("a", "b", "ab", "ba".repeat(20), "ab".repeat(50), "x"),
    new_text: fc.constantFrom("a", "b", "", "ab"),
    expected_count: fc.constantFrom(1, 1000, 1_000_000, 2 * MIB - 10),
  }),
);
const path = fc.constantFrom("/x", "/y", "/z", "/y/-", "/x/0", "/n", "");
const step = fc.oneof(
  fc.record({ op: fc.constantFrom("copy", "move"), from: path, path }),
  fc.record({ op: fc.constantFrom("add", "replace", "test"), path, value: fc.constantFrom<unknown>(0, {}, []) }),
  fc.record({ op: fc.constant("remove"), path }),
);
const patch = fc.oneof(
  fc.record({ id: anyId, format: fc.constant("edit"), patch: repeated(edit) }),
  fc.record({ id: anyId, format: fc.constant("json-patch"), patch: repeated(step) }),
  fc.record({
    id: anyId,
    format: fc.constant("merge"),
    patch: fc.constantFrom(
      { x: null },
      Object.fromEntries(Array.from({ length: 50_000 }, (_, at) => [`${at.toString(36)}x`, null])),
    ),
  }),
);
const restore = fc.record({ id: anyId, version: fc.constant(1) });
const part = fc.oneof(
  patch.map((input) => ({ operation: "context_patch", ...input })),
  restore.map((input) => ({ operation: "context_restore", ...input })),
  anyId.map((id) => ({ operation: "context_put", id, content: "small" })),
  anyId.map((id) => ({ operation: "context_delete", id })),
);
const anyCommand = fc.oneof(
  { weight: 4, arbitrary: patch.map((input) => ["context_patch", input] as const) },
  { weight: 1, arbitrary: restore.map((input) => ["context_restore", input] as const) },
  { weight: 3, arbitrary: repeated(part, 64).map((writes) => ["context_many", { writes }] as const) },
  { weight: 1, arbitrary: anyId.map((id) => ["context_purge", { id }] as const) },
  {
    weight: 1,
    arbitrary: fc.constant(["history_compact", { cuts: IDS.map((id) => [id, 100] as [string, number]) }] as const),
  },
);

/** One to three values over and over: what is costly once is asked up to a thousand times. */
function repeated<T>(value: fc.Arbitrary<T>, most = 1000): fc.Arbitrary<T[]> {
  return fc
    .tuple(fc.array(value, { minLength: 1, maxLength: 3 }), fc.constantFrom(1, 8, 64, 1000))
    .map(([values, times]) =>
      Array.from({ length: Math.min(times, most) }, (_, at) => values[at % values.length] as T),
    );
}

describe("at the largest documents", () => {
  let store: Store;
  let worst = { units: 0, ms: 0, nsPerUnit: 0 };

  beforeAll(() => {
    store = openStore();
    store.transaction((tx) => {
      for (const [id, content] of Object.entries(DOCUMENTS)) {
        write(tx, "context_put", { id, content: content() });
        for (let version = 2; version <= 20; version++) write(tx, "context_restore", { id, version: 1 });
      }
    });
  });
  afterAll(() => {
    store.close();
    console.log(
      `costliest command: ${(worst.units / 1e6).toFixed(0)} million units; longest ${worst.ms.toFixed(0)} ms of CPU; ` +
        `most ${worst.nsPerUnit.toFixed(2)} ns a unit`,
    );
  });

  /** Applies a command as the log does. Returns the units that it spent; 0 where it was refused. */
  function spentBy(name: string, input: unknown, limited: boolean): number {
    const operation = find(name);
    const version = versionAt(operation, KNOWN_LEVEL);
    const command = prepared(operation, input);
    if (command === undefined) return 0;
    if ((operation.work?.(command) ?? 0) > (operation.maxWork ?? Number.POSITIVE_INFINITY)) return 0;
    const work = new Work(limited ? version.maxWork : undefined);
    const before = process.cpuUsage();
    class Undone extends Error {}
    let isAccepted = false;
    try {
      store.transaction((tx) => {
        if (limited) refuseWork(version.work?.(command, tx) ?? 0, MAX_COMMAND_WORK);
        version.apply(tx, command, stampOf(work));
        isAccepted = true;
        throw new Undone();
      });
    } catch (error) {
      if (!(error instanceof Undone) && !(error instanceof Fault)) throw error;
    }
    const { user, system } = process.cpuUsage(before);
    const ms = (user + system) / 1000;
    worst = {
      units: Math.max(worst.units, work.spent),
      ms: Math.max(worst.ms, ms),
      nsPerUnit: work.spent < 20_000_000 ? worst.nsPerUnit : Math.max(worst.nsPerUnit, (ms * 1e6) / work.spent),
    };
    return isAccepted ? work.spent : 0;
  }

  const holds = (limited: boolean, numRuns: number) =>
    fc.assert(
      fc.property(anyCommand, ([name, input]) => {
        expect(spentBy(name, input, limited)).toBeLessThanOrEqual(MOST);
      }),
      { numRuns, seed: 7, endOnFailure: true },
    );

  test("no accepted command spends more than the limit", () => holds(true, 60), 240_000);

  test("a build without the limit is found out by the same commands", () => {
    expect(() => holds(false, 60)).toThrow("Property failed");
  }, 240_000);
});

function find(name: string): AnyWrite {
  const operation = contextOperations.find((each) => each.name === name);
  if (operation?.kind !== "write") throw new Error(`no write ${name}`);
  return operation;
}

/** Returns the command; undefined where its input is refused, as for its size. */
function prepared(operation: AnyWrite, input: unknown): unknown {
  try {
    return operation.prepare(operation.input.parse(input), LIMITS);
  } catch (error) {
    if (error instanceof Fault) return undefined;
    throw error;
  }
}

function stampOf(work: Work) {
  return { timeMs: 1_763_600_000_000, caller: "ann@example.com", via: "", seq: 1, level: KNOWN_LEVEL, work };
}

/** Applies a write inside the open transaction. */
function write(tx: Writer, name: string, input: unknown): void {
  const operation = find(name);
  const command = operation.prepare(operation.input.parse(input), LIMITS);
  operation.apply(tx, command, stampOf(new Work()));
}

function openStore(): Store {
  const folder = mkdtempSync(join(tmpdir(), "cairn-work-"));
  process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
  return Store.open({ folder, migrations: MIGRATIONS, log: () => {} });
}
