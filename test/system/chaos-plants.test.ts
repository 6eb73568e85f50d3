// The checker over real logs: three members under load pass, and with a fault planted around them — an apply that skips
// or doubles, a feed that drops, a leader read without a barrier, an acknowledgement before commit, a copy without its
// keyed answers, votes that are not stored — they do not. Nor does a node of another build that answers reads with an
// earlier body.

import { afterEach, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Alteration, alteredCairn, alteredDriver, SHORT_LOG } from "../chaos/altered.ts";
import type { Target } from "../chaos/asks.ts";
import { addCallers } from "../chaos/callers.ts";
import { check, report } from "../chaos/checker.ts";
import type { Row, Run } from "../chaos/history.ts";
import { Load, type LoadOptions, rowOfRead } from "../chaos/load.ts";
import { endOfMembers, followMember, type MemberOptions, memberTarget, startMembers } from "../chaos/members.ts";
import { raftEventsOf } from "../chaos/raft-events.ts";
import { Random } from "../chaos/random.ts";
import { runScenario, type Scenario } from "../chaos/scenario.ts";
import { crashSwitched } from "../chaos/scenarios/crash-steps.ts";
import { forwardsRepeated } from "../chaos/scenarios/forwards-repeated.ts";
import { ALONE } from "../chaos/shapes.ts";
import { askVote } from "../kit/ask-vote.ts";
import { eventually } from "../kit/eventually.ts";
import { startFleet } from "../kit/fleet.ts";
import { applyContexts, type Member, startMember, stopMember } from "../kit/raft.ts";
import { temporaryFolder } from "../kit/temporary.ts";

const SEED = Date.now() % 100_000;
let members: Member[] = [];

afterEach(async () => {
  for (const member of members.splice(0)) {
    member.driver.signal("SIGCONT");
    await stopMember(member);
  }
});

const nameOf = (member: Member) => `member ${members.indexOf(member)}`;
const leader = (besides?: Member) =>
  eventually("a leader", () => members.find((member) => member !== besides && member.log.leadership().leading), {
    withinMs: 15_000,
  });

async function start(plant?: (at: number) => MemberOptions): Promise<void> {
  members = await startMembers(3, plant);
}

function load(targets: () => readonly Target[], more: Partial<LoadOptions> = {}): Load {
  console.log(`seed ${SEED}`);
  const options = { targets, clients: 6, prefix: "load/", keys: 5, patienceMs: 6000, ...more };
  return new Load({ random: new Random(SEED), ...options });
}

async function ended(rows: Row[], withinMs?: number): Promise<Run> {
  return { rows, feeds: [], ...(await endOfMembers(members, withinMs)) };
}

/** Where the members never become equal, so that nobody waits for that. */
const PLANTED_MS = 500;

const rulesOf = (run: Run) => [...new Set(check(run).map(({ rule }) => rule))];
const honest = () => members.map((member) => memberTarget(member, nameOf(member)));

test("nothing is wrong with members and feeds as they are, and a feed that drops the last row of a batch is found", async () => {
  await start();
  const follow = members.map((member) => followMember(member, nameOf(member)));
  const [first] = members;
  if (first === undefined) throw new Error("no members");
  const dropping = followMember(first, "that drops", (batch) => (batch.length > 1 ? batch.slice(0, -1) : batch));
  const running = load(honest);
  await running.more(150);
  const old = await leader();
  await old.driver.command({ do: "transfer" });
  await running.more(50);
  const rows = await running.stop();
  const run = await ended(rows);
  const feeds = await Promise.all(follow.map((stop) => stop()));
  expect(
    report({ ...run, feeds })
      .text.split("\n")
      .slice(1),
  ).toEqual([]);
  expect(rulesOf({ ...run, feeds: [await dropping()] })).toEqual(["feed"]);
}, 60_000);

