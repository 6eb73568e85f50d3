// The disk that kept outcomes of idempotency keys take: counted by caller, bounded, and short for refusals. What was
// acknowledged is never forgotten before its time, so that no retry is done twice.

import { afterEach, describe, expect, test } from "bun:test";
import { Fault } from "../../src/lib/fault.ts";
import { applyEntry, type BatchState } from "../../src/log/apply-batch.ts";
import { encodeEntry, packCommand } from "../../src/log/entry.ts";
import { openHistory } from "../../src/log/history.ts";
import type { Apply, Command } from "../../src/log/log.ts";
import { Store } from "../../src/store/store.ts";
import { AppliedFleet } from "../kit/applied-fleet.ts";
import { type Core, callerWith, granted, startCore } from "../kit/core.ts";
import { makeStoreAt, migrationsUpTo } from "../kit/level.ts";
import { logWith } from "../kit/log-with.ts";
import { checkOutcomes } from "../kit/outcomes.ts";
import { refusal } from "../kit/refusal.ts";
import { temporaryFolder } from "../kit/temporary.ts";

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;
const alice = granted({ role: "member", spaces: ["*"] });
const bob = callerWith({ id: "nBOB", node: "bob", login: "bob@example.com", grants: alice.grants });

/** A node with a clock that is set by hand, and a count of the commands that it proposed. */
function nodeWith(maxOutcomeBytes: number) {
  const clock = { ms: 1_700_000_000_000 };
  const proposed: string[] = [];
  const core = startCore({
    nowMs: () => clock.ms,
    limits: { maxOutcomeBytes },
    wrapLog: (log) =>
      logWith(log, {
        propose: (command) => {
          proposed.push(command.key);
          return log.propose(command);
        },
      }),
  });
  return { core, clock, proposed };
}

const put = (core: Core, key: string | undefined, more: Record<string, unknown> = {}, caller = alice) =>
  core.call("context_put", { id: "a/x", content: 1, ...(key && { idempotency_key: key }), ...more }, caller);
const rowsOf = (core: Core) => core.store.reader.get<{ n: number }>("SELECT COUNT(*) AS n FROM idempotency")?.n;

describe("the outcomes of a caller", () => {
  test("at its limit: new keys are refused before the log until the oldest expires, and nothing is forgotten", async () => {
    const { core, clock, proposed } = nodeWith(2_000);
    await using _ = core;
    const first = await put(core, "k0");
    let keys = 1;
    let full: Fault | undefined;
    for (; full === undefined; keys += 1) {
      clock.ms += 1_000;
      await put(core, `k${keys}`).catch((error: Fault) => {
        full = error;
      });
    }
    expect(full).toMatchObject({
      code: "rate_limited",
      message: expect.stringMatching(
        / has 2\d\d\d bytes of kept outcomes .*; the limit is 2000 \(quota\.outcome_bytes\)$/,
      ),
      hint: expect.stringContaining("make the call without a key"),
      details: { quota: "outcomes", limit: 2_000, retryAfterSeconds: 24 * 60 * 60 - keys + 2 },
    });
    const before = proposed.length;
    for (let more = 0; more < 50; more += 1) expect((await refusal(put(core, `m${more}`))).code).toBe("rate_limited");
    expect(proposed).toHaveLength(before);
    expect(rowsOf(core)).toBe(keys - 1);
    // What was acknowledged is known; calls without a key and other callers go on.
    expect(await put(core, "k0")).toEqual(first);
    await put(core, undefined);
    await put(core, "k0", {}, bob);
    clock.ms += Number(full?.details["retryAfterSeconds"]) * 1_000;
    await put(core, "later");
    expect((await refusal(put(core, "later2"))).code).toBe("rate_limited");
    expect((await put(core, "k1"))["version"]).toBe(2);
    checkOutcomes(core.store.reader);
  });

  test("beyond the limit in apply, behind others of the same entry: refused and not kept", async () => {
    const { core } = nodeWith(1_000);
    await using _ = core;
    const outcomes = await Promise.allSettled(Array.from({ length: 9 }, (_, at) => put(core, `k${at}`)));
    const refused = outcomes.filter(({ status }) => status === "rejected");
    expect(refused.length).toBeGreaterThan(5);
    for (const each of refused) expect(each).toMatchObject({ reason: { code: "rate_limited" } });
    expect(rowsOf(core)).toBe(9 - refused.length);
    checkOutcomes(core.store.reader);
    expect(core.fatal).toEqual([]);
  });

  test("are not limited where the setting is 0", async () => {
    const { core } = nodeWith(0);
    await using _ = core;
    for (let at = 0; at < 20; at += 1) await put(core, `k${at}`);
    expect(rowsOf(core)).toBe(20);
    checkOutcomes(core.store.reader);
  });

  test("that are all expired make room at once, however many there are and whoever else has expired ones", async () => {
    const { core, clock } = nodeWith(60_000);
    await using _ = core;
    for (let at = 0; at < 300; at += 1) await put(core, `b${at}`, {}, bob).catch(() => {});
    for (let at = 0; at < 300; at += 1) await put(core, `a${at}`).catch(() => {});
    expect((await refusal(put(core, "full"))).code).toBe("rate_limited");
    clock.ms += DAY_MS + 1;
    await put(core, "room");
    checkOutcomes(core.store.reader);
  });
});

