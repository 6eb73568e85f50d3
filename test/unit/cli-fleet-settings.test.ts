// What commands about a fleet say beside the answer: how settings are aligned, what a value does not do, and where a
// command is to be typed.

import { expect, test } from "bun:test";
import { toldWhere } from "../../src/cli/feature-commands.ts";
import { eventLogNote, settingLines } from "../../src/cli/fleet/settings.ts";
import { actForwarded, neverForwarded } from "../../src/operation/routing-faults.ts";

test("a long value moves no column but its own help", () => {
  const long = "cairn.fleet.*,cairn.lease.*,cairn.session.*,cairn.agent.*";
  expect(
    settingLines([
      ["a.b", "1", "One."],
      ["events.own", long, "Types."],
      ["a.bc", "none", "Two."],
    ]),
  ).toBe(`a.b         1     One.\nevents.own  ${long}  Types.\na.bc        none  Two.\n`);
});

test("events.log moves no log that has begun, and it is said what does", () => {
  const log = { log: "fleet", newest: "0a1b2c3d4e-e7" };
  expect(eventLogNote(log, "jetstream")).toEndWith(
    "the events are in the log fleet still, and `cairn events move --to jetstream` moves them\n",
  );
  expect(eventLogNote(log, "fleet")).toBe("");
  expect(eventLogNote({ ...log, newest: "0a1b2c3d4e-e0" }, "jetstream")).toBe("");
  expect(eventLogNote({ ...log, move: { to: "jetstream", state: "copying" } }, "jetstream")).toBe("");
  expect(eventLogNote({ ...log, log: "jetstream" }, "fleet")).toContain("--to fleet");
});

test("a command that only the leader takes is named with it, and nothing else is told otherwise", () => {
  const told = toldWhere(neverForwarded("event_log_get", { name: "berlin" }), ["events", "log"]);
  expect(told).toMatchObject({ code: "forbidden", hint: "Run it on berlin: cairn events log" });
  const others = [neverForwarded("event_log_get", undefined), actForwarded("backup_create"), new Error("other")];
  for (const other of others) expect(toldWhere(other, ["events", "log"])).toBe(other);
});