test.each(["skips", "doubles"])(
  "an apply that %s commands on one node is found",
  async (what) => {
    let count = 0;
    await start((at) =>
      at !== 2
        ? {}
        : {
            apply: (tx, command, stamp) => {
              count += 1;
              // More than one, since one that is refused anyway changes nothing.
              if (count < 40 || count > 50) return applyContexts(tx, command, stamp);
              if (what === "skips") return { output: {}, changes: [] };
              applyContexts(tx, command, stamp);
              return applyContexts(tx, { ...command, input: withoutCondition(command.input) }, stamp);
            },
          },
    );
    const running = load(honest);
    await running.more(120);
    expect(rulesOf(await ended(await running.stop(), PLANTED_MS))).toContain("ends");
  },
  60_000,
);

test("a leader read that trusts what a stopped leader believes of itself is found", async () => {
  await start();
  const old = await leader();
  const others = () => honest().filter(({ name }) => name !== nameOf(old));
  old.driver.signal("SIGSTOP");
  await leader(old);
  const running = load(others);
  await running.more(30);
  // It was not told yet that it leads no more; a barrier would not pass.
  const trusting = memberTarget(old, nameOf(old), async ({ log }) => {
    if (!log.leadership().leading) throw new Error("not the leader");
  });
  const reads: Row[] = [];
  for (let at = 0; at < 5; at++) {
    const ask = { operation: "get", key: `load/k${at}`, consistency: "leader", shown: undefined } as const;
    const invokeMs = performance.now();
    const said = await trusting.read(ask, AbortSignal.timeout(1000));
    if (said.outcome !== "ok") throw new Error(`the old leader said ${said.code}`);
    const times = { invokeMs, completeMs: performance.now() };
    reads.push({ ...rowOfRead(ask, said), ...times, process: "reader", node: nameOf(old) });
  }
  old.driver.signal("SIGCONT");
  await running.more(10);
  const rows = await running.stop();
  expect(
    report(await ended(rows))
      .text.split("\n")
      .slice(1),
  ).toEqual([]);
  expect(rulesOf(await ended([...rows, ...reads]))).toContain("leader");
}, 60_000);

test("an acknowledgement before the commit is found when its leader is cut off", async () => {
  await start();
  const old = await leader();
  const others = members.filter((member) => member !== old);
  const rule = async (cut: boolean) => {
    for (const { driver } of others) {
      await old.driver.command({ do: "rule", server: driver.server, rule: { cutOut: cut, cutIn: cut } });
      await driver.command({ do: "rule", server: old.driver.server, rule: { cutOut: cut, cutIn: cut } });
    }
  };
  // Acknowledges what it has sent on its way, at the place that it expects, whatever becomes of it: it may have ceased
  // to lead before the load begins.
  const hasty = { ...memberTarget(old, nameOf(old)) };
  const proper = hasty.write;
  hasty.write = async (ask, signal) => {
    const said = proper(ask, signal);
    const place = { epoch: old.log.position().epoch, seq: old.log.position().seq + 1 };
    const soon = await Promise.race([said, Bun.sleep(20)]);
    return soon?.outcome === "ok" ? soon : { outcome: "ok", version: 1, hash: "", position: place };
  };
  await rule(true);
  const lost = load(() => [hasty], { draws: { put: 1, get: 1 } });
  await lost.more(3);
  await leader(old);
  const lostRows = await lost.stop();
  const kept = load(() => honest().filter(({ name }) => name !== nameOf(old)));
  await kept.more(20);
  await rule(false);
  const rows = await kept.stop();
  expect(rulesOf(await ended([...lostRows, ...rows]))).toContain("lost");
}, 60_000);

/** Runs a scenario on a fleet of another build, and expects what it finds. */
async function expectFound(scenario: Scenario, changes: readonly Alteration[], wanted: RegExp): Promise<void> {
  const command = await alteredCairn(changes);
  await using fleet = await startFleet({ ...scenario.fleet, command: async () => command });
  const callers = await addCallers(fleet);
  const found = runScenario(scenario, { fleet, callers, seed: SEED, say: console.log });
  await expect(found).rejects.toThrow(wanted);
}

test("a node that answers with the body of the version before, under the right ETag, is found", async () => {
  const altered: Alteration = {
    file: "src/features/context/get.ts",
    from: "content: textOf(row) }",
    to: "content: textOf(row.version < 3 ? row : requireVersion(reader, head, row.version - 1)) }",
  };
  const scenario: Scenario = {
    name: "earlier-bodies",
    title: "reads answer with the body of the version before",
    fleet: ALONE,
    seconds: 40,
    run: async (trial) => void (await trial.load({ draws: { put: 1, get: 1 } }).more(60)),
  };
  await expectFound(scenario, [altered], /body \(\d+\): a read answered another body/);
}, 90_000);

