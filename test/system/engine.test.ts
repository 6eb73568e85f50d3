// The replicated log of a real node: what a start makes, what it refuses and how one gets out of it, an entry that
// cannot be applied, and a store of before.

import { afterEach, describe, expect, test } from "bun:test";
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { finished } from "../../scripts/finished.ts";
import { loadSettings } from "../../src/config/load.ts";
import { readSecrets } from "../../src/config/secrets.ts";
import { requestQuarantine } from "../../src/datadir/next-start.ts";
import { MIGRATIONS, SETTING_TABLES } from "../../src/features/index.ts";
import { DirectLog } from "../../src/log/engine/direct/index.ts";
import type { Apply } from "../../src/log/log.ts";
import { formatPosition } from "../../src/log/position.ts";
import type { NodeEvent } from "../../src/node/report/events.ts";
import { startNode } from "../../src/node/start.ts";
import { Store } from "../../src/store/store.ts";
import { LoopbackTailnet } from "../../src/tailnet/index.ts";
import { eventually } from "../kit/eventually.ts";
import { cairnCommand, spawnNode, type TestNode } from "../kit/node.ts";
import { applyContexts, putCommand, startMember, stopMember } from "../kit/raft.ts";

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

function dataFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "cairn-engine-"));
  folders.push(folder);
  return join(folder, "data");
}

const start = (dataDir: string) => spawnNode({ args: ["--conformance"], dataDir });

/** Runs a node over the folder while `use` does something with it. */
async function withNode<T>(dataDir: string, use: (node: TestNode) => Promise<T>): Promise<T> {
  await using node = await start(dataDir);
  await node.ready();
  const result = await use(node);
  expect((await node.stop()).code).toBe(0);
  return result;
}

const put = (id: string, text: string) => async (node: TestNode) => {
  const { code, err } = await node.cli(["context", "put", id], text);
  expect({ code, err }).toEqual({ code: 0, err: "" });
};

async function refusedStart(dataDir: string): Promise<{ code: number | null; err: string }> {
  await using node = await start(dataDir);
  const { code, err } = await node.exited();
  return { code, err };
}

/** `cairn` beside no node. */
async function cairn(...words: string[]): Promise<{ code: number; out: string; err: string }> {
  const env = { PATH: process.env["PATH"] ?? "", HOME: tmpdir(), TMPDIR: tmpdir() };
  const child = Bun.spawn({ cmd: [...(await cairnCommand("source")), ...words], env, stdout: "pipe", stderr: "pipe" });
  return finished(child);
}

test("a store that was written without raft is carried over, and is a fleet of one from then on", async () => {
  const dataDir = dataFolder();
  const store = Store.open({ folder: join(dataDir, "store"), migrations: MIGRATIONS, log: () => {} });
  const log = new DirectLog({ store, apply: applyContexts, nowMs: Date.now, onFatal: () => {} });
  for (let at = 1; at <= 20; at++) await log.propose(putCommand("a/x", at));
  const before = formatPosition(log.position());
  await log.close();
  store.close();
  await withNode(dataDir, async (node) => {
    expect((await node.cli(["context", "get", "a/x"])).out).toBe("20");
    const status = JSON.parse((await node.cli(["status", "--json"])).out);
    expect(status.position).toBe(before);
    await put("a/x", "21")(node);
    expect((await node.cli(["audit", "--verify"])).code).toBe(0);
  });
  expect(readdirSync(join(dataDir, "raft")).sort()).toEqual([
    ...["entries", "log.db", "server", "snapshot.json", "votes.db"],
  ]);
  // Again from its own raft folder.
  await withNode(dataDir, async (node) => expect((await node.cli(["context", "get", "a/x"])).out).toBe("21"));
}, 60_000);

