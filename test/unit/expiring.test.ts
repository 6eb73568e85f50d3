// Expiry by log time (replication.md 7): rows are visible exactly until their time whatever clocks and leaders do,
// nothing is removed before it, and members stay equal however commands are cut into entries.

import { describe, expect, test } from "bun:test";
import { cpSync } from "node:fs";
import fc from "fast-check";
import { FEATURES, MIGRATIONS, OPERATIONS } from "../../src/features/index.ts";
import { applyEntry, type BatchState } from "../../src/log/apply-batch.ts";
import { digestOf } from "../../src/log/digest.ts";
import { Duties } from "../../src/log/duties.ts";
import { encodeEntry, packCommand } from "../../src/log/entry.ts";
import { openHistory } from "../../src/log/history.ts";
import type { Command } from "../../src/log/log.ts";
import { stateTimeMs } from "../../src/log/log-time.ts";
import { writeMeta } from "../../src/log/meta.ts";
import { digestTablesOf, migrationsOf } from "../../src/operation/derive.ts";
import { ExpireDuty, type ExpireDutyOptions } from "../../src/operation/expire-duty.ts";
import { MAX_EXPIRED, MAX_EXPIRES_SECONDS } from "../../src/operation/expiring.ts";
import { applierOf } from "../../src/operation/registry.ts";
import { Store } from "../../src/store/store.ts";
import { type Core, startCore } from "../kit/core.ts";
import { eventually } from "../kit/eventually.ts";
import { notePut, notesExpiring, notesFeature, storedNotes, visibleNotes } from "../kit/expiring-notes.ts";
import { temporaryFolder } from "../kit/temporary.ts";

const notes = notesFeature(MIGRATIONS.length + 1);
const ALL = [...FEATURES, notes];
const TABLES = digestTablesOf(ALL);
const apply = applierOf([notePut, notesExpiring.write]);
const START_MS = 1_700_000_000_000;
const NEVER = new AbortController().signal;

test("manifests list the commands of their expiring rows, and those that make changes among their changes", () => {
  for (const { name, expires = [], changes, operations } of ALL) {
    for (const { write } of expires) {
      expect([name, write.internal, OPERATIONS.includes(write) || name === "notes"]).toEqual([name, true, true]);
      expect([name, operations === undefined]).toEqual([name, false]);
      if (changes !== undefined)
        expect([name, changes.operations]).toEqual([name, expect.arrayContaining([write.name])]);
    }
  }
});

/** Two stores that begin as the same file. */
function twins(): [Store, Store] {
  template ??= emptyStore();
  const from = template;
  const copy = () => {
    const folder = temporaryFolder();
    cpSync(from, folder, { recursive: true });
    return openIn(folder);
  };
  return [copy(), copy()];
}

let template: string | undefined;

function emptyStore(): string {
  const folder = temporaryFolder();
  const store = openIn(folder);
  openHistory(store);
  store.close();
  return folder;
}

function openIn(folder: string): Store {
  return Store.open({ folder, migrations: migrationsOf(ALL), log: () => {}, sync: "checkpoint" });
}

const command = (name: string, input: unknown): Command => ({ name, v: 1, input, caller: "user:a", via: "", key: "" });

interface Step {
  /** What the clock of the leader says, from START_MS on; leaders and their clocks change. */
  clockMs: number;
  commands: Command[];
}

/** Applies commands as one entry, or each as its own. */
function applied(store: Store, before: BatchState, { clockMs, commands }: Step, isCut: boolean): BatchState {
  const header = { level: 3, origin: "00".repeat(16), ticket: 1, stampMs: START_MS + clockMs };
  const entries = isCut ? commands.map((one) => [one]) : [commands];
  return entries.reduce(
    (state, entry) => applyEntry(store, apply, state, encodeEntry(header, entry.map(packCommand))).state,
    before,
  );
}

