// Claims of leases as apply keeps them: the bounds of caller and fleet, the epoch in a fence, the revision of what is
// granted next; and which waits and pages of lists are refused.

import { afterEach, beforeEach, expect, test } from "bun:test";
import { grant, joinLine, MAX_LEASES, MAX_WAITERS } from "../../src/features/lease/claims.ts";
import { type Claim, leaseOf } from "../../src/features/lease/rows.ts";
import { LeaseTerms } from "../../src/features/lease/terms.ts";
import { leaseProblem } from "../../src/features/lease/verify.ts";
import { LatestChanges } from "../../src/log/latest-changes.ts";
import type { Command, Log } from "../../src/log/log.ts";
import { checkFence, newestGrant, noteEnd, noteGrant, parseFence } from "../../src/operation/fence.ts";
import { eventually } from "../kit/eventually.ts";
import { type Leases, startLeases } from "../kit/leases.ts";
import { logWith } from "../kit/log-with.ts";
import { refusal } from "../kit/refusal.ts";

let leases: Leases;
beforeEach(() => {
  leases = startLeases();
});
afterEach(() => leases[Symbol.asyncDispose]());

const ANN: Omit<Claim, "name" | "seq"> = { n: 1, caller: "user:ann@x", agent: "", purpose: "", ttl_ms: 60_000 };
const others = (seq: number): Omit<Claim, "name"> => ({ ...ANN, caller: `user:c${seq % 100}@x`, seq });

const acquire = (who: string, name: string, more: object = {}) =>
  leases.call(who, "lease_acquire", { name, ...more }) as Promise<Record<string, unknown> & { fence: string }>;
const problem = () => {
  const latest = new LatestChanges();
  return leaseProblem(leases.core.store.reader, latest, { signal: AbortSignal.timeout(5_000), spend: () => {} });
};

test("places in line count for their caller like leases", async () => {
  await acquire("bob", "team/a", { ttl_seconds: 3600 });
  await acquire("ann", "team/a", { wait_seconds: 60 });
  leases.core.store.transaction((tx) => {
    for (let seq = 1; seq < 512; seq += 1) grant(tx, { ...ANN, name: `team/${seq}`, seq }, seq, 0);
  });
  expect(await refusal(acquire("ann", "team/b"))).toMatchObject({ code: "quota_exceeded", details: { limit: 512 } });
});

test("a fleet has so many leases", async () => {
  leases.core.store.transaction((tx) => {
    for (let seq = 1; seq <= MAX_LEASES; seq += 1) grant(tx, { ...others(seq), name: `team/${seq}` }, seq, 0);
  });
  expect(await refusal(acquire("ann", "team/a"))).toMatchObject({
    code: "quota_exceeded",
    details: { limit: MAX_LEASES },
  });
}, 30_000);

test("a fleet has so many claims in line", async () => {
  await acquire("bob", "team/a", { ttl_seconds: 3600 });
  leases.core.store.transaction((tx) => {
    const untilMs = leases.wallMs() + 60_000;
    const add = (seq: number) => joinLine(tx, { ...others(seq), name: `line/${Math.ceil(seq / 60)}` }, untilMs);
    for (let seq = 1; seq <= MAX_WAITERS; seq += 1) add(seq);
  });
  const refused = await refusal(acquire("ann", "team/a", { wait_seconds: 10 }));
  expect(refused).toMatchObject({ code: "quota_exceeded", details: { limit: MAX_WAITERS } });
  expect(refused.details).not.toHaveProperty("expires_in_seconds");
}, 60_000);

test("a node that measures no terms does not say how long a lease is held", async () => {
  await acquire("bob", "team/a");
  leases.depose();
  const refused = await refusal(acquire("ann", "team/a"));
  expect([refused.code, Object.hasOwn(refused.details, "expires_in_seconds")]).toEqual(["lease_held", false]);
});

test("a fence has the number of the newest epoch, so that it is above all of those before", async () => {
  const before = await acquire("ann", "team/a");
  expect(before.fence).toStartWith("team/a@1-");
  leases.core.store.transaction((tx) =>
    tx.run("INSERT INTO epochs (n, id, parent, fork_seq, fork_hash) SELECT 2, 'ffffffffff', id, 1, x'' FROM epochs"),
  );
  expect((await acquire("ann", "team/b")).fence).toStartWith("team/b@2-");
});

test("the fence of a claim in another epoch is another one, although its seq is the same", async () => {
  const { fence } = await acquire("ann", "team/a");
  leases.core.store.transaction((tx) => tx.run("UPDATE leases SET n = 2"));
  const claim = { name: "team/a", fence };
  expect((await refusal(leases.call("ann", "lease_renew", claim))).code).toBe("lease_lost");
  expect(await leases.call("ann", "lease_release", claim)).toEqual({ released: false });
});