describe("a refusal", () => {
  test("is kept for ten minutes, an outcome for a day", async () => {
    const { core, clock } = nodeWith(1_000_000);
    await using _ = core;
    await put(core, "done");
    const taken = () => put(core, "refused", { if_none_match: "*" });
    expect((await refusal(taken())).code).toBe("version_mismatch");
    await core.call("context_delete", { id: "a/x" }, alice);
    clock.ms += 10 * MINUTE_MS;
    expect((await refusal(taken())).code).toBe("version_mismatch");
    clock.ms += 1;
    expect((await taken())["created"]).toBe(true);
    clock.ms += DAY_MS - 10 * MINUTE_MS - 1;
    expect((await put(core, "done"))["version"]).toBe(1);
    checkOutcomes(core.store.reader);
  });

  test("of a caller that does nothing else leaves no more rows than ten minutes have", async () => {
    const { core, clock } = nodeWith(1_000_000);
    await using _ = core;
    for (let at = 0; at < 300; at += 1) {
      clock.ms += 6_000;
      await refusal(put(core, `k${at}`, { if_match: '"9-000000000000"' }));
    }
    expect(rowsOf(core)).toBe(101);
    checkOutcomes(core.store.reader);
  });
});

const open: Store[] = [];
afterEach(() => {
  for (const store of open.splice(0)) store.close();
});