/** The same in plain values: when each row ends, by id. */
function played(rows: Map<string, number>, { name, input }: Command, timeMs: number): void {
  if (name === "note_expire") {
    const due = [...rows].filter(([, until]) => until !== 0 && until <= timeMs);
    due.sort(([one, first], [other, second]) => first - second || (one < other ? -1 : 1));
    for (const [id] of due.slice(0, MAX_EXPIRED)) rows.delete(id);
    return;
  }
  const { id, expires_in: seconds } = input as { id: string; expires_in?: number };
  const before = rows.get(id) ?? 0;
  const kept = before !== 0 && before <= timeMs ? 0 : before;
  rows.set(id, seconds === undefined ? kept : seconds === 0 ? 0 : timeMs + 1000 * seconds);
}

const anyCommand = fc.oneof(
  {
    weight: 4,
    arbitrary: fc
      .record(
        {
          id: fc.constantFrom("a/1", "a/2", "a/3", "a/4"),
          expires_in: fc.constantFrom(0, 1, 2, 60, MAX_EXPIRES_SECONDS),
        },
        { requiredKeys: ["id"] },
      )
      .map((input) => command("note_put", input)),
  },
  { weight: 1, arbitrary: fc.constant(command("note_expire", {})) },
);

const anySteps = fc.array(
  fc.record({
    // A clock set back, another leader's clock, time that passes, and a jump of years that was confirmed.
    clockMs: fc.oneof(fc.integer({ min: -5_000, max: 130_000 }), fc.constantFrom(0, 1_000, 60_000, 4e11)),
    commands: fc.array(anyCommand, { minLength: 1, maxLength: 6 }),
  }),
  { minLength: 1, maxLength: 12 },
);

test("rows are there until their log time and no longer, whatever clocks say and however entries are cut", () => {
  fc.assert(
    fc.property(anySteps, fc.array(fc.boolean(), { minLength: 1, maxLength: 12 }), (steps, cuts) => {
      const [one, other] = twins();
      const rows = new Map<string, number>();
      let [first, second] = [openHistory(one) as BatchState, openHistory(other) as BatchState];
      let timeMs = 0;
      for (const [at, step] of steps.entries()) {
        first = applied(one, first, step, false);
        second = applied(other, second, step, cuts[at % cuts.length] === true);
        timeMs = Math.max(timeMs, START_MS + step.clockMs);
        for (const each of step.commands) played(rows, each, timeMs);
        const there = [...rows].filter(([, until]) => until === 0 || until > timeMs).map(([id]) => id);
        expect(stateTimeMs(one.reader)).toBe(timeMs);
        expect(visibleNotes(one.reader)).toEqual(there.sort());
        expect(storedNotes(one.reader)).toEqual([...rows.keys()].sort());
      }
      expect(second.digest).toEqual(first.digest);
      expect(digestOf(other.reader, TABLES)).toBe(digestOf(one.reader, TABLES));
      one.close();
      other.close();
    }),
    { numRuns: 40 },
  );
}, 60_000);

/** A node with notes whose clock is given; the duty of its leader looks when it is told to. */
function startNotes() {
  const clock = { nowMs: START_MS };
  const core = startCore({ features: [notes], nowMs: () => clock.nowMs });
  const errors: unknown[] = [];
  const dutyWith = (options: Partial<ExpireDutyOptions> = {}) =>
    new ExpireDuty({
      ...{
        reader: core.store.reader,
        log: core.log,
        expiring: [notesExpiring],
        onError: (error) => errors.push(error),
      },
      ...options,
    });
  return { core, clock, errors, dutyWith };
}

const put = (core: Core, id: string, expires_in: number) => core.call("note_put", { id, expires_in });