test("what is granted next is of the change that granted it, by which it expires and is audited", async () => {
  const { fence } = await acquire("ann", "team/a");
  await acquire("bob", "team/a", { wait_seconds: 60 });
  await leases.call("ann", "lease_release", { name: "team/a", fence });
  const { reader } = leases.core.store;
  expect(leaseOf(reader, "team/a")?.revision).toBe(leases.core.log.position().seq);
  expect(await problem()).toBeUndefined();
  leases.core.store.transaction((tx) => tx.run("UPDATE leases SET revision = revision - 1"));
  expect(await problem()).toContain("is not as it was granted");
});

test("a lease is audited as a grant made it: a claim in line granted nothing, a new term did", async () => {
  const { fence } = await acquire("ann", "team/a");
  const queued = await acquire("bob", "team/a", { wait_seconds: 60 });
  await leases.call("ann", "lease_release", { name: "team/a", fence });
  await leases.call("bob", "lease_acquire", { name: "team/a", fence: queued.fence, for: "more" });
  expect(await problem()).toBeUndefined();
  leases.core.store.transaction((tx) => tx.run("UPDATE leases SET purpose = '', revision = seq"));
  expect(await problem()).toContain("is not as it was granted");
});

test("a place in line is kept with its fence, and given back once, which moves the others up", async () => {
  await acquire("ann", "team/a");
  const [bob, cyd] = [
    await acquire("bob", "team/a", { wait_seconds: 60 }),
    await acquire("cyd", "team/a", { wait_seconds: 60 }),
  ];
  expect([bob["place"], cyd["place"]]).toEqual([1, 2]);
  const again = await acquire("bob", "team/a", { fence: bob.fence, wait_seconds: 60, for: "more" });
  expect(again).toMatchObject({ granted: false, place: 1, fence: bob.fence, for: "more" });
  const release = () => leases.call("bob", "lease_release", { name: "team/a", fence: bob.fence });
  expect([await release(), await release()]).toEqual([{ released: true }, { released: false }]);
  const waited = { name: "team/a", fence: cyd.fence, timeout_seconds: 0 };
  expect(await leases.call("cyd", "lease_wait", waited)).toMatchObject({ state: "waiting", place: 1 });
});

test("an expiry is about one claim and one term of it", async () => {
  await acquire("ann", "team/a");
  const { name, n, seq, revision } = leaseOf(leases.core.store.reader, "team/a") ?? expect.unreachable();
  const expire = async (more: object) => {
    const input = { name, n, seq, revision, ...more };
    const { output } = await leases.core.log.propose({
      ...{ name: "lease_expire", v: 1, input, caller: "node", via: "", key: "" },
    });
    return output["expired"];
  };
  // A history that is another from some seq on has its own claims and terms of the same numbers.
  for (const other of [{ n: n + 1 }, { seq: seq + 1 }, { revision: revision + 1 }, { name: "team/b" }])
    expect([other, await expire(other)]).toEqual([other, false]);
  expect(await expire({})).toBe(true);
  expect(leaseOf(leases.core.store.reader, "team/a")).toBeUndefined();
});

test("after another history the leader measures the leases of that one, each with a whole term", async () => {
  const { core, terms } = leases;
  await acquire("ann", "team/a", { ttl_seconds: 60 });
  await acquire("ann", "team/b", { ttl_seconds: 60 });
  await leases.pass(20_000);
  const head = core.log.changes.head();
  core.store.transaction((tx) => {
    tx.run("DELETE FROM leases WHERE name = 'team/a'");
    grant(tx, { ...ANN, name: "team/c", seq: head.seq }, head.seq, 0);
  });
  core.log.changes.fork(head);
  const left = () => ["team/a", "team/b", "team/c"].map((name) => terms.leftMs(core.store.reader, name));
  expect(left()).toEqual([undefined, 60_000, 60_000]);
  await leases.pass(20_000);
  await acquire("ann", "team/a", { ttl_seconds: 60 });
  expect(left()).toEqual([60_000, 40_000, 40_000]);
});

test("a leader proposes so many expiries at once, and the rest once some are decided", async () => {
  const asked: string[] = [];
  const { promise: never } = Promise.withResolvers<never>();
  const propose = (log: Log) => (command: Command) => {
    if (command.name !== "lease_expire") return log.propose(command);
    asked.push(String((command.input as { name: string }).name));
    return never;
  };
  await using many = startLeases({ wrapLog: (log) => logWith(log, { propose: propose(log) }) });
  many.core.store.transaction((tx) => {
    for (let seq = 1; seq <= 300; seq += 1) grant(tx, { ...others(seq), name: `team/${seq}` }, seq, 0);
  });
  many.lead();
  await many.pass(60_000);
  await many.pass(1_000);
  expect([asked.length, new Set(asked).size]).toEqual([256, 256]);
});

test("a leader looks by itself for terms that are over, again after there were none", async () => {
  const { core } = leases;
  let nowMs = 0;
  const terms = new LeaseTerms({
    ...{ reader: core.store.reader, log: () => core.log, operations: new Set(["lease_acquire", "lease_expire"]) },
    clock: { nowMs: () => nowMs, since: "test", stepMs: 0 },
  });
  const leading = new AbortController();
  terms.lead({ term: 2, signal: leading.signal });
  for (const name of ["team/a", "team/b"]) {
    await acquire("ann", name, { ttl_seconds: 5 });
    nowMs += 5_000;
    await eventually(`${name} ends`, () => leaseOf(core.store.reader, name) === undefined);
  }
  leading.abort();
});

