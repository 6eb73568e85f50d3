// The contract of a log, held by every engine alike: `direct`, and `raft` as a fleet of one with a real member process.

import { afterEach, describe, expect, test } from "bun:test";
import { copyFileSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { MIGRATIONS } from "../../src/features/index.ts";
import { Fault } from "../../src/lib/fault.ts";
import type { Lead } from "../../src/log/duties.ts";
import { DirectLog } from "../../src/log/engine/direct/index.ts";
import { KNOWN_LEVEL } from "../../src/log/level.ts";
import type { Apply, Log } from "../../src/log/log.ts";
import { forkHistory } from "../../src/log/new-epoch.ts";
import { verifyChain } from "../../src/log/verify.ts";
import { Store } from "../../src/store/store.ts";
import { eventually } from "../kit/eventually.ts";
import { applyContexts, digestOfStore, putCommand, startMember, stopMember } from "../kit/raft.ts";
import { temporaryFolder } from "../kit/temporary.ts";

interface Opened {
  log: Log;
  store: Store;
  fatal: unknown[];
  stop: () => Promise<void>;
}

type Open = (folder: string, options?: { apply?: Apply; nowMs?: () => number }) => Promise<Opened>;

const openDirect: Open = async (folder, { apply = applyContexts, nowMs = Date.now } = {}) => {
  const store = Store.open({ folder: join(folder, "store"), migrations: MIGRATIONS, log: () => {} });
  const fatal: unknown[] = [];
  const log = new DirectLog({ store, apply, nowMs, onFatal: (error) => fatal.push(error) });
  const stop = async () => {
    await log.close();
    store.close();
  };
  return { log, store, fatal, stop };
};

const openRaft: Open = async (folder, options = {}) => {
  const member = await startMember({ folder, bootstrap: true, ...options });
  await eventually("the only voter to lead", () => member.log.leadership().leading);
  return { ...member, stop: () => stopMember(member) };
};

const running = new Set<Opened>();
afterEach(async () => {
  for (const opened of running) await opened.stop();
  running.clear();
});

describe.each([
  ["direct", openDirect],
  ["raft", openRaft],
] as const)("%s", (_name, openEngine) => {
  const open: Open = async (folder, options) => {
    const opened = await openEngine(folder, options);
    running.add(opened);
    return opened;
  };
  const stop = async (opened: Opened) => {
    running.delete(opened);
    await opened.stop();
  };

  test("a write is answered with its position, which is then what is applied, the head and the feed", async () => {
    const { log, store } = await open(temporaryFolder());
    const cursor = log.changes.cursor(0);
    const first = await log.propose(putCommand("a/x", "one"));
    const second = await log.propose(putCommand("a/x", "two"));
    expect([first.position.seq, second.position.seq]).toEqual([1, 2]);
    expect(second.output).toMatchObject({ id: "a/x", version: 2 });
    expect(log.position()).toEqual(second.position);
    expect(log.head().seq).toBe(2);
    expect(log.sameHistory(first.position)).toBe(true);
    expect(log.sameHistory({ epoch: "0000000000", seq: 1 })).toBe(false);
    expect(cursor.next(10).map(({ seq, version }) => [seq, version])).toEqual([
      [1, 1],
      [2, 2],
    ]);
    expect(await verifyChain(store.reader, log.head(), AbortSignal.timeout(5000))).toEqual({ checked: 2 });
  });

  test("many at once are applied in the order in which they were proposed", async () => {
    const { log } = await open(temporaryFolder());
    const answers = await Promise.all(Array.from({ length: 1500 }, (_, at) => log.propose(putCommand("a/x", at))));
    expect(answers.map(({ position }) => position.seq)).toEqual(answers.map((_, at) => at + 1));
    expect(answers.map(({ output }) => output["version"])).toEqual(answers.map((_, at) => at + 1));
  });

  test("a command that is repeated in a new history has the position of its first time", async () => {
    const folder = temporaryFolder();
    const before = await open(folder);
    const command = putCommand("a/x", "one", "k1");
    const first = await before.log.propose(command);
    await stop(before);
    const store = Store.open({ folder: join(folder, "store"), migrations: MIGRATIONS, log: () => {} });
    const epoch = forkHistory(store, []);
    store.close();
    rmSync(join(folder, "raft"), { recursive: true, force: true });
    const { log } = await open(folder);
    expect(await log.propose(command)).toEqual(first);
    const { position } = await log.propose(putCommand("a/x", "two"));
    expect([position.epoch, first.position.epoch === epoch]).toEqual([epoch, false]);
    expect(log.sameHistory(first.position)).toBe(true);
  });

  test("large commands go through, and one above the cap is refused", async () => {
    const { log } = await open(temporaryFolder());
    const text = "x".repeat(1024 * 1024);
    await Promise.all(Array.from({ length: 6 }, (_, at) => log.propose(putCommand(`a/x${at}`, text))));
    expect(log.position().seq).toBe(6);
    const large = { ...putCommand("a/y", 1), input: "x".repeat(6 * 1024 * 1024) };
    await expect(log.propose(large)).rejects.toMatchObject({ code: "too_large" });
  });

  test("writes that wait are bounded in bytes: the rest is refused as retryable, nothing that was taken is lost", async () => {
    const { log } = await open(temporaryFolder());
    const text = "x".repeat(1000 * 1024);
    const outcomes = await Promise.all(
      Array.from({ length: 90 }, (_, index) =>
        log.propose(putCommand(`big/${index}`, text)).then(
          () => "written",
          (fault: { code: string }) => fault.code,
        ),
      ),
    );
    const written = outcomes.filter((outcome) => outcome === "written").length;
    expect(written).toBeGreaterThanOrEqual(60);
    expect(outcomes.filter((outcome) => outcome === "unavailable")).toHaveLength(90 - written);
    expect(written).toBeLessThan(90);
    expect(log.position().seq).toBe(written);
    await log.propose(putCommand("a/after", "again"));
  });

  test("a refused command is an outcome: the others of its batch stay, it takes no seq", async () => {
    const { log } = await open(temporaryFolder());
    const bad = { ...putCommand("a/x", 1), name: "context_delete", input: { id: "a/none", keep: undefined } };
    const [one, refused, other] = await Promise.allSettled([
      log.propose(putCommand("a/x", 1)),
      log.propose(bad),
      log.propose(putCommand("a/x", 2)),
    ]);
    expect([one.status, other.status]).toEqual(["fulfilled", "fulfilled"]);
    expect(refused).toMatchObject({ status: "rejected", reason: { code: "not_found" } });
    expect(log.position().seq).toBe(2);
  });

  test("a repeated key gets the first answer, in one batch and after a restart; with another input it is refused", async () => {
    const folder = temporaryFolder();
    const first = await open(folder);
    const [one, again] = await Promise.all([
      first.log.propose(putCommand("a/x", 1, "k")),
      first.log.propose(putCommand("a/x", 1, "k")),
    ]);
    expect(again).toEqual(one);
    await stop(first);
    const second = await open(folder);
    expect(await second.log.propose(putCommand("a/x", 1, "k"))).toEqual(one);
    await expect(second.log.propose(putCommand("a/x", 2, "k"))).rejects.toMatchObject({ code: "key_reused" });
    expect(second.log.position().seq).toBe(1);
  });

  test("reopened, it is where it was and goes on", async () => {
    const folder = temporaryFolder();
    const first = await open(folder);
    await Promise.all(Array.from({ length: 100 }, (_, at) => first.log.propose(putCommand(`a/x${at % 7}`, at))));
    const before = { position: first.log.position(), digest: digestOfStore(first.store) };
    await stop(first);
    const second = await open(folder);
    expect({ position: second.log.position(), digest: digestOfStore(second.store) }).toEqual(before);
    expect((await second.log.propose(putCommand("a/x0", "more"))).position).toEqual({ ...before.position, seq: 101 });
  });

  test("log time never goes back", async () => {
    let now = 2_000_000_000_000;
    const { log, store } = await open(temporaryFolder(), { nowMs: () => now });
    await log.propose(putCommand("a/x", 1));
    now -= 60_000;
    await log.propose(putCommand("a/x", 2));
    expect(store.reader.all("SELECT log_time FROM changes ORDER BY seq")).toEqual([
      { log_time: 2_000_000_000_000 },
      { log_time: 2_000_000_000_000 },
    ]);
    // What a command would have now.
    expect(log.timeMs()).toBe(2_000_000_000_000);
    now += 61_000;
    expect(log.timeMs()).toBe(2_000_000_001_000);
  });

  test("it knows who leads, has duties begun once and ended with it, and chain hashes by seq", async () => {
    const opened = await open(temporaryFolder());
    const { log } = opened;
    expect(log.ready()).toBe(true);
    const leads: Lead[] = [];
    const stopDuty = log.onLeading((lead) => leads.push(lead));
    await eventually("the duties to begin", () => leads.length > 0);
    expect(log.leadership()).toMatchObject({ leading: true, term: leads[0]?.term });
    expect(log.leadership().server).not.toBe("");
    await log.barrier();
    await log.propose(putCommand("a/x", 1));
    await log.propose(putCommand("a/x", 2));
    expect(log.hashAt(0)).toEqual(new Uint8Array(32));
    expect(log.hashAt(2)).toEqual(log.head().hash);
    expect(log.hashAt(1)).not.toEqual(log.head().hash);
    expect(log.hashAt(3)).toBeUndefined();
    expect(leads.map(({ signal }) => signal.aborted)).toEqual([false]);
    const late: number[] = [];
    log.onLeading(({ term }) => late.push(term));
    expect(late).toEqual([leads[0]?.term ?? 0]);
    stopDuty();
    await log.close();
    expect(leads.map(({ signal }) => signal.aborted)).toEqual([true]);
  });

  test("stopped from outside, it tells why, once, and takes nothing more", async () => {
    const { log, fatal } = await open(temporaryFolder());
    await log.propose(putCommand("a/x", 1));
    const reason = new Fault("log_failed", "another history");
    log.stopApply(reason);
    log.stopApply(new Fault("log_failed", "again"));
    expect(fatal).toEqual([reason]);
    expect(log.leadership().leading).toBe(false);
    await expect(log.propose(putCommand("a/x", 2))).rejects.toMatchObject({ code: "unavailable" });
    await expect(log.barrier()).rejects.toMatchObject({ code: "unavailable" });
  });

  test("a key that a node made for a forward is kept for five minutes, one of a client for a day", async () => {
    let now = 1_700_000_000_000;
    const { log } = await open(temporaryFolder(), { nowMs: () => now });
    const forward = `forward-${crypto.randomUUID()}`;
    // A client may spell its key as a node does: who made it counts, not how it reads.
    const alike = `forward-${crypto.randomUUID()}`;
    const put = (id: string, key: string) => log.propose(putCommand(id, 1, key));
    const forwarded = () => log.propose({ ...putCommand("a/x", 1, forward), nodeKey: true });
    const first = [await forwarded(), await put("a/y", "mine"), await put("a/z", alike)];
    now += 4 * 60_000;
    expect([await forwarded(), await put("a/y", "mine"), await put("a/z", alike)]).toEqual(first);
    now += 2 * 60_000;
    expect((await forwarded()).output).toMatchObject({ version: 2 });
    expect([await put("a/y", "mine"), await put("a/z", alike)]).toEqual(first.slice(1));
  });

  test("a store of a higher fleet level is refused, and so is an entry of one", async () => {
    const folder = temporaryFolder();
    const first = await open(folder);
    await first.log.propose(putCommand("a/x", 1));
    await stop(first);
    const store = Store.open({ folder: join(folder, "store"), migrations: MIGRATIONS, log: () => {} });
    store.transaction((tx) => tx.run("UPDATE meta SET value = 99 WHERE key = 'fleet_level'"));
    store.close();
    await expect(open(folder)).rejects.toMatchObject({
      code: "data_newer",
      message: expect.stringContaining("level 99"),
    });
    const raise: Apply = (tx, command, stamp) => {
      tx.run("UPDATE meta SET value = 7 WHERE key = 'fleet_level'");
      return applyContexts(tx, command, stamp);
    };
    const other = await open(temporaryFolder(), { apply: raise });
    await other.log.propose(putCommand("a/x", 1)).catch(() => {});
    expect(other.fatal).toMatchObject([{ code: "data_newer" }]);
    expect(other.store.reader.get("SELECT value FROM meta WHERE key = 'fleet_level'")).toEqual({ value: KNOWN_LEVEL });
  });

  test("an error that is no refusal stops it: the outcome is unknown, nothing is half written, later writes are refused", async () => {
    const apply: Apply = (tx, command, stamp) => {
      const effect = applyContexts(tx, command, stamp);
      if (JSON.stringify(command.input).includes("poison")) throw new Error("poison");
      return effect;
    };
    const { log, store, fatal } = await open(temporaryFolder(), { apply });
    await log.propose(putCommand("a/x", 1));
    const poison = log.propose(putCommand("a/y", "poison"));
    await expect(poison).rejects.toMatchObject({ code: "unavailable", details: { outcome: "unknown" } });
    expect(fatal).toHaveLength(1);
    expect(store.reader.get("SELECT seq FROM head")).toEqual({ seq: 1 });
    await expect(log.propose(putCommand("a/z", 1))).rejects.toMatchObject({ code: "unavailable" });
  });

  test("after close it refuses, and what was proposed before is answered", async () => {
    const opened = await open(temporaryFolder());
    const last = opened.log.propose(putCommand("a/x", 1));
    await opened.log.close();
    expect((await last).position.seq).toBe(1);
    await expect(opened.log.propose(putCommand("a/x", 2))).rejects.toMatchObject({ code: "unavailable" });
  });
});

describe("raft alone", () => {
  test("carries over a store that was written without it", async () => {
    const folder = temporaryFolder();
    const direct = await openDirect(folder);
    await direct.log.propose(putCommand("a/x", 1));
    const before = { position: direct.log.position(), digest: digestOfStore(direct.store) };
    await direct.stop();
    const raft = await openRaft(folder);
    running.add(raft);
    expect({ position: raft.log.position(), digest: digestOfStore(raft.store) }).toEqual(before);
    expect((await raft.log.propose(putCommand("a/x", 2))).output).toMatchObject({ version: 2 });
  });

  test("a barrier is applied after what was acknowledged before, and leaves no trace", async () => {
    const member = await startMember({ folder: temporaryFolder(), bootstrap: true });
    running.add({ ...member, stop: () => stopMember(member) });
    await eventually("the only voter to lead", () => member.log.leadership().leading);
    await member.log.propose(putCommand("a/x", 1));
    await new Promise<void>((resolve) => member.log.onLeading(() => resolve()));
    const before = digestOfStore(member.store);
    const lastEntry = async () => (await member.driver.command<{ last: number }>({ do: "state" })).last;
    const last = await lastEntry();
    await Promise.all(Array.from({ length: 50 }, () => member.log.barrier()));
    // One for the first reader, one for all others.
    expect(await lastEntry()).toBe(last + 2);
    expect(digestOfStore(member.store)).toBe(before);
  });

  test("a store that was put back to an older copy does not start, and says why", async () => {
    const folder = temporaryFolder();
    const first = await openRaft(folder);
    await first.log.propose(putCommand("a/x", 1));
    await first.stop();
    const file = join(folder, "store", "1", "cairn.db");
    const copy = join(folder, "copy.db");
    copyFileSync(file, copy);
    const second = await startMember({ folder, bootstrap: true });
    await eventually("the only voter to lead", () => second.log.leadership().leading);
    await second.log.propose(putCommand("a/x", 2));
    await second.driver.command({ do: "snapshot" });
    await stopMember(second);
    copyFileSync(copy, file);
    await expect(startMember({ folder, bootstrap: true })).rejects.toMatchObject({
      code: "data_corrupt",
      message: expect.stringContaining("before the snapshot"),
    });
  });

  test("the store of another member does not start", async () => {
    const [one, other] = [temporaryFolder(), temporaryFolder()];
    for (const folder of [one, other]) await (await openRaft(folder)).stop();
    mkdirSync(join(one, "store", "1"), { recursive: true });
    copyFileSync(join(other, "store", "1", "cairn.db"), join(one, "store", "1", "cairn.db"));
    await expect(startMember({ folder: one, bootstrap: true })).rejects.toMatchObject({
      code: "data_corrupt",
      message: expect.stringContaining("was written by server"),
    });
  });
});