describe("in apply", () => {
  const header = { level: 3, origin: "00".repeat(16), ticket: 1 };
  const command = (key: string, more: Partial<Command> = {}): Command => ({
    ...{ name: "x", v: 1, input: {}, caller: "user:a", via: "", key, inputHash: "0".repeat(64), outcomeBytes: 5_000 },
    ...more,
  });
  const store = () => {
    const opened = Store.open({ folder: temporaryFolder(), migrations: migrationsUpTo(3), log: () => {} });
    open.push(opened);
    return opened;
  };
  const applied = (to: Store, apply: Apply, commands: Command[], stampMs: number, from: BatchState = openHistory(to)) =>
    applyEntry(to, apply, from, encodeEntry({ ...header, stampMs }, commands.map(packCommand)));
  const refusing = (words: string): Apply => {
    const by: Apply = () => {
      throw new Fault("patch_failed", words, { hint: words, details: { words } });
    };
    return by;
  };
  const fine: Apply = () => ({ output: { done: "x".repeat(100) }, changes: [] });

  test("a refusal counts the same whatever its words are, and no more of it is kept", () => {
    const bytes = ["no", "x".repeat(100_000), "\u0001ü".repeat(50_000)].map((words) => {
      const to = store();
      const [outcome] = applied(to, refusing(words), [command("k")], 1).outcomes;
      const [again] = applied(to, fine, [command("k")], 2).outcomes;
      expect([outcome, again].map((each) => each && "fault" in each && each.fault.code)).toEqual([
        "patch_failed",
        "patch_failed",
      ]);
      const row = to.reader.get<{ kept: number; bytes: number }>(
        "SELECT octet_length(outcome) AS kept, bytes FROM idempotency",
      );
      expect(row?.kept).toBeLessThanOrEqual(2048);
      checkOutcomes(to.reader);
      return row?.bytes;
    });
    expect(new Set(bytes).size).toBe(1);
  });

  test("a refusal that fits is kept with all that it says, of a larger one the begin of its words", () => {
    const keptOf = (words: string) => {
      const to = store();
      applied(to, refusing(words), [command("k")], 1);
      const [again] = applied(to, fine, [command("k")], 2).outcomes;
      return again !== undefined && "fault" in again ? again.fault : undefined;
    };
    const fits = "w".repeat(200);
    expect(keptOf(fits)).toMatchObject({ message: fits, hint: fits, details: { words: fits } });
    const cut = keptOf("w".repeat(5_000));
    expect(cut).toMatchObject({ message: `${"w".repeat(150)}…`, hint: `${"w".repeat(150)}…`, details: {} });
  });

  test("keys that nodes made count apart from the caller's own, and so do other callers", () => {
    const to = store();
    const many = (by: Partial<Command>) => Array.from({ length: 30 }, (_, at) => command(`k${at}`, by));
    const refusedOf = (commands: Command[]) =>
      applied(to, fine, commands, 1).outcomes.flatMap((each) => ("fault" in each ? [each.fault] : []));
    const own = refusedOf(many({}));
    const byNode = refusedOf(many({ nodeKey: true }).map((each) => ({ ...each, key: `forward-${each.key}` })));
    const other = refusedOf(many({ caller: "user:b" }));
    expect([own.length > 5, byNode.length > 5, other.length]).toEqual([true, true, own.length]);
    expect(byNode[0]?.details).toMatchObject({ retryAfterSeconds: 5 * 60 + 1 });
    expect(byNode[0]?.hint).not.toContain("without a key");
    checkOutcomes(to.reader);
  });

  test("a refusal under a key that a node made is kept for five minutes, as an outcome is", () => {
    const to = store();
    const key = [command("k", { nodeKey: true })];
    const { state } = applied(to, refusing("no"), key, 1);
    const kept = applied(to, fine, key, 5 * MINUTE_MS + 1, state);
    const done = applied(to, fine, key, 5 * MINUTE_MS + 2, kept.state);
    expect([kept, done].map(({ outcomes }) => outcomes.map((each) => "fault" in each))).toEqual([[true], [false]]);
  });

  test("what is forgotten to make room is in the digest, also before a refusal", () => {
    const digests = [undefined, "k3"].map((lost) => {
      const to = store();
      const keys = Array.from({ length: 8 }, (_, at) => command(`k${at}`, { outcomeBytes: 100_000 }));
      const { state } = applied(to, fine, keys, 1);
      // One member lost an outcome that its counter still has.
      if (lost !== undefined) to.transaction((tx) => tx.run("DELETE FROM idempotency WHERE key = ?", lost));
      const refused = applied(to, refusing("no"), [command("new", { outcomeBytes: 1_000 })], DAY_MS + 2, state);
      expect(refused.outcomes.map((each) => "fault" in each && each.fault.code)).toEqual(["patch_failed"]);
      return refused.state.digest?.hash;
    });
    expect(digests[0]).not.toBe(digests[1]);
  });

  test("a lowered limit forgets nothing before its time; a key that is used again counts once", () => {
    const to = store();
    const keys = Array.from({ length: 8 }, (_, at) => command(`k${at}`, { outcomeBytes: 100_000 }));
    const { state } = applied(to, fine, keys, 1);
    const lowered = applied(to, fine, [command("new", { outcomeBytes: 1 }), command("k3")], 2, state);
    expect(lowered.outcomes.map((each) => "fault" in each)).toEqual([true, false]);
    // Expired and not deleted yet: the same keys are new ones. The youngest first, as the oldest are deleted meanwhile.
    const again = applied(to, refusing("no"), keys.toReversed(), DAY_MS + 2, lowered.state);
    expect(again.outcomes.every((each) => "fault" in each && each.fault.code === "patch_failed")).toBe(true);
    checkOutcomes(to.reader);
  });
});

test("a fleet counts from its level on: outcomes of before count nothing, are known and expire", () => {
  const folder = temporaryFolder();
  makeStoreAt(folder, 2);
  const fleet = new AppliedFleet(2).begin();
  open.push(fleet.store);
  fleet.run("context_put", { id: "a/x", content: 1 });
  const keyed = (key: string) => fleet.runKeyed("context_put", { id: "a/x", content: 1 }, key);
  const before = keyed("old");
  expect(fleet.store.reader.all("SELECT * FROM idempotency")).toEqual([
    expect.not.objectContaining({ bytes: expect.anything() }),
  ]);
  fleet.run("fleet_level_raise", { level: 3, settings: {} });
  expect(keyed("old")).toEqual(before);
  keyed("new");
  const counted = "SELECT key, bytes > 0 AS counts FROM idempotency ORDER BY key";
  expect(fleet.store.reader.all(counted)).toEqual([
    { key: "new", counts: 1 },
    { key: "old", counts: 0 },
  ]);
  checkOutcomes(fleet.store.reader);
  fleet.nowMs += DAY_MS + 1;
  keyed("later");
  expect(fleet.store.reader.all(counted)).toEqual([{ key: "later", counts: 1 }]);
  checkOutcomes(fleet.store.reader);
});