describe("folders that do not belong together are refused with words, and recover goes on from the store", () => {
  const lost: [string, (dataDir: string, other: string) => void, string][] = [
    ["the raft folder is lost", (dataDir) => rmSync(join(dataDir, "raft"), { recursive: true }), "raft is not there"],
    [
      "the raft folder is another node's",
      (dataDir, other) => {
        rmSync(join(dataDir, "raft"), { recursive: true });
        cpSync(join(other, "raft"), join(dataDir, "raft"), { recursive: true });
      },
      "the store beside it of",
    ],
  ];

  test.each(lost)(
    "%s",
    async (_name, damage, words) => {
      const [dataDir, other] = [dataFolder(), dataFolder()];
      await withNode(dataDir, put("a/x", "one"));
      await withNode(other, put("b/y", "two"));
      damage(dataDir, other);
      const { code, err } = await refusedStart(dataDir);
      expect(code).toBe(44);
      expect(err).toContain(words);
      expect(err).toContain("cairn recover --accept-loss");
      const bare = await cairn("recover", "--data", dataDir);
      expect(bare.code).toBe(2);
      expect(bare.err).toContain("--accept-loss");
      // What a member of a larger fleet leaves for its next start must not undo the recovery.
      requestQuarantine(dataDir, "it was quarantined");
      const recovered = await cairn("recover", "--accept-loss", "--data", dataDir);
      expect(recovered.code).toBe(0);
      expect(existsSync(join(dataDir, "set-aside.json"))).toBe(false);
      // Another node's log is not read, and that is said.
      expect(recovered.err.includes("only the store was used")).toBe(words.includes("beside it of"));
      expect(recovered.out).toMatch(/kept 1 context, up to [0-9a-f]{10}-1; a new history [0-9a-f]{10} begins/);
      const before = recovered.out.match(/[0-9a-f]{10}-1/)?.[0] ?? "";
      await withNode(dataDir, async (again) => {
        expect((await cairn("recover", "--accept-loss", "--data", dataDir)).code).toBe(41);
        expect((await again.cli(["context", "get", "a/x"])).out).toBe("one");
        await put("a/x", "more")(again);
        const watch = async (since: string) =>
          (await again.cli(["call", "context_wait", JSON.stringify({ since, timeout_seconds: 1 })])).err;
        // What both histories share goes on; what lies beyond the fork is another history.
        expect(await watch(before)).toBe("");
        expect(await watch(before.replace(/-1$/, "-2"))).toContain("history");
        expect((await again.cli(["audit", "--verify"])).code).toBe(0);
      });
    },
    60_000,
  );

  test("the store is lost, or put back to an older copy", async () => {
    const dataDir = dataFolder();
    await withNode(dataDir, put("a/x", "one"));
    cpSync(join(dataDir, "store"), join(dataDir, "older"), { recursive: true });
    const member = await startMember({ folder: dataDir });
    await eventually("it to lead", () => member.log.leadership().leading);
    await member.log.propose(putCommand("a/x", "two"));
    await member.driver.command({ do: "snapshot" });
    await stopMember(member);

    renameSync(join(dataDir, "store"), join(dataDir, "newest"));
    const gone = await refusedStart(dataDir);
    expect(gone.code).toBe(44);
    expect(gone.err).toContain("store is not there");
    // Refused before anything was made: a second start says the same.
    expect(existsSync(join(dataDir, "store"))).toBe(false);

    renameSync(join(dataDir, "older"), join(dataDir, "store"));
    const older = await refusedStart(dataDir);
    expect(older.code).toBe(44);
    expect(older.err).toContain("older copy");

    rmSync(join(dataDir, "store"), { recursive: true });
    renameSync(join(dataDir, "newest"), join(dataDir, "store"));
    await withNode(dataDir, async (node) => expect((await node.cli(["context", "get", "a/x"])).out).toBe("two"));
  }, 60_000);
});

test("who is left goes on alone with all that its log holds, though its store is behind", async () => {
  const dataDir = dataFolder();
  await withNode(dataDir, put("a/x", "one"));
  const behind = join(dataDir, "..", "before");
  cpSync(join(dataDir, "store"), behind, { recursive: true });
  const first = await startMember({ folder: dataDir });
  await eventually("it to lead", () => first.log.leadership().leading);
  // A second voter, without which nothing is acknowledged from then on.
  const second = await startMember({ folder: dirname(dataFolder()), peers: [first], of: first });
  await first.driver.command({ do: "add", server: second.driver.server, previous: 0 });
  await eventually("it to follow", () => second.log.ready());
  await first.driver.command({ do: "promote", server: second.driver.server });
  for (const text of ["two", "three"]) await first.log.propose(putCommand("a/x", text));
  await stopMember(second);
  await stopMember(first);
  rmSync(join(dataDir, "store"), { recursive: true });
  cpSync(behind, join(dataDir, "store"), { recursive: true });

  // One that ends between its steps has taken the other voter out of a history that is still theirs: nothing starts
  // from that.
  writeFileSync(join(dataDir, "aside"), "");
  expect((await cairn("recover", "--accept-loss", "--data", dataDir)).code).not.toBe(0);
  expect(await refusedStart(dataDir)).toMatchObject({ code: 44, err: expect.stringContaining("did not end") });
  rmSync(join(dataDir, "aside"));

  const recovered = await cairn("recover", "--accept-loss", "--data", dataDir);
  expect(recovered.err).not.toContain("only the store was used");
  expect(recovered.out).toMatch(/kept 1 context, up to [0-9a-f]{10}-3; a new history/);
  await withNode(dataDir, async (node) => {
    expect((await node.cli(["context", "get", "a/x"])).out).toBe("three");
    await put("a/x", "four")(node);
  });
}, 60_000);

