// The journal of MCP sessions: what a later run reads, whatever happened to the file, and how large it becomes.

import { expect, test } from "bun:test";
import { appendFileSync, mkdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { KeptSessions } from "../../src/mcp/kept-sessions.ts";
import { temporaryFolder } from "../kit/temporary.ts";

const params = { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "c", version: "1" } };
const opened = (id: string, owner = "ann") => ({ ...{ id, owner, connection: "all" }, callerId: `n-${owner}`, params });

function open(file: string | undefined, lines: string[] = [], nowMs = () => 1000) {
  return new KeptSessions(file, (_level, message) => lines.push(message), nowMs);
}

const shown = (kept: KeptSessions) =>
  Object.fromEntries(kept.list().map(({ id, owner, watched }) => [id, [owner, ...watched]]));

test("a later run knows the sessions that were not ended, with what they watch", () => {
  const file = join(temporaryFolder(), "sessions");
  const first = open(file);
  const [a, b, c] = [first.add(opened("a")), first.add(opened("b", "bob")), first.add(opened("c"))];
  for (const uri of ["cairn:///s/1", "cairn:///s/2", "cairn:///s/1"]) first.watch(a, uri);
  first.unwatch(a, "cairn:///s/1");
  first.watch(b, "cairn:///s/3");
  first.remove(c);
  expect(statSync(file).mode & 0o777).toBe(0o600);
  const second = open(file);
  expect(shown(second)).toEqual({ a: ["ann", "cairn:///s/2"], b: ["bob", "cairn:///s/3"] });
  expect(second.find("a")).toMatchObject({ callerId: "n-ann", connection: "all", params, usedMs: 1000 });
  expect([second.owners.count("ann"), second.owners.count("bob")]).toEqual([1, 1]);
  second.remove(second.find("a") ?? b);
  expect(shown(open(file))).toEqual({ b: ["bob", "cairn:///s/3"] });
  const memory = open(undefined);
  memory.add(opened("a"));
  expect(memory.size).toBe(1);
});

test("a line that was cut or is something else costs itself alone", () => {
  const file = join(temporaryFolder(), "sessions");
  open(file).add(opened("a"));
  const others = [
    "null",
    "[]",
    '{"what":"open","id":7}',
    '{"what":"open","id":"x","owner":"ann"}',
    '{"what":"open","id":"y","owner":"ann","callerId":"n","params":{}}',
    '{"what":"watch"}',
  ];
  appendFileSync(file, `${others.join("\n")}\n{"what":"watch","id":"nobody","uri":"u"}\n{"what":"open","id":"b","own`);
  const second = open(file);
  expect(shown(second)).toEqual({ a: ["ann"] });
  second.add(opened("c"));
  expect(shown(open(file))).toEqual({ a: ["ann"], c: ["ann"] });
});

test("the file stays small, and long params of a client are not kept", () => {
  const file = join(temporaryFolder(), "sessions");
  const kept = open(file);
  const a = kept.add({ ...opened("a"), params: { ...params, capabilities: { x: "y".repeat(100_000) } } });
  for (let n = 0; n < 10_000; n++) {
    kept.watch(a, "cairn:///s/1");
    kept.unwatch(a, "cairn:///s/1");
  }
  kept.watch(a, "cairn:///s/2");
  expect(readFileSync(file, "utf8").split("\n").length).toBeLessThan(4200);
  const again = open(file);
  expect(shown(again)).toEqual({ a: ["ann", "cairn:///s/2"] });
  expect(again.find("a")?.params).toEqual({
    protocolVersion: "2025-11-25",
    capabilities: {},
    clientInfo: { name: "c", version: "1" },
  });
});

test("a file that cannot be written is said once in a while, sessions go on, and it is whole when it can be again", () => {
  const file = join(temporaryFolder(), "sessions");
  const lines: string[] = [];
  let nowMs = 0;
  mkdirSync(file);
  const kept = open(file, lines, () => nowMs);
  expect(lines.splice(0)).toEqual([expect.stringContaining("cannot be read")]);
  kept.add(opened("a"));
  kept.add(opened("b"));
  expect([kept.size, lines]).toEqual([2, [expect.stringContaining("cannot be written")]]);
  rmSync(file, { recursive: true });
  kept.add(opened("c"));
  expect(shown(open(file))).toEqual({});
  nowMs += 60_000;
  kept.add(opened("d"));
  expect(Object.keys(shown(open(file)))).toEqual(["a", "b", "c", "d"]);
  expect(lines).toHaveLength(1);
});