test("a leader follows however many changes come at once", async () => {
  const { core, terms } = leases;
  const { epoch, seq: from } = core.log.changes.head();
  const upTo = from + 512;
  core.store.transaction((tx) => {
    tx.run(
      `INSERT INTO changes (seq, epoch, log_time, caller, via, operation, target, version, content_hash, outcome, hash)
         WITH RECURSIVE i(at) AS (SELECT ? + 1 UNION ALL SELECT at + 1 FROM i WHERE at <= ?)
         SELECT at, ?, 0, 'user:ann@x', '', 'lease_acquire', 'team/' || at, at, '', 'acquired', x'' FROM i`,
      ...[from, upTo, epoch],
    );
    grant(tx, { ...ANN, name: `team/${upTo + 1}`, seq: upTo + 1 }, upTo + 1, 0);
  });
  // As after a copy of the store: followers go on from its rows.
  core.log.changes.restart({ epoch, seq: upTo + 1 });
  expect(terms.leftMs(core.store.reader, `team/${upTo + 1}`)).toBe(60_000);
});

test("a wait is refused at a position of another history, and gives way to a newer one of its caller", async () => {
  await using few = startLeases({ streamsPerCaller: 1 });
  await few.call("ann", "lease_acquire", { name: "team/a" });
  const wait = (more: object = {}) => few.call("bob", "lease_wait", { name: "team/a", timeout_seconds: 5, ...more });
  expect((await refusal(wait({ since: "ffffffffff-1" }))).code).toBe("history_forked");
  const first = refusal(wait());
  await Bun.sleep(20);
  const second = wait({ timeout_seconds: 0 });
  expect((await first).code).toBe("rate_limited");
  expect(await second).toMatchObject({ state: "held", timed_out: true });
});

test("a wait by a fence that is newer than this node's state waits for it, and never says that its claim is gone", async () => {
  const wait = (fence: string) => leases.call("ann", "lease_wait", { name: "team/a", fence, timeout_seconds: 0 });
  await acquire("ann", "team/b");
  const { fence } = await acquire("ann", "team/a");
  const seq = Number(fence.split("-").at(-1));
  expect(await wait(`team/a@1-${seq - 1}`)).toMatchObject({ state: "gone" });
  expect((await refusal(wait(`team/a@1-${seq + 1}`))).code).toBe("unavailable");
  await leases.call("ann", "lease_release", { name: "team/a", fence });
  const { position } = (await leases.call("ann", "lease_wait", { name: "team/a" })) as { position: string };
  const next = `team/a@1-${Number(position.split("-").at(-1)) + 1}`;
  const waiting = wait(next);
  expect((await acquire("ann", "team/a")).fence).toBe(next);
  expect(await waiting).toMatchObject({ state: "granted" });
});

test("a cursor of a list is the one that a page had", async () => {
  for (const name of ["team/a", "team/b"]) await acquire("ann", name);
  const list = (more: object) => leases.call("ann", "lease_list", { limit: 1, ...more });
  const { cursor } = (await list({})) as { cursor: string };
  expect(await list({ cursor })).toMatchObject({ leases: [{ name: "team/b" }] });
  for (const wrong of [`${cursor}=`, Buffer.from("../x").toString("base64url")])
    expect((await refusal(list({ cursor: wrong }))).code).toBe("invalid_input");
});

test("the fence of a held lease is kept however many others are free, and is that of its epoch alone", () => {
  const { store } = leases.core;
  const held = { name: "team/held", n: 1, seq: 1 };
  store.transaction((tx) => {
    noteGrant(tx, held);
    tx.run(
      `INSERT INTO fences (name, n, seq, held)
         WITH RECURSIVE i(at) AS (SELECT 2 UNION ALL SELECT at + 1 FROM i WHERE at < 10000)
         SELECT 'free/' || at, 1, at, 0 FROM i`,
    );
    noteGrant(tx, { name: "team/last", n: 1, seq: 20_000 });
    noteEnd(tx, "team/last");
  });
  expect(() => checkFence(store.reader, held)).not.toThrow();
  store.transaction((tx) => {
    noteGrant(tx, { name: "team/more", n: 1, seq: 20_001 });
    noteEnd(tx, "team/more");
  });
  expect(() => checkFence(store.reader, held)).not.toThrow();
  expect(() => checkFence(store.reader, { ...held, n: 2 })).toThrow("is not the newest grant");
  expect([newestGrant(store.reader, "free/2"), newestGrant(store.reader, "free/3")?.seq]).toEqual([undefined, 3]);
  // The same name however it was typed.
  expect(parseFence("team/e\u0301@1-2")?.name).toBe("team/\u00e9");
});
