// Determinism: the same commands end in the same state to the last bit on another store, however they were cut into
// entries; and compaction, compression and feeds around it.

import { describe, expect, test } from "bun:test";
import { copyFileSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { contextOperations, Maintenance } from "../../src/features/context/index.ts";
import { DIGEST_TABLES, MIGRATIONS } from "../../src/features/index.ts";
import { leaseOperations } from "../../src/features/lease/index.ts";
import { sessionFeature } from "../../src/features/session/index.ts";
import { sha256Hex } from "../../src/lib/sha256.ts";
import { applyEntry, type BatchState } from "../../src/log/apply-batch.ts";
import { digestOf } from "../../src/log/digest.ts";
import { Duties } from "../../src/log/duties.ts";
import { encodeEntry, packCommand } from "../../src/log/entry.ts";
import { openHistory } from "../../src/log/history.ts";
import type { Command, Log } from "../../src/log/log.ts";
import type { WriteLimits } from "../../src/operation/define.ts";
import { operationsOf } from "../../src/operation/derive.ts";
import { applierOf } from "../../src/operation/registry.ts";
import { Services } from "../../src/operation/services.ts";
import { Store } from "../../src/store/store.ts";
import { type Core, startCore } from "../kit/core.ts";
import { DEFAULT_WRITE_LIMITS } from "../kit/limits.ts";
import { logWith } from "../kit/log-with.ts";
import { checkOutcomes } from "../kit/outcomes.ts";
import { anyWrite, IDS } from "../kit/writes.ts";

const LIMITS: WriteLimits = {
  maxDocumentBytes: 4096,
  history: { maxVersions: 4, maxDays: 1, keepHours: 0, spaces: { s1: { maxVersions: 0, maxDays: 0, keepHours: 0 } } },
  maxChanges: 0,
  quota: { callerBytes: 20_000, spaceBytes: 30_000 },
  maxOutcomeBytes: 1_500,
  events: {
    maxBytes: 1024 ** 2,
    keepMs: 0,
    keepCount: 0,
    keepBytes: 0,
    callerBytes: 0,
    spaceBytes: 0,
    dedupeSeconds: 3600,
  },
  blobs: { maxBytes: 1024, callerBytes: 0, spaceBytes: 0, copies: 1, keepMs: 1000 },
};
const operations = [...contextOperations, ...leaseOperations(new Services()), ...operationsOf([sessionFeature])];
const apply = applierOf(operations);

function maintenanceOf(
  core: Core,
  {
    log = core.log,
    limits,
    ...options
  }: Partial<Omit<MaintenanceOptions, "log" | "limits">> & { log?: Log; limits?: Partial<WriteLimits> } = {},
): Maintenance {
  const maintenance = new Maintenance({
    store: core.store,
    log: () => log,
    limits: () => ({ ...DEFAULT_WRITE_LIMITS, maxChanges: 0, ...limits }),
    nowMs: Date.now,
    onError: (error) => {
      throw error;
    },
    ...options,
  });
  log.onLeading((lead) => maintenance.lead(lead));
  return maintenance;
}

type MaintenanceOptions = ConstructorParameters<typeof Maintenance>[0];

/** Two stores that begin as the same file. */
function twins(): [Store, Store] {
  const [first, second] = [0, 1].map(() => mkdtempSync(join(tmpdir(), "cairn-replay-")));
  const open = (folder = "") => Store.open({ folder, migrations: MIGRATIONS, log: () => {} });
  const store = open(first);
  openHistory(store);
  store.close();
  open(second).close();
  copyFileSync(join(first ?? "", "1", "cairn.db"), join(second ?? "", "1", "cairn.db"));
  return [open(first), open(second)];
}

interface Timed {
  stampMs: number;
  commands: Command[];
}

/** Applies the groups, each cut at the places that `cuts` says; a cut entry keeps its stamp. */
function replay(store: Store, groups: readonly Timed[], cuts: readonly boolean[]): BatchState {
  let state: BatchState = openHistory(store);
  let at = 0;
  let ticket = 0;
  for (const { stampMs, commands } of groups) {
    const entries: Command[][] = [[]];
    for (const command of commands) {
      if (cuts[at++ % cuts.length] === true && (entries.at(-1)?.length ?? 0) > 0) entries.push([]);
      entries.at(-1)?.push(command);
    }
    for (const entry of entries) {
      const header = { level: 1, origin: "00".repeat(16), ticket: ticket++, stampMs };
      state = applyEntry(store, apply, state, encodeEntry(header, entry.map(packCommand))).state;
    }
  }
  const { epoch, seq, hash, logTimeMs, level, digest } = state;
  expect(digest?.count).toBe(at);
  return { epoch, seq, hash, logTimeMs, level, digest };
}

test("every table is part of the digest, or known to be this node's own", () => {
  const [store, other] = twins();
  const tables = store.reader.all<{ name: string }>(
    "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
  );
  expect(tables.map(({ name }) => name).sort()).toEqual([...DIGEST_TABLES.map(({ name }) => name), "refusals"].sort());
  store.close();
  other.close();
});

/** Few names and seqs, so that claims are met. */
const leaseName = fc.constantFrom("s0/l", "l");
const fenced = fc.record({ name: leaseName, seq: fc.integer({ min: 1, max: 12 }) });
const fence = ({ name, seq }: { name: string; seq: number }) => ({ name, fence: `${name}@1-${seq}` });
const anyLease = fc.oneof(
  fc.record({
    operation: fc.constant("lease_acquire"),
    input: fc.record({ name: leaseName, wait_seconds: fc.constantFrom(0, 3600), for: fc.constantFrom("", "x") }),
  }),
  fc.record({ operation: fc.constantFrom("lease_acquire", "lease_release"), input: fenced.map(fence) }),
  fc.record({ operation: fc.constant("lease_force"), input: fc.record({ name: leaseName }) }),
  fc.record({
    operation: fc.constant("lease_expire"),
    input: fenced.map(({ name, seq }) => ({ name, n: 1, seq, revision: seq })),
  }),
  fc.record({
    operation: fc.constant("context_put"),
    input: fenced.map((claim) => ({ id: IDS[0], content: "x", fence: fence(claim).fence })),
  }),
);

/** Ids are made of the seq of the change, so that those of few seqs are met. */
const session = fc.integer({ min: 1, max: 4 }).map((seq) => `s0/session_${sha256Hex(`session 1 ${seq}`).slice(0, 16)}`);
const message = fc.integer({ min: 1, max: 12 }).map((seq) => `m_${sha256Hex(`message 1 ${seq} 0`).slice(0, 12)}`);
const said = fc.constantFrom("x", "@a and @b", "long ".repeat(400));
const ofMessage = fc.record({ session, message });
const anySession = fc.oneof(
  fc.record({ operation: fc.constant("session_create"), input: fc.constant({ purpose: "p", space: "s0" }) }),
  fc.record({
    operation: fc.constant("message_post"),
    // What is refused before the log is in no entry.
    input: fc
      .record(
        {
          ...{ session, text: said, parent: message, ack: fc.boolean(), to: fc.constantFrom(["a"], ["c@x"]) },
          visibility: fc.constantFrom("public", "private", "admin_only"),
          metadata: fc.constant({ b: 1, a: "x" }),
        },
        { requiredKeys: ["session", "text"] },
      )
      .filter(({ visibility, ack, to }) => visibility !== "private" || ack !== true || to !== undefined),
  }),
  fc.record({
    operation: fc.constant("message_edit"),
    input: fc.tuple(ofMessage, said).map(([ids, text]) => ({ ...ids, text })),
  }),
  fc.record({ operation: fc.constant("message_retract"), input: ofMessage }),
  fc.record({
    operation: fc.constantFrom("message_ack", "message_purge"),
    input: ofMessage.map((ids) => ({ session: ids.session, messages: [ids.message] })),
  }),
  fc.record({
    operation: fc.constantFrom("session_join", "session_close", "session_reopen", "session_purge"),
    input: fc.record({ session }),
  }),
);

const anyCommand = fc.oneof(
  { weight: 9, arbitrary: anyWrite },
  { weight: 6, arbitrary: anyLease },
  { weight: 9, arbitrary: anySession },
  fc.record({
    operation: fc.constant("history_compact"),
    input: fc.record({
      cuts: fc.array(fc.tuple(fc.constantFrom(...IDS), fc.integer({ min: 1, max: 8 })), { maxLength: 3 }),
    }),
  }),
  fc.record({ operation: fc.constant("context_expire"), input: fc.constant({}) }),
  fc.record({
    operation: fc.constant("context_put"),
    input: fc.record({
      id: fc.constantFrom(...IDS),
      content: fc.constantFrom(1, "text"),
      expires_in: fc.constantFrom(1, 60, 40_000),
      supersedes: fc.constantFrom([], ["s0/other", "other"]),
    }),
  }),
  fc.record({
    operation: fc.constant("context_put"),
    input: fc.record(
      {
        id: fc.constantFrom(...IDS, "s0/own", "own"),
        content: fc.constantFrom(1, "text"),
        visibility: fc.constantFrom("public", "private", "admin_only"),
        supersedes: fc.constantFrom([], ["s0/other", "other"]),
      },
      { requiredKeys: ["id", "content", "visibility"] },
    ),
  }),
  fc.record({
    operation: fc.constant("changes_compact"),
    input: fc.record({ floor: fc.integer({ min: 0, max: 30 }) }),
  }),
);

test("what a compaction removes does not hang on how commands were cut into entries", () => {
  const [one, other] = twins();
  const command = (name: string, input: unknown): Command => {
    const operation = contextOperations.find((candidate) => candidate.name === name);
    if (operation?.kind !== "write") throw new Error(name);
    const prepared = operation.prepare(operation.input.parse(input), LIMITS);
    return { name, v: operation.v, input: prepared, caller: "node", via: "", key: "" };
  };
  const put = command("context_put", { id: "s0/a", content: 1 });
  const commands = [put, put, put, command("changes_compact", { floor: 2 }), put];
  const first = replay(one, [{ stampMs: 1_700_000_000_000, commands }], [false]);
  expect(replay(other, [{ stampMs: 1_700_000_000_000, commands }], [true])).toEqual(first);
  expect(one.reader.get("SELECT seq, floor FROM head")).toEqual({ seq: 5, floor: 2 });
  expect(digestOf(other.reader, DIGEST_TABLES)).toBe(digestOf(one.reader, DIGEST_TABLES));
  one.close();
  other.close();
});

test("any commands, cut into entries anyhow, end in the same digest on two stores", () => {
  const group = fc.record({
    afterMs: fc.constantFrom(0, 1, 1000, 13 * 60 * 60 * 1000),
    writes: fc.array(
      fc.record({
        write: anyCommand,
        caller: fc.constantFrom("user:a", "user:b"),
        key: fc.constantFrom("", "", "k1", "k2", "k3", "k4"),
        nodeKey: fc.boolean(),
      }),
      {
        minLength: 1,
        maxLength: 8,
      },
    ),
  });
  fc.assert(
    fc.property(
      fc.array(group, { minLength: 1, maxLength: 8 }),
      fc.array(fc.boolean(), { minLength: 1, maxLength: 20 }),
      (plan, cuts) => {
        let stampMs = 1_700_000_000_000;
        const groups = plan.map(({ afterMs, writes }) => {
          stampMs += afterMs;
          const commands = writes.map(({ write, caller, key, nodeKey }): Command => {
            const operation = operations.find((candidate) => candidate.name === write.operation);
            if (operation?.kind !== "write") throw new Error(write.operation);
            const input = operation.input.parse(write.input);
            return {
              ...{
                name: operation.name,
                v: operation.v,
                input: operation.prepare(input, LIMITS),
                caller,
                via: "",
                key,
              },
              ...{ inputHash: "0".repeat(64), outcomeBytes: LIMITS.maxOutcomeBytes },
              ...(nodeKey ? { nodeKey } : {}),
            };
          });
          return { stampMs, commands };
        });
        const [one, other] = twins();
        const first = replay(one, groups, [false]);
        const second = replay(other, groups, cuts);
        expect(second).toEqual(first);
        expect(digestOf(other.reader, DIGEST_TABLES)).toBe(digestOf(one.reader, DIGEST_TABLES));
        checkOutcomes(one.reader);
        one.close();
        other.close();
      },
    ),
    { numRuns: 25 },
  );
}, 60_000);

describe("maintenance", () => {
  test("removes what lowered limits no longer keep, by commands in the audit, and a chain that verifies", async () => {
    await using core = startCore({ limits: { history: { maxVersions: 0, maxDays: 0, keepHours: 0, spaces: {} } } });
    for (let i = 0; i < 60; i++)
      await Promise.all(
        Array.from({ length: 50 }, (_, at) => core.call("context_put", { id: `s${at % 2}/x${at}`, content: i })),
      );
    const limits = {
      ...DEFAULT_WRITE_LIMITS,
      history: {
        maxVersions: 10,
        maxDays: 0,
        keepHours: 0,
        spaces: { s1: { maxVersions: 0, maxDays: 0, keepHours: 0 } },
      },
    };
    await maintenanceOf(core, { limits }).compactHistory();
    expect(core.store.reader.get("SELECT COUNT(*) AS n FROM versions")).toEqual({ n: 25 * 10 + 25 * 60 });
    expect(await core.call("context_metadata", { id: "s0/x0" })).toMatchObject({ floor: 51, versions: 10 });
    const { rows } = (await core.call("audit_query", { prefix: "fleet/" })) as {
      rows: Array<{ caller: string; outcome: string }>;
    };
    expect(rows.length).toBe(2);
    expect(rows[0]).toMatchObject({ caller: "node", operation: "history_compact", outcome: "compacted" });
    expect(await core.call("audit_verify", {})).toMatchObject({ ok: true });
    const before = core.log.position().seq;
    await maintenanceOf(core, { limits }).run();
    expect(core.log.position().seq).toBe(before);
  });

  test("proposes only while its node leads", async () => {
    await using core = startCore();
    for (let i = 0; i < 10; i++) await core.call("context_put", { id: "a/x", content: i });
    const limits = { ...DEFAULT_WRITE_LIMITS, history: { maxVersions: 2, maxDays: 0, keepHours: 0, spaces: {} } };
    const duties = new Duties();
    const log = logWith(core.log, { onLeading: (duty) => duties.on(duty) });
    const maintenance = maintenanceOf(core, { limits, log });
    await maintenance.run();
    expect(core.log.position().seq).toBe(10);
    duties.begin(7);
    duties.end();
    await maintenance.run();
    expect(core.log.position().seq).toBe(10);
    duties.begin(8);
    await maintenance.run();
    expect(core.log.position().seq).toBe(11);
    await maintenance.stop();
    await maintenance.run();
    expect(core.log.position().seq).toBe(11);
  });

  test("by age: only versions that a younger one replaced", async () => {
    let now = 1_700_000_000_000;
    await using core = startCore({ nowMs: () => now });
    for (let i = 0; i < 3; i++) {
      await core.call("context_put", { id: "a/x", content: i });
      await core.call("context_put", { id: `a/old${i}`, content: i });
      now += 24 * 60 * 60 * 1000;
    }
    const limits = { ...DEFAULT_WRITE_LIMITS, history: { maxVersions: 0, maxDays: 2, keepHours: 0, spaces: {} } };
    await maintenanceOf(core, { limits, nowMs: () => now }).compactHistory();
    expect(await core.call("context_metadata", { id: "a/x" })).toMatchObject({ floor: 2, version: 3 });
    expect(await core.call("context_get", { id: "a/old0" })).toMatchObject({ version: 1 });
  });

  test("forgets old changes up to an explicit floor; followers below it get that", async () => {
    await using core = startCore();
    for (let i = 0; i < 60; i++)
      await Promise.all(Array.from({ length: 60 }, () => core.call("context_put", { id: "a/x", content: i })));
    await maintenanceOf(core, { limits: { maxChanges: 500 } }).compactChanges();
    expect(core.store.reader.get("SELECT floor FROM head")).toEqual({ floor: 3000 });
    expect(await core.call("audit_verify", {})).toMatchObject({ ok: true, checked: 603 });
    await core.close();
    await using again = startCore({ folder: core.folder });
    expect(() => again.invoker.changes.cursor(2999).next(10)).toThrow(
      expect.objectContaining({ code: "below_floor", details: { floor: 3000 } }),
    );
    expect(again.invoker.changes.cursor(3000).next(1)).toMatchObject([{ seq: 3001 }]);
    await expect(again.call("context_wait", { since: again.invoker.positionAt(5) })).rejects.toMatchObject({
      code: "below_floor",
    });
    expect(await again.call("audit_verify", {})).toMatchObject({ ok: true, checked: 603 });
  });

  test("compresses large texts that rest without a change of state, and reads, diffs and restores them as before", async () => {
    await using core = startCore();
    const text = "All work and no play makes a dull agent.\n".repeat(1000);
    await core.call("context_put", { id: "a/x", content: text });
    await core.call("context_put", { id: "a/x", content: `${text}end\n` });
    await core.call("context_put", {
      id: "a/random",
      content: Buffer.from(crypto.getRandomValues(new Uint8Array(20_000))).toString("hex"),
    });
    const before = digestOf(core.store.reader, DIGEST_TABLES);
    await maintenanceOf(core).compress();
    expect(core.store.reader.get("SELECT SUM(encoding) AS n FROM versions")).toEqual({ n: 0 });
    await maintenanceOf(core, { nowMs: () => Date.now() + 11 * 60_000 }).compress();
    expect(core.store.reader.all("SELECT encoding FROM versions WHERE id = 'a/x'")).toEqual([
      { encoding: 1 },
      { encoding: 1 },
    ]);
    expect(digestOf(core.store.reader, DIGEST_TABLES)).toBe(before);
    expect((await core.call("context_get", { id: "a/x", version: 1 }))["content"]).toBe(text);
    expect((await core.call("context_diff", { id: "a/x", from: 1 }))["diff"]).toContain("+end\n");
    await core.call("context_patch", { id: "a/x", format: "edit", patch: { op: "prepend", text: "begin\n" } });
    await core.call("context_restore", { id: "a/x", version: 1 });
    expect((await core.call("context_get", { id: "a/x" }))["content"]).toBe(text);
    expect(await core.call("audit_verify", {})).toMatchObject({ ok: true, versions: 5 });
    await core.call("context_purge", { id: "a/x" });
    expect(await core.call("audit_verify", {})).toMatchObject({ ok: true });
  });

  test("what the node itself does is no operation of any surface", async () => {
    await using core = startCore();
    for (const name of ["history_compact", "changes_compact"]) {
      expect(core.invoker.registry.get(name)).toBeUndefined();
      await expect(core.call(name, { floor: 1, cuts: [] })).rejects.toMatchObject({ code: "unknown_operation" });
    }
  });
});

test("followers that read while many write see every change once, in order", async () => {
  await using core = startCore();
  const seen = Array.from({ length: 5 }, () => [] as number[]);
  const done = new AbortController();
  const followers = seen.map(async (list, at) => {
    const cursor = core.invoker.changes.cursor(0);
    while (list.length < 600) {
      const page = cursor.next(1 + at * 7);
      list.push(...page.map((change) => change.seq));
      if (page.length === 0) await cursor.wait(done.signal);
      else await new Promise((resolve) => setImmediate(resolve));
    }
  });
  await Promise.all(
    Array.from({ length: 20 }, async (_, writer) => {
      for (let i = 0; i < 30; i++) await core.call("context_put", { id: `s${writer % 3}/x${writer}`, content: i });
    }),
  );
  await Promise.all(followers);
  const all = Array.from({ length: 600 }, (_, at) => at + 1);
  for (const list of seen) expect(list).toEqual(all);
});

test("many large writes at once become many entries", async () => {
  await using core = startCore();
  const text = "x".repeat(1024 * 1024);
  await Promise.all(Array.from({ length: 12 }, (_, at) => core.call("context_put", { id: `a/x${at}`, content: text })));
  expect(core.log.position().seq).toBe(12);
  expect(core.fatal).toEqual([]);
});