test("an entry that this build does not know stops every start with words, and loses nothing for the build that does", async () => {
  const dataDir = dataFolder();
  await withNode(dataDir, put("a/x", "one"));
  const unapplied = join(dataDir, "..", "before");
  cpSync(join(dataDir, "store"), unapplied, { recursive: true });
  const newer: Apply = (tx, command, stamp) =>
    command.name === "future_thing" ? { output: {}, changes: [] } : applyContexts(tx, command, stamp);
  const future = { ...putCommand("a/z", 1), name: "future_thing" };
  const member = await startMember({ folder: dataDir, apply: newer });
  await eventually("it to lead", () => member.log.leadership().leading);
  await member.log.propose(putCommand("a/x", "two"));
  await member.log.propose(future);
  await member.log.propose(putCommand("a/x", "three"));
  await stopMember(member);
  // The store as it was before these entries, which the log still holds.
  rmSync(join(dataDir, "store"), { recursive: true });
  cpSync(unapplied, join(dataDir, "store"), { recursive: true });

  for (let again = 0; again < 2; again++) {
    const { code, err } = await refusedStart(dataDir);
    expect(code).toBe(42);
    expect(err).toContain("future_thing");
    expect(err).toContain("Start a version that knows it");
  }
  const knows = await startMember({ folder: dataDir, apply: newer });
  await eventually("all to be applied", () => knows.log.position().seq === 3);
  expect(knows.fatal).toEqual([]);
  await stopMember(knows);
}, 60_000);

test("a store of a higher fleet level is refused, and left as it is", async () => {
  const dataDir = dataFolder();
  await withNode(dataDir, put("a/x", "one"));
  const store = Store.open({ folder: join(dataDir, "store"), migrations: MIGRATIONS, log: () => {} });
  store.transaction((tx) => tx.run("UPDATE meta SET value = 99 WHERE key = 'fleet_level'"));
  store.close();
  const record = readFileSync(join(dataDir, "raft", "snapshot.json"), "utf8");
  const { code, err } = await refusedStart(dataDir);
  expect(code).toBe(42);
  expect(err).toContain("fleet level 99");
  expect(readFileSync(join(dataDir, "raft", "snapshot.json"), "utf8")).toBe(record);
}, 60_000);

test("a clock that jumps a day ahead is not followed: what is written keeps the time that went by, and status says so", async () => {
  const dataDir = dataFolder();
  let aheadMs = 0;
  const env = { TMPDIR: dirname(dataDir) };
  const events: NodeEvent[] = [];
  const node = await startNode({
    loaded: loadSettings({ tables: SETTING_TABLES, flags: { data: dataDir }, env }),
    secrets: readSecrets(env),
    env,
    report: (event) => events.push(event),
    loopbackPort: 0,
    tailnet: async (log) => new LoopbackTailnet(log),
    nowMs: () => Date.now() + aheadMs,
  });
  try {
    const url = await eventually("the node to serve", () =>
      events.flatMap((event) => (event.event === "ready" ? [event.localUrl ?? ""] : [])).at(0),
    );
    const write = async (): Promise<number> => {
      const put = await fetch(`${url}/contexts/a/x`, {
        method: "PUT",
        body: "text",
        headers: { "content-type": "text/plain" },
      });
      expect(put.ok).toBe(true);
      const metadata = (await (await fetch(`${url}/contexts/a/x/metadata`)).json()) as { updated_at: string };
      return Date.parse(metadata.updated_at);
    };
    const codes = async (): Promise<string[]> => {
      const answer = await fetch(`${url}/operations/node_status`, {
        method: "POST",
        body: "{}",
        headers: { "content-type": "application/json" },
      });
      return ((await answer.json()) as { conditions: { code: string }[] }).conditions.map(({ code }) => code);
    };
    await write();
    expect(await codes()).not.toContain("clock_jumped");
    aheadMs = 86_400_000;
    expect(Math.abs((await write()) - Date.now())).toBeLessThan(60_000);
    expect(await codes()).toContain("clock_jumped");
    aheadMs = 0;
    await write();
    expect(await codes()).not.toContain("clock_jumped");
  } finally {
    await node.stop("the test is over");
  }
}, 60_000);