describe("the duty", () => {
  test("proposes nothing while nothing is due, and then removes all of it in commands of bounded work", async () => {
    const { core, clock, errors, dutyWith } = startNotes();
    await using _ = core;
    for (let at = 0; at < 2 * MAX_EXPIRED + 3; at += 1) await put(core, `a/${at}`, 10);
    await put(core, "a/later", 11);
    await put(core, "a/never", 0);
    const duty = dutyWith();
    const before = core.log.digest()?.count ?? 0;
    clock.nowMs += 9_999;
    await duty.look(NEVER);
    expect(core.log.digest()?.count).toBe(before);
    clock.nowMs += 1;
    await duty.look(NEVER);
    expect(storedNotes(core.store.reader)).toEqual(["a/later", "a/never"]);
    expect(core.log.digest()?.count).toBe(before + 3);
    const rows = core.store.reader.all(
      "SELECT caller, operation, outcome, log_time FROM changes WHERE outcome = 'expired' GROUP BY 1, 2, 3, 4",
    );
    expect(rows).toEqual([
      { caller: "node", operation: "note_expire", outcome: "expired", log_time: START_MS + 10_000 },
    ]);
    expect(errors).toEqual([]);
  });

  test("goes by the time of the log: a clock that went back removes nothing, and no write waits for it", async () => {
    const { core, clock, dutyWith } = startNotes();
    await using _ = core;
    await put(core, "a/x", 10);
    clock.nowMs += 10_000;
    expect(visibleNotes(core.store.reader)).toEqual(["a/x"]);
    // Another write takes the state past the time, and no command is needed for it to be gone.
    await put(core, "a/y", 0);
    expect(visibleNotes(core.store.reader)).toEqual(["a/y"]);
    expect(storedNotes(core.store.reader)).toEqual(["a/x", "a/y"]);
    clock.nowMs -= 3_600_000;
    expect(await put(core, "a/x", 60)).toMatchObject({ created: true, expires_at: START_MS + 70_000 });
    await dutyWith().look(NEVER);
    expect(visibleNotes(core.store.reader)).toEqual(["a/x", "a/y"]);
  });

  test("ends a look whose command finds nothing due: the stamp may be earlier than what the leader looked at", async () => {
    const { core, dutyWith } = startNotes();
    await using _ = core;
    await put(core, "a/x", 10);
    let proposed = 0;
    const log = {
      timeMs: () => START_MS + 10_000,
      propose: (one: Command) => {
        proposed += 1;
        return core.log.propose(one);
      },
    };
    await dutyWith({ log }).look(NEVER);
    expect([proposed, visibleNotes(core.store.reader)]).toEqual([1, ["a/x"]]);
  });

  test("looks while its node leads and not after; the next leader goes on, also after a proposal that failed", async () => {
    const { core, clock, errors, dutyWith } = startNotes();
    await using _ = core;
    await put(core, "a/x", 10);
    clock.nowMs += 10_000;
    const failing = dutyWith({
      log: { timeMs: () => core.log.timeMs(), propose: () => Promise.reject(new Error("no quorum")) },
    });
    await failing.look(NEVER);
    expect(errors).toEqual([new Error("no quorum")]);
    await failing.look(AbortSignal.abort());
    expect([errors.length, storedNotes(core.store.reader)]).toEqual([1, ["a/x"]]);
    const duties = new Duties();
    duties.on((lead) => dutyWith().lead(lead));
    duties.begin(7);
    await eventually("the next leader removes it", () => storedNotes(core.store.reader).length === 0);
    duties.end();
  });

  test("proposes nothing below the fleet level of its rows", async () => {
    const { core, clock, dutyWith } = startNotes();
    await using _ = core;
    await put(core, "a/x", 10);
    clock.nowMs += 20_000;
    core.store.transaction((tx) => writeMeta(tx, { fleet_level: 2 }));
    await dutyWith().look(NEVER);
    expect(storedNotes(core.store.reader)).toEqual(["a/x"]);
  });
});

test.each([-1, 1.5, MAX_EXPIRES_SECONDS + 1, 1e308, "soon"])("%p seconds are refused", async (seconds) => {
  const { core } = startNotes();
  await using _ = core;
  await expect(core.call("note_put", { id: "a/x", expires_in: seconds })).rejects.toMatchObject({
    code: "invalid_input",
    details: { field: "expires_in" },
  });
});