test("keys of forwarded writes that are not remembered are found where a write is forwarded twice", async () => {
  const altered: Alteration = {
    file: "src/log/idempotency.ts",
    from: '  const isRefusal = "fault" in outcome;\n',
    to: '  if (command.nodeKey === true) return;\n  const isRefusal = "fault" in outcome;\n',
  };
  await expectFound(forwardsRepeated, [altered], /once \(\d+\): a write was done more than once/);
}, 180_000);

test("votes that are not stored are found: a voter is killed after its vote, and asked by another candidate", async () => {
  const altered: Alteration = {
    file: "native/raftlog/stable.go",
    from: "if err := s.StableStore.Set(keyVote, append(numbers(s.term), value...)); err != nil {",
    to: "if err := error(nil); err != nil {",
  };
  const term = 1000;
  for (const build of [{}, { program: await alteredDriver([altered]) }]) {
    const driver = { ...build, logTo: join(temporaryFolder(), "raft.log") };
    await start((at) => (at === 2 ? driver : {}));
    const [one, other, voter] = members;
    if (one === undefined || other === undefined || voter === undefined) throw new Error("no members");
    // The voter is alone from here on, so that it cannot win an election, which would begin another term.
    await Promise.all([one, other].map(stopMember));
    members = [voter];
    expect(await askVote(voter.driver, one.driver.server, term)).toBe(true);
    await stopMember(voter);
    const back = await startMember({ ...driver, folder: voter.folder });
    members = [back];
    expect(await askVote(back.driver, other.driver.server, term)).toBe("program" in build);
    const run = { ...(await ended([])), raft: raftEventsOf(readFileSync(driver.logTo, "utf8")) };
    expect(run.raft).toContainEqual(expect.objectContaining({ kind: "votes", term, candidate: one.driver.server }));
    expect(rulesOf(run)).toEqual("program" in build ? ["two-votes"] : []);
    await stopMember(back);
    members = [];
  }
}, 180_000);

test("a pending copy that is lost is found after a crash between the install and its record", async () => {
  const altered: Alteration = {
    file: "native/raftlog/snapshots.go",
    from: "func (s *snapshots) removeStale() error {\n",
    to: "func (s *snapshots) removeStale() error {\n\tif err := s.dropPending(); err != nil {\n\t\treturn err\n\t}\n",
  };
  await expectFound(crashSwitched, [...SHORT_LOG, altered], /unasked-(end|aside) \(\d+\): regional-1/);
}, 300_000);

test("a copy without its keyed answers is found", async () => {
  const plant = (at: number): MemberOptions =>
    at === 2
      ? { cleanCopy: (tx) => tx.run("DELETE FROM idempotency") }
      : { flags: ["--trailing=16", "--threshold=64"] };
  await start(plant);
  const away = members[2];
  if (away === undefined) throw new Error("no third member");
  const others = members.slice(0, 2);
  for (const { driver } of others) {
    await driver.command({ do: "rule", server: away.driver.server, rule: { cutOut: true, cutIn: true } });
    await away.driver.command({ do: "rule", server: driver.server, rule: { cutOut: true, cutIn: true } });
  }
  const running = load(() => honest().slice(0, 2));
  await running.more(300);
  // The third may lead once it is back, and would then run a write of the load again.
  const rows = await running.stop();
  for (const { driver } of others) {
    await driver.command({ do: "snapshot" });
    await driver.command({ do: "rule", server: away.driver.server, rule: { cutOut: false, cutIn: false } });
    await away.driver.command({ do: "rule", server: driver.server, rule: { cutOut: false, cutIn: false } });
  }
  expect(rulesOf(await ended(rows, PLANTED_MS))).toEqual(["ends"]);
}, 60_000);

function withoutCondition(input: unknown): unknown {
  return { ...(input as object), if_match: null, if_none_match: null };
}
