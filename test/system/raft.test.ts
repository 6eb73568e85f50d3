// Three members as processes under load: the leader is killed five times, stopped and continued, cut off; every
// acknowledged write is there once, on all alike.

import { afterEach, expect, test } from "bun:test";
import { eventually } from "../kit/eventually.ts";
import { digestOfStore, type Member, putCommand, startMember, stopMember } from "../kit/raft.ts";
import { temporaryFolder } from "../kit/temporary.ts";

const members: Member[] = [];

afterEach(async () => {
  for (const member of members.splice(0)) {
    member.driver.signal("SIGCONT");
    await stopMember(member);
  }
});

/** Starts three, the second and third from nothing but the first one's snapshot. */
async function startThree(flags: readonly string[] = []): Promise<void> {
  for (let at = 0; at < 3; at++) {
    const of = members[0];
    const more = of === undefined ? { bootstrap: true } : { of };
    members.push(await startMember({ folder: temporaryFolder(), flags, peers: members.slice(), ...more }));
  }
  const [first, ...others] = members;
  if (first === undefined) throw new Error("no members");
  await eventually("the first to lead", () => first.log.leadership().leading);
  await first.log.propose(putCommand("before/joining", 1));
  for (const { driver } of others) {
    // On a busy machine the leadership may go to a voter that was just added; whoever leads goes on.
    const change = (what: object) =>
      eventually(
        JSON.stringify(what),
        () =>
          leaderNow()
            ?.driver.command({ do: "", ...what })
            .then(
              () => true,
              () => false,
            ) ?? false,
        { withinMs: 15_000 },
      );
    await change({ do: "add", server: driver.server });
    await change({ do: "promote", server: driver.server });
  }
  await eventually("the others to have joined", async () => {
    // A server that does not know yet that another one votes refuses it its vote.
    for (const { driver, log } of members) {
      const known = await driver.command<{ members: { voter: boolean }[] }>({ do: "members" });
      if (known.members.filter(({ voter }) => voter).length !== 3) return false;
      if (log.position().epoch !== first.log.position().epoch || log.position().seq < 1) return false;
    }
    return true;
  });
}

function leaderNow(besides?: Member): Member | undefined {
  return members.find((member) => member !== besides && member.fatal.length === 0 && member.log.leadership().leading);
}

const leader = (besides?: Member) =>
  eventually("a leader", () => leaderNow(besides), {
    withinMs: 15_000,
    seen: () =>
      JSON.stringify(members.map(({ log, driver, fatal }) => [driver.server, log.leadership(), fatal.length])),
  });

/** Writers that try each write, with its key, until a leader acknowledges it. */
function load(writers: number) {
  const acknowledged: string[] = [];
  let running = true;
  const write = async (writer: number) => {
    for (let at = 0; running; at++) {
      const id = `w${writer}/x${at}`;
      for (let done = false; !done && running; ) {
        const at = leaderNow();
        try {
          if (at === undefined) await Bun.sleep(10);
          else {
            const { output } = await at.log.propose(putCommand(id, id, id));
            expect(output).toMatchObject({ version: 1 });
            acknowledged.push(id);
            done = true;
          }
        } catch (error) {
          if (!(error instanceof Error && "code" in error && error.code === "unavailable")) throw error;
          await Bun.sleep(10);
        }
      }
    }
  };
  const all = Promise.all(Array.from({ length: writers }, (_, at) => write(at)));
  return {
    acknowledged,
    /** Resolves when that many more are acknowledged. */
    more: (count: number) => {
      const wanted = acknowledged.length + count;
      return eventually(`${wanted} acknowledged writes`, () => acknowledged.length >= wanted, { withinMs: 20_000 });
    },
    end: async () => {
      running = false;
      await all;
    },
  };
}

