// Scheduled backups: when they are due, which stay, what a failure does, and that an end or a crash leaves nothing
// behind.

import { describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { nameOf, parseName } from "../../src/features/backup/backup-name.ts";
import { Backups, type BackupsOptions } from "../../src/features/backup/backups.ts";
import { Bucket } from "../../src/features/backup/bucket.ts";
import { backupConditions } from "../../src/features/backup/conditions.ts";
import { parseRetention, surplusOf } from "../../src/features/backup/retention.ts";
import { S3 } from "../../src/features/backup/s3.ts";
import { parseSchedule } from "../../src/features/backup/schedule.ts";
import { ALL_CONDITIONS, MIGRATIONS } from "../../src/features/index.ts";
import { writeMeta } from "../../src/log/meta.ts";
import { OwnPurges } from "../../src/membership/own-purges.ts";
import { Conditions } from "../../src/observe/conditions.ts";
import { Store } from "../../src/store/store.ts";
import { S3_BUCKET, S3_KEYS, TestS3 } from "../kit/s3.ts";
import { temporaryFolder } from "../kit/temporary.ts";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const START = Date.UTC(2026, 0, 1, 12);

/** A node's backups over a clock of their own; `copy` writes a file that says how many there were. */
function rig(changes: Partial<BackupsOptions> = {}, dataDir = temporaryFolder(), fromMs = START) {
  const clock = { ms: fromMs };
  const made: string[] = [];
  const conditions = new Conditions(
    () => {},
    () => clock.ms,
    ALL_CONDITIONS,
  );
  const failing: { reason: string | undefined } = { reason: undefined };
  const options: BackupsOptions = {
    dataDir,
    folder: join(dataDir, "backups"),
    hostname: "mini",
    schedule: () => parseSchedule("0 3 * * *", "mini", "UTC"),
    keep: parseRetention("7d,4w,6m"),
    bucket: () => undefined,
    copy: async (to, signal) => {
      signal.throwIfAborted();
      if (failing.reason !== undefined) throw new Error(failing.reason);
      mkdirSync(to, { recursive: true });
      const text = `store ${made.length}`;
      const manifest = {
        format: 1 as const,
        created_at: new Date(clock.ms).toISOString(),
        schema: 3,
        file: {
          name: "cairn.db" as const,
          bytes: text.length,
          sha256: new Bun.CryptoHasher("sha256").update(text).digest("hex"),
        },
        content: { position: `aaaaaaaaaa-${made.length}`, head: "00", contexts: made.length },
      };
      writeFileSync(join(to, "cairn.db"), text);
      writeFileSync(join(to, "manifest.json"), JSON.stringify(manifest));
      made.push(to);
      return manifest;
    },
    check: async (folder) => JSON.parse(readFileSync(join(folder, "manifest.json"), "utf8")),
    storeBytes: () => 1000,
    hashAt: () => undefined,
    isOfFleet: (position) => position.startsWith("aaaaaaaaaa-"),
    conditions: conditions.of(backupConditions),
    log: () => {},
    nowMs: () => clock.ms,
    ...changes,
  };
  const backups = new Backups(options);
  const names = (): string[] => (existsSync(options.folder) ? readdirSync(options.folder).sort() : []);
  return { clock, made, conditions, failing, options, backups, names };
}

test("nodes with the same name back up at different minutes of the night", () => {
  const daily = () => rig({ hostname: "cairn", schedule: (maker) => parseSchedule("daily", maker, "UTC") }).backups;
  expect(new Set([1, 2, 3, 4, 5, 6].map(() => daily().report().schedule)).size).toBeGreaterThan(1);
});

test("daily is a minute of the night that its maker decides", () => {
  const times = ["cairn", "mini", "pi", "vm", "edge-7"].map((hostname) => {
    const schedule = parseSchedule("daily", hostname, "UTC");
    const due = new Date(schedule?.next(START) ?? 0);
    expect(schedule?.next(START)).toBe(parseSchedule("daily", hostname, "UTC")?.next(START) ?? 0);
    expect(due.getUTCHours()).toBeGreaterThanOrEqual(1);
    expect(due.getUTCHours()).toBeLessThan(5);
    return due.getTime();
  });
  expect(new Set(times).size).toBe(5);
  expect(parseSchedule("off", "cairn")).toBeUndefined();
});

test("a cron text is local time, over summer time too", () => {
  const schedule = parseSchedule("30 2 * * *", "x", "Europe/Berlin");
  // 2026-03-29 has no 2:30 there.
  const times = [Date.UTC(2026, 2, 27, 12), Date.UTC(2026, 2, 28, 12), Date.UTC(2026, 2, 29, 12)].map(
    (after) => schedule?.next(after) ?? 0,
  );
  expect(times[0]).toBe(Date.UTC(2026, 2, 28, 1, 30));
  expect(times[2]).toBe(Date.UTC(2026, 2, 30, 0, 30));
  expect(times[1]).toBeLessThan(Date.UTC(2026, 2, 29, 3));
});

test.each(["", "often", "0 3 * *", "61 3 * * *", "0 0 3 * * *", "0 0 31 2 *"])(
  "the schedule %p is refused with its value",
  (text) => {
    expect(() => parseSchedule(text, "x")).toThrow(
      `must be daily, off or a cron expression, got ${JSON.stringify(text)}: `,
    );
  },
);

test("the newest of each day, week and month stays, and always the newest", () => {
  const at = (ms: number) =>
    parseName(nameOf({ hostname: "mini", maker: "0123abcd", atMs: ms, position: "aaaaaaaaaa-1" }));
  // Twice a day for 400 days.
  const all = Array.from({ length: 800 }, (_, index) => at(START - index * 12 * HOUR)).flatMap((name) => name ?? []);
  const gone = new Set(surplusOf(all, parseRetention("7d,4w,6m")).map(({ name }) => name));
  const kept = all.filter(({ name }) => !gone.has(name));
  const dates = kept.map(({ atMs }) => new Date(atMs).toISOString().slice(0, 13));
  expect(dates).toEqual([
    ...[
      "2026-01-01T12",
      "2025-12-31T12",
      "2025-12-30T12",
      "2025-12-29T12",
      "2025-12-28T12",
      "2025-12-27T12",
      "2025-12-26T12",
    ],
    // Weeks end on Sunday: 28 December is kept by its day already.
    ...["2025-12-21T12", "2025-12-14T12"],
    ...["2025-11-30T12", "2025-10-31T12", "2025-09-30T12", "2025-08-31T12"],
  ]);
  expect(surplusOf(all, parseRetention("0d"))).toHaveLength(799);
  expect(surplusOf(all.slice(0, 1), parseRetention("0d"))).toEqual([]);
  // Days without one do not count.
  const rare = [0, 100, 200, 300].flatMap((days) => at(START - days * DAY) ?? []);
  expect(surplusOf(rare, parseRetention("3d"))).toHaveLength(1);
});

test("a name says who made it, when and where; anything else is none", () => {
  const parts = { hostname: "my-pi", maker: "0123abcd", atMs: START, position: "aaaaaaaaaa-12" };
  const name = nameOf(parts);
  expect(name).toBe("cairn-my-pi-0123abcd-20260101T120000Z-aaaaaaaaaa-12");
  expect(parseName(name)).toEqual({ name, maker: "0123abcd", atMs: START, position: "aaaaaaaaaa-12" });
  for (const other of ["", "..", "cairn-x", `${name}/..`, `${name}.partial`, name.replace("0101T12", "9901T12")])
    expect(parseName(other)).toBeUndefined();
});

test("one is made when it is due, not before, and not twice", async () => {
  const { backups, clock, made, names, options } = rig();
  expect(await backups.runIfDue()).toBe(false);
  clock.ms = Date.UTC(2026, 0, 2, 2, 59);
  expect(await backups.runIfDue()).toBe(false);
  clock.ms = Date.UTC(2026, 0, 2, 3);
  expect(await backups.runIfDue()).toBe(true);
  expect(await backups.runIfDue()).toBe(false);
  expect(made).toHaveLength(1);
  expect(names()).toEqual([expect.stringMatching(/^cairn-mini-[0-9a-f]{8}-20260102T030000Z-aaaaaaaaaa-0$/)]);
  expect(backups.report()).toMatchObject({ next: Date.UTC(2026, 0, 3, 3), last: { contexts: 0, inBucket: false } });
  // The next process knows of it, and makes up what was missed meanwhile.
  const again = rig({}, options.dataDir, Date.UTC(2026, 0, 2, 23));
  expect(await again.backups.runIfDue()).toBe(false);
  const later = rig({}, options.dataDir, Date.UTC(2026, 0, 5, 9));
  expect(await later.backups.runIfDue()).toBe(true);
  expect(later.names()).toHaveLength(2);
});

test("two at once are one", async () => {
  const { backups, made } = rig();
  const [first, second] = await Promise.all([backups.runNow(), backups.runNow()]);
  expect(first).toEqual(second);
  expect(made).toHaveLength(1);
});

test("a failure is a condition, is tried again later, and ends with the next good one", async () => {
  const { backups, clock, conditions, failing, names } = rig();
  clock.ms = Date.UTC(2026, 0, 2, 3);
  failing.reason = "the disk is on fire";
  expect(await backups.runIfDue()).toBe(true);
  expect(conditions.list()).toMatchObject([{ code: "backup_failed", text: "the disk is on fire" }]);
  expect(names()).toEqual([]);
  clock.ms += 60_000;
  expect(await backups.runIfDue()).toBe(false);
  clock.ms += 5 * 60_000;
  expect(await backups.runIfDue()).toBe(true);
  clock.ms += 6 * 60_000;
  expect(await backups.runIfDue()).toBe(false);
  clock.ms += 5 * 60_000;
  failing.reason = undefined;
  expect(await backups.runIfDue()).toBe(true);
  expect(conditions.list()).toEqual([]);
  expect(backups.report().failed).toBeUndefined();
});

test("a disk without room is said before anything is written", async () => {
  const { backups, conditions, made } = rig({ storeBytes: () => 1e18 });
  await expect(backups.runNow()).rejects.toThrow(/has \d+ MiB left; a backup needs \d+ MiB/);
  expect(conditions.has("backup_failed")).toBe(true);
  expect(made).toEqual([]);
});

test("a copy with another history than the node's is no backup", async () => {
  const { backups, names } = rig({ hashAt: (position) => (position === "aaaaaaaaaa-0" ? "11" : undefined) });
  await expect(backups.runNow()).rejects.toThrow("another history");
  expect(names()).toEqual([]);
});

test("three periods without a good one are too many", async () => {
  const { backups, clock, conditions } = rig();
  clock.ms = Date.UTC(2026, 0, 2, 3);
  await backups.runIfDue();
  const { conditions: later, backups: waiting, clock: time } = rig({ copy: () => Promise.reject(new Error("no")) });
  time.ms = Date.UTC(2026, 0, 4, 3);
  await waiting.runIfDue();
  expect(later.has("backup_old")).toBe(false);
  time.ms = Date.UTC(2026, 0, 4, 3, 1);
  await waiting.runIfDue();
  expect(later.list().find(({ code }) => code === "backup_old")?.text).toBe("there is none yet");
  expect(conditions.has("backup_old")).toBe(false);
});

test("a clock that was wrong once does not end the backups", async () => {
  const { backups, clock, options } = rig();
  clock.ms = Date.UTC(2040, 0, 1);
  await backups.runIfDue();
  const right = rig({}, options.dataDir, Date.UTC(2026, 0, 2, 2));
  right.clock.ms = Date.UTC(2026, 0, 2, 4);
  expect(await right.backups.runIfDue()).toBe(true);
});

test("what a crash left is removed, what others made is not", async () => {
  const { backups, names, options, clock } = rig({ keep: parseRetention("1d") });
  const other = nameOf({ hostname: "mini", maker: "ffffffff", atMs: 0, position: "aaaaaaaaaa-1" });
  mkdirSync(join(options.folder, other), { recursive: true, mode: 0o700 });
  writeFileSync(join(options.folder, other, "manifest.json"), "{}");
  const { maker } = JSON.parse(readFileSync(join(options.dataDir, "backups.json"), "utf8"));
  for (const left of [`${maker}.making`, `${maker}.making.partial`, "ffffffff.making", "notes"])
    mkdirSync(join(options.folder, left));
  for (let day = 0; day < 3; day += 1) {
    clock.ms += DAY;
    await backups.runNow();
  }
  expect(names()).toEqual([expect.stringContaining(`${maker}-20260104`), other, "ffffffff.making", "notes"].sort());
});

test("an end in the middle leaves nothing, and no condition", async () => {
  const begun = Promise.withResolvers<void>();
  const { backups, names, conditions } = rig({
    copy: async (to, signal) => {
      mkdirSync(`${to}.partial`, { recursive: true });
      begun.resolve();
      await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
      throw new Error("not reached");
    },
  });
  const running = backups.runNow();
  running.catch(() => {});
  await begun.promise;
  await backups.stop();
  await expect(running).rejects.toThrow("The node stops");
  expect(names()).toEqual([]);
  expect(conditions.list()).toEqual([]);
  await expect(backups.runNow()).rejects.toThrow();
});

/** Returns the bucket of a test server, by maker id. */
function bucketAt(s3: TestS3) {
  return (maker: string): Bucket =>
    new Bucket({
      s3: new S3({
        endpoint: `http://${s3.host}`,
        bucket: S3_BUCKET,
        region: "us-east-1",
        keys: S3_KEYS,
        outbound: (url, init) => fetch(url, { ...init, keepalive: false }),
        nowMs: Date.now,
        retryMs: 1,
      }),
      prefix: undefined,
      maker,
    });
}

test("what did not reach the bucket is sent later, without another copy; the rule holds there too", async () => {
  await using s3 = await TestS3.start();
  const bucket = bucketAt(s3);
  const { backups, clock, made, conditions, names } = rig({ bucket, keep: parseRetention("1d") });
  for (let count = 0; count < 4; count += 1) s3.faults.push({ fits: /^PUT/, fault: "500" });
  clock.ms = Date.UTC(2026, 0, 2, 3);
  await backups.runIfDue();
  expect(conditions.list()).toMatchObject([
    { code: "backup_failed", text: expect.stringContaining("500 InternalError") },
  ]);
  expect(names()).toHaveLength(1);
  clock.ms += 10 * 60_000;
  await backups.runIfDue();
  expect(conditions.list()).toEqual([]);
  expect(made).toHaveLength(1);
  expect(backups.report().last?.inBucket).toBe(true);
  for (let day = 3; day < 6; day += 1) {
    clock.ms = Date.UTC(2026, 0, day, 3);
    await backups.runIfDue();
  }
  expect(s3.keys).toHaveLength(2);
  const [listed] = await backups.list(true, new AbortController().signal);
  expect(listed).toMatchObject({ inFolder: true, inBucket: true });
  // Fetched by another machine, it is the same.
  const other = rig({ bucket, keep: parseRetention("1d") });
  const name = listed?.backup.name ?? "";
  const { path } = await other.backups.fetch(name, new AbortController().signal);
  expect(readFileSync(join(path, "cairn.db"), "utf8")).toBe("store 3");
  expect(other.names()).toEqual([name]);
  await expect(other.backups.fetch(name, new AbortController().signal)).rejects.toThrow("already exists");
  await expect(other.backups.fetch("../x", new AbortController().signal)).rejects.toThrow("not the name of a backup");
  // Not its own: it stays, here and there.
  await other.backups.runNow();
  other.clock.ms += DAY;
  await other.backups.runNow();
  expect(other.names()).toHaveLength(2);
  expect(s3.keys).toHaveLength(4);
});

describe("what was made before a purge", () => {
  /** A node whose folder was emptied after two backups, at seq 0 and 1. */
  async function emptied(s3: TestS3) {
    const node = rig({ bucket: bucketAt(s3) });
    for (let day = 0; day < 2; day += 1) {
      await node.backups.runNow();
      node.clock.ms += DAY;
    }
    const names = node.names();
    rmSync(node.options.folder, { recursive: true });
    return { ...node, made: names, again: new Backups(node.options) };
  }
  const listings = (s3: TestS3) => s3.seen.filter((request) => request.includes("list-type")).length;

  test("is named in the bucket too, also what this node's folder does not have, and no backup of other fleets", async () => {
    await using s3 = await TestS3.start();
    const { made, again } = await emptied(s3);
    // Of a member that is lost, and the same as if it were of another fleet.
    const lost = rig({ bucket: bucketAt(s3) });
    await lost.backups.runNow();
    for (const [key, object] of [...s3.objects].filter(([key]) => !made.some((name) => key.startsWith(name))))
      s3.objects.set(key.replace("aaaaaaaaaa-", "bbbbbbbbbb-"), object);
    expect(s3.keys).toHaveLength(8);
    expect(again.namesBefore(2)).toEqual(["bucket/ (not listed yet)"]);
    await again.listIfNeeded();
    const [older, newer] = made.map((name) => `bucket/${name}`);
    const ofLost = lost.names().map((name) => `bucket/${name}`);
    expect(again.namesBefore(2).toSorted()).toEqual([older ?? "", newer ?? "", ...ofLost].toSorted());
    expect(again.namesBefore(1)).not.toContain(newer);
  });

  test("is asked of the bucket only once something was purged, and then once an hour", async () => {
    await using s3 = await TestS3.start();
    const { again, clock, made } = await emptied(s3);
    const before = listings(s3);
    await again.listIfNeeded();
    expect(listings(s3)).toBe(before);
    again.namesBefore(1);
    await again.listIfNeeded();
    const once = listings(s3);
    expect(once).toBeGreaterThan(before);
    for (let minutes = 10; minutes < 60; minutes += 10) {
      clock.ms += 10 * 60_000;
      await again.listIfNeeded();
      expect(listings(s3)).toBe(once);
    }
    clock.ms += 10 * 60_000;
    // Removed by hand.
    for (const key of s3.keys) if (key.startsWith(String(made[0]))) s3.objects.delete(key);
    expect(again.namesBefore(1)).toEqual([`bucket/${made[0]}`]);
    await again.listIfNeeded();
    const twice = listings(s3);
    expect(twice).toBeGreaterThan(once);
    expect(again.namesBefore(1)).toEqual([]);
    // A clock that was set back does not put off the next listing.
    clock.ms -= DAY;
    await again.listIfNeeded();
    expect(listings(s3)).toBeGreaterThan(twice);
  });

  test("is said to be unknown while the bucket cannot be listed, beside what was known before", async () => {
    await using s3 = await TestS3.start();
    const { again, clock, made } = await emptied(s3);
    const failing = () => {
      for (let count = 0; count < 20; count += 1) s3.faults.push({ fits: /list-type/, fault: "500" });
    };
    again.namesBefore(1);
    failing();
    await again.listIfNeeded();
    expect(again.namesBefore(1)).toEqual([expect.stringMatching(/^bucket\/ \(cannot be listed: .*500/)]);
    s3.faults.splice(0);
    await again.listIfNeeded();
    expect(again.namesBefore(1)).toHaveLength(1);
    clock.ms += 10 * 60_000;
    await again.listIfNeeded();
    expect(again.namesBefore(1)).toEqual([`bucket/${made[0]}`]);
    clock.ms += HOUR;
    failing();
    await again.listIfNeeded();
    expect(again.namesBefore(1)).toEqual([expect.stringContaining("cannot be listed"), `bucket/${made[0]}`]);
  });
});

test("what a beat can hold of the names is the first ones, and how many more there are", () => {
  const dataDir = temporaryFolder();
  mkdirSync(join(dataDir, "aside", "2026"), { recursive: true });
  const store = Store.open({ folder: temporaryFolder(), migrations: MIGRATIONS, log: () => {} });
  const names = (count: number) => {
    const backupsBefore = () => Array.from({ length: count }, (_, at) => `${at}`.padStart(300, "x"));
    const purges = new OwnPurges({ reader: store.reader, dataDir, backupsBefore, monotonicMs: () => 0 });
    return purges.fields().kept ?? [];
  };
  expect(names(3)).toEqual([]);
  store.transaction((tx) => writeMeta(tx, { purged_seq: 9 }));
  expect(names(15)).toHaveLength(16);
  expect(names(15)[0]).toBe("aside/2026");
  const many = names(40);
  expect(many).toHaveLength(16);
  expect(many.at(-1)).toBe("and 26 more");
  expect(Math.max(...many.map((name) => name.length))).toBe(200);
  store.close();
});
