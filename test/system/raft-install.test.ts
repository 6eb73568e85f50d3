// A member that was away gets the whole store as a copy while its readers, streams and waits are open: they go on as if
// nothing had happened, without a gap.

import { Database } from "bun:sqlite";
import { afterEach, describe, expect, test } from "bun:test";
import { rmSync, statfsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { removeRefusals } from "../../src/access/refusals.ts";
import { MIGRATIONS } from "../../src/features/index.ts";
import { KNOWN_LEVEL } from "../../src/log/level.ts";
import { formatPosition } from "../../src/log/position.ts";
import { granted, startCore } from "../kit/core.ts";
import { EventReader } from "../kit/event-reader.ts";
import { eventually } from "../kit/eventually.ts";
import { digestOfStore, type Member, putCommand, startMember, stopMember } from "../kit/raft.ts";
import { temporaryFolder } from "../kit/temporary.ts";
import { watchCopies } from "../kit/watch-copies.ts";

const members: Member[] = [];
afterEach(async () => {
  for (const member of members.splice(0)) await stopMember(member);
});

const MIB = 1024 ** 2;
const onRoot = process.getuid?.() === 0;
const FLAGS = ["--trailing=16", "--threshold=64"];
const reader = granted({ role: "reader", spaces: ["*"] });

test("streams and waits that are open go on over the install of a copy", async () => {
  const leader = await startMember({ folder: temporaryFolder(), bootstrap: true, flags: FLAGS });
  members.push(leader);
  await eventually("the first to lead", () => leader.log.leadership().leading);
  await leader.log.propose(putCommand("team/x0", 0));
  let installs = 0;
  let joins = 0;
  const follower = await startMember({
    folder: temporaryFolder(),
    flags: FLAGS,
    peers: [leader],
    of: leader,
    onJoined: () => {
      joins += 1;
    },
    cleanCopy: (tx) => {
      installs += 1;
      removeRefusals(tx);
    },
  });
  members.push(follower);
  expect(follower.log.ready()).toBe(false);
  await expect(follower.log.propose(putCommand("team/no", 1))).rejects.toMatchObject({ code: "unavailable" });
  await leader.driver.command({ do: "add", server: follower.driver.server, previous: 0 });
  await eventually("the follower to have the first write", () => follower.log.position().seq === 1);
  expect(follower.log.ready()).toBe(true);
  const installsBefore = installs;
  const before = follower.store.path;

  await using core = startCore({ over: follower });
  const since = formatPosition(follower.log.position());
  const response = await core.http(`/changes?since=${since}`, { headers: { accept: "text/event-stream" } }, reader);
  expect(response.status).toBe(200);
  await using stream = new EventReader(response);
  const wait = core.call("context_wait", { id: "team/x300", since, timeout_seconds: 30 }, reader);
  const list = core.call("context_list", {}, reader);

  const cut = async (on: boolean) => {
    const rule = { cutOut: on, cutIn: on };
    await leader.driver.command({ do: "rule", server: follower.driver.server, rule });
    await follower.driver.command({ do: "rule", server: leader.driver.server, rule });
  };
  await cut(true);
  // One entry each: what is away is longer than what stays behind a snapshot.
  for (let at = 1; at <= 300; at++) await leader.log.propose(putCommand(`team/x${at}`, at));
  leader.store.transaction((tx) =>
    tx.run("INSERT INTO refusals (minute, caller, verb, space, operation, count) VALUES (1, 'x', 'read', 's', 'o', 1)"),
  );
  await leader.driver.command({ do: "snapshot" });
  expect(follower.log.position().seq).toBe(1);
  await cut(false);

  for (let at = 1; at <= 300; at++) expect((await stream.change()).target).toBe(`team/x${at}`);
  expect(await wait).toMatchObject({ changes: [{ target: "team/x300" }] });
  await list;
  expect([installs, joins]).toEqual([installsBefore + 1, 1]);
  expect(follower.store.path).not.toBe(before);
  expect(follower.store.reader.get("SELECT COUNT(*) AS n FROM refusals")).toEqual({ n: 0 });
  // And over what comes as entries afterwards.
  await leader.log.propose(putCommand("team/after", 1));
  expect((await stream.change()).target).toBe("team/after");
  expect(await core.call("context_get", { id: "team/x123" }, reader)).toMatchObject({ content: 123 });
  expect(digestOfStore(follower.store)).toBe(digestOfStore(leader.store));
  expect(follower.fatal).toEqual([]);
}, 60_000);

describe("a copy that cannot be installed leaves the member with what it had, over restarts and broken transfers:", () => {
  test.each<[string, Trouble]>([
    [
      "of a newer schema",
      { migrations: [...MIGRATIONS, { id: MIGRATIONS.length + 1, level: KNOWN_LEVEL, name: "next", sql: "SELECT 1" }] },
    ],
    ["no room for the install", { leaveBytes: 5 * MIB }],
    ["no room for the transfer", { leaveBytes: 1 * MIB }],
  ])(
    "%s",
    async (_name, { migrations = MIGRATIONS, leaveBytes }) => {
      if (leaveBytes !== undefined && !onRoot) return;
      const folders = { leader: temporaryFolder(), follower: temporaryFolder() };
      using disk = leaveBytes === undefined ? undefined : smallDisk(folders.follower);
      let leader = await startMember({ folder: folders.leader, bootstrap: true, flags: FLAGS });
      members.push(leader);
      await eventually("the first to lead", () => leader.log.leadership().leading);
      let follower = await startMember({ folder: folders.follower, flags: FLAGS, peers: [leader], of: leader });
      members.push(follower);
      await leader.driver.command({ do: "add", server: follower.driver.server, previous: 0 });
      await leader.log.propose(putCommand("team/first", 0));
      await eventually("the follower to have the first write", () => follower.log.position().seq === 1);

      // It is away until the leader's log no longer reaches back to it.
      await end(follower);
      for (let at = 1; at <= 300; at++)
        await leader.log.propose(putCommand(`team/x${at}`, `${at}`.padEnd(12_000, "x")));
      await leader.driver.command({ do: "snapshot" });
      if (migrations !== MIGRATIONS) {
        await end(leader);
        leader = await startMember({ folder: folders.leader, flags: FLAGS, migrations });
        members.push(leader);
        await eventually("it to lead again", () => leader.log.leadership().leading);
      }
      disk?.fill(leaveBytes ?? 0);
      for (const round of [1, 2]) {
        follower = await startMember({ folder: folders.follower, flags: FLAGS, peers: [leader], of: leader });
        members.push(follower);
        expect(follower.log.position().seq).toBe(1);
        using transfers = watchCopies(join(follower.folder, "raft"));
        await transfers.more(1);
        expect([round, follower.fatal]).toEqual([round, []]);
        await end(follower);
      }
      disk?.free();
      if (migrations !== MIGRATIONS) {
        await end(leader);
        const store = new Database(leader.store.path);
        store.run(`PRAGMA user_version = ${MIGRATIONS.length}`);
        store.close();
        leader = await startMember({ folder: folders.leader, flags: FLAGS });
        members.push(leader);
        await eventually("it to lead again", () => leader.log.leadership().leading);
      }
      follower = await startMember({ folder: folders.follower, flags: FLAGS, peers: [leader], of: leader });
      members.push(follower);
      await leader.log.propose(putCommand("team/after", 1));
      await eventually("the follower to catch up", () => follower.log.position().seq === 302);
      expect(digestOfStore(follower.store)).toBe(digestOfStore(leader.store));
      await end(follower);
      await end(leader);
    },
    90_000,
  );
});

interface Trouble {
  migrations?: typeof MIGRATIONS;
  leaveBytes?: number;
}

/** Ends a member as a crash would: the driver is killed first. */
async function end(member: Member): Promise<void> {
  members.splice(members.indexOf(member), 1);
  await member.driver.end();
  await member.log.close();
  member.store.close();
}

/** A tmpfs over a folder, with a file that takes its room. */
function smallDisk(folder: string) {
  const mount = (...cmd: string[]) => expect(Bun.spawnSync({ cmd }).exitCode).toBe(0);
  mount("mount", "-t", "tmpfs", "-o", "size=32m,mode=0700", "none", folder);
  const ballast = join(folder, "ballast");
  return {
    fill: (leave: number) => {
      const { bavail, bsize } = statfsSync(folder);
      writeFileSync(ballast, Buffer.alloc(bavail * bsize - leave, 1));
    },
    free: () => rmSync(ballast),
    [Symbol.dispose]: () => void Bun.spawnSync({ cmd: ["umount", "-l", folder] }),
  };
}