/** Equal everywhere, and each acknowledged write once. */
async function settled(acknowledged: readonly string[]): Promise<void> {
  const first = await leader();
  await eventually("a barrier", () =>
    first.log.barrier().then(
      () => true,
      () => false,
    ),
  );
  const { seq } = first.log.position();
  await eventually("all to have applied it", () => members.every(({ log }) => log.position().seq === seq), {
    seen: () => JSON.stringify(members.map(({ log }) => [log.position(), log.leadership()])),
  });
  const heads = members.map(({ log }) => Buffer.from(log.head().hash).toString("hex"));
  expect(new Set(heads).size).toBe(1);
  expect(new Set(members.map(({ store }) => digestOfStore(store))).size).toBe(1);
  for (const { store, fatal } of members) {
    expect(fatal).toEqual([]);
    const rows = store.reader.all<{ target: string; n: number }>(
      "SELECT target, COUNT(*) AS n FROM changes GROUP BY target",
    );
    expect(rows.filter(({ n }) => n !== 1)).toEqual([]);
    const there = new Set(rows.map(({ target }) => target));
    expect(acknowledged.filter((id) => !there.has(id))).toEqual([]);
  }
}

async function restart(member: Member): Promise<void> {
  const at = members.indexOf(member);
  await stopMember(member);
  members[at] = await startMember({
    folder: member.folder,
    flags: FLAGS,
    peers: members.filter((other) => other !== member),
  });
}

/** Few kept entries, so that who was away needs a snapshot now and then. */
const FLAGS = ["--trailing=64", "--threshold=256"];

test("the leader is killed five times under load", async () => {
  await startThree(FLAGS);
  const writers = load(8);
  for (let round = 0; round < 5; round++) {
    await writers.more(150);
    const gone = await leader();
    gone.driver.signal("SIGKILL");
    await eventually("the engine to notice", () => gone.fatal.length > 0);
    await writers.more(50);
    await restart(gone);
  }
  await writers.more(50);
  await writers.end();
  expect(writers.acknowledged.length).toBeGreaterThan(1000);
  await settled(writers.acknowledged);
}, 60_000);

test("a leader that is stopped and goes on later leads no more, and has lost nothing", async () => {
  await startThree(FLAGS);
  const writers = load(4);
  await writers.more(50);
  const old = await leader();
  old.driver.signal("SIGSTOP");
  const next = await leader(old);
  const after = Array.from({ length: 20 }, (_, at) => next.log.propose(putCommand(`after/x${at}`, at)));
  await Promise.all(after);
  old.driver.signal("SIGCONT");
  // Whatever it believes of itself: a barrier that passes has brought everything acknowledged before it.
  const shown = next.log.position().seq;
  const passed = await old.log.barrier().then(
    () => true,
    () => false,
  );
  if (passed) expect(old.log.position().seq).toBeGreaterThanOrEqual(shown);
  await eventually("the old one to follow", () => !old.log.leadership().leading);
  await writers.more(50);
  await writers.end();
  await settled([...writers.acknowledged, ...Array.from({ length: 20 }, (_, at) => `after/x${at}`)]);
}, 60_000);

test("a leader that is cut off from the others acknowledges nothing", async () => {
  await startThree(FLAGS);
  const old = await leader();
  const others = members.filter((member) => member !== old);
  const rule = async (cut: boolean) => {
    for (const { driver } of others) {
      await old.driver.command({ do: "rule", server: driver.server, rule: { cutOut: cut, cutIn: cut } });
      await driver.command({ do: "rule", server: old.driver.server, rule: { cutOut: cut, cutIn: cut } });
    }
  };
  await rule(true);
  const cutOff = Promise.allSettled([old.log.propose(putCommand("lost/x", 1)), old.log.barrier()]);
  const next = await leader(old);
  await Promise.all(Array.from({ length: 30 }, (_, at) => next.log.propose(putCommand(`kept/x${at}`, at))));
  expect(await cutOff).toMatchObject([
    { status: "rejected", reason: { code: "unavailable", details: { outcome: "unknown" } } },
    { status: "rejected", reason: { code: "unavailable" } },
  ]);
  await rule(false);
  await settled(Array.from({ length: 30 }, (_, at) => `kept/x${at}`));
}, 60_000);
