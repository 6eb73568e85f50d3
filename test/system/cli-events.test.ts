// cairn events list|tail|publish over a node.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { type Finished, spawnNode, type TestNode } from "../kit/node.ts";

let node: TestNode;
beforeAll(async () => {
  node = await spawnNode({ args: ["--conformance"] });
  await node.ready();
}, 120_000);
afterAll(() => node[Symbol.asyncDispose](), 60_000);

const cairn = (...words: string[]): Promise<Finished> => node.cli(words);

test("publish prints the cursor, list shows events, tail goes on behind a cursor and ends after --count", async () => {
  const first = await cairn(
    "events",
    "publish",
    "build.done",
    '{"n":12345678901234567890}',
    "--id",
    "7",
    "--source",
    "ci",
  );
  expect([first.code, first.err, first.out]).toEqual([0, "", expect.stringMatching(/^[0-9a-f]{10}-e1\n$/)]);
  const again = await cairn("events", "publish", "build.done", "--id", "7", "--source", "ci");
  expect(again.out).toBe(`${first.out.trim()}  (was there already)\n`);
  await cairn("events", "publish", "deploy", "not JSON", "--subject", "main");
  const listed = await cairn("events", "list", "build.*");
  expect(listed.out).toMatch(/build\.done +local\/ci +\{"n":12345678901234567\d*\} +[0-9a-f]{10}-e1\n$/);
  expect((await cairn("events", "list", "deploy")).out).toMatch(
    / deploy main +local\/self +"not JSON" +[0-9a-f]{10}-e2\n$/,
  );
  expect((await cairn("events", "list", "--json")).out).toContain('"n":12345678901234567890');
  const tail = ["events", "tail", "--own", "--since", first.out.trim(), "--count", "1"];
  expect((await cairn(...tail)).out).toMatch(/ {2}deploy main {2}local\/self {2}"not JSON" {2}[0-9a-f]{10}-e2\n$/);
  const [line = ""] = (await cairn(...tail, "--json")).out.split("\n");
  expect(JSON.parse(line)).toMatchObject({ specversion: "1.0", type: "deploy", data: "not JSON" });
  const all = await cairn("events", "tail", "--own", "--since", "oldest", "--count", "2");
  expect([all.err, all.out.split("\n").length]).toEqual(["", 3]);
  const wrong = await cairn("events", "tail", "--since", "7");
  expect([wrong.code, wrong.err]).toEqual([2, expect.stringContaining('"7" is no cursor of events')]);
  expect(wrong.err).toContain("shows events of others; --own shows yours too");
  const none = await cairn("events", "tail", "--count", "0");
  expect([none.code, none.err]).toEqual([2, expect.stringContaining('--count must be a whole number from 1, not "0"')]);
  const vague = await cairn("events", "list", "--after", "yesterday");
  expect(vague.err).toContain(
    '--after: must be a time as of RFC 3339, such as 2026-11-29T16:31:00Z; it is "yesterday"',
  );
}, 60_000);

test("targets, subscriptions, dead letters and counts are shown, and nothing is done without the word for it", async () => {
  const target = { name: "ops", target: { kind: "http", url: "https://ops.example.com/in" }, spaces: ["team-*"] };
  expect((await cairn("events", "targets")).out).toBe("no targets\n");
  await cairn("call", "event_target_set", JSON.stringify(target));
  expect((await cairn("events", "targets")).out).toMatch(
    /^ops +http +standard +team-\* +https:\/\/ops\.example\.com\/in /,
  );
  await cairn("call", "subscription_create", '{"id":"team-a/alerts","target":"ops"}');
  await cairn("call", "subscription_pause", '{"id":"team-a/alerts"}');
  expect((await cairn("events", "subscriptions")).out).toMatch(
    /^team-a\/alerts +paused \(asked\) +\d+ behind +[\d.]+ s +0 failed +0 dead +to ops\n$/,
  );
  expect((await cairn("events", "subscriptions", "--space", "team-b")).out).toBe("no subscriptions\n");
  expect((await cairn("events", "dead", "team-a/alerts")).out).toBe("0 dead letters (0 bytes)\n");
  expect((await cairn("events", "redrive", "team-a/alerts")).out).toBe(
    "0 dead letters\nnothing is sent without --send\n",
  );
  expect((await cairn("events", "purge", "team-a/alerts", "--offset", "7", "--remove")).out).toBe("0 removed\n");
  await cairn("events", "publish", "counted", "--space", "team-a");
  const counted = await cairn("events", "stats", "counted", "--space", "team-a");
  expect(counted.out).toMatch(/^1 events \(\d+ bytes\) from .*Z to .*Z\ntype +1 +\d+ bytes +counted\n/);
  const wrong = await cairn("events", "dead", "team-a/none");
  expect([wrong.code === 0, wrong.err]).toEqual([false, expect.stringContaining("team-a/none")]);
}, 60_000);
