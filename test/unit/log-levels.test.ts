// Log levels of single parts at run time: which lines are written, and what cannot be set.

import { afterEach, beforeEach, expect, test } from "bun:test";
import { nodeLogLevels } from "../../src/fleet/node-acts.ts";
import { setPartLevel } from "../../src/observe/log-levels.ts";
import { configureLogging, logFor } from "../../src/observe/logging.ts";
import { type Core, granted, localAdmin, startCore } from "../kit/core.ts";
import { refusal } from "../kit/refusal.ts";

let core: Core;
let lines: string[];
const one = logFor("one-part");
const two = logFor("two-part");

beforeEach(() => {
  lines = [];
  configureLogging({ level: "info", format: "json", write: (line) => lines.push(JSON.parse(line).message) });
  core = startCore({ operations: [nodeLogLevels] });
});
afterEach(() => {
  for (const part of ["one-part", "two-part"]) setPartLevel(part, undefined);
  configureLogging({ level: "info", format: "auto", write: () => {} });
});

const set = (levels: Record<string, string>) => core.call("node_log_levels", { set: levels }, localAdmin);
const partOf = async (name: string) => {
  const { parts } = (await core.call("node_log_levels", {}, localAdmin)) as { parts: { part: string }[] };
  return parts.find(({ part }) => part === name);
};

test("one part is set, the others stay; default and all", async () => {
  one("debug", "a");
  await set({ "one-part": "debug" });
  one("debug", "b");
  two("debug", "c");
  expect(lines.filter((line) => line.length === 1)).toEqual(["b"]);
  expect(await partOf("one-part")).toEqual({ part: "one-part", level: "debug", own: true } as never);
  await set({ all: "error" });
  one("debug", "d");
  two("warning", "e");
  two("error", "f");
  await set({ "one-part": "default" });
  one("warning", "g");
  expect(lines.filter((line) => line.length === 1)).toEqual(["b", "d", "f"]);
  expect(await partOf("one-part")).toEqual({ part: "one-part", level: "error", own: false } as never);
});

test("a change is logged with who made it", async () => {
  await set({ "one-part": "debug", "two-part": "error" });
  expect(lines).toEqual([expect.stringMatching(/ set log levels: one-part debug, two-part error$/)]);
});

test("an unknown part changes nothing of the call, and only an admin of this node may", async () => {
  expect((await refusal(set({ "one-part": "debug", "one-prt": "debug" }))).message).toContain('called "one-prt"');
  expect((await refusal(set({ all: "default" }))).code).toBe("invalid_input");
  expect((await refusal(set({ "one-part": "loud" }))).code).toBe("invalid_input");
  one("debug", "x");
  expect(lines).toEqual([]);
  const operator = granted({ role: "operator", spaces: ["*"] });
  expect((await refusal(core.call("node_log_levels", {}, operator))).code).toBe("forbidden");
});
