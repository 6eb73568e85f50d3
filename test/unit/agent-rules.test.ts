// Single rules of agents that whole calls seldom reach: whose a handle is, and when the type of an agent counts.

import { expect, test } from "bun:test";
import { sha256Hex } from "../../src/lib/sha256.ts";
import { Actors } from "../../src/operation/actors.ts";
import { type AgentTable, isSameCaller, refuseEndedAgent } from "../../src/operation/agents.ts";
import { callerWith, startCore } from "../kit/core.ts";
import { faultOf } from "../kit/refusal.ts";

test("only a local caller may lack the machine in its name", () => {
  expect(isSameCaller("local:bridge", "local:bridge@n1")).toBe(true);
  expect(isSameCaller("local:bridge@n1", "local:bridge@n2")).toBe(false);
  expect(isSameCaller("local", "local:bridge@n1")).toBe(false);
  expect(isSameCaller("user:ann", "user:ann@example.com")).toBe(false);
  expect(isSameCaller("user:ann@example.com", "user:ann@example.com")).toBe(true);
});

test("a command of an agent is refused where its key is by now that of another name", async () => {
  await using core = startCore();
  const key = sha256Hex("handle");
  const saw: string[] = [];
  const table: AgentTable = {
    byKey: (_reader, asked) => (asked === key ? { name: "second", type: "", caller: "user:ann" } : undefined),
    saw: (_tx, name) => saw.push(name),
  };
  const stamp = { timeMs: 1, caller: "user:ann", via: "", seq: 1, level: 3 };
  core.store.transaction((tx) => {
    expect(faultOf(() => refuseEndedAgent(table, tx, { name: "first", key }, stamp)).code).toBe("agent_unknown");
    expect(faultOf(() => refuseEndedAgent(table, tx, { name: "second", key: "x" }, stamp)).code).toBe("agent_unknown");
    refuseEndedAgent(table, tx, { name: "second", key }, stamp);
  });
  expect(saw).toEqual(["second"]);
});

test("the type of an agent counts for a write where a grant lists it for each of its spaces", async () => {
  await using core = startCore();
  const caller = callerWith({
    id: "nA",
    grants: [
      { role: "member", spaces: ["a"], agent_types: ["reviewer"] },
      { role: "member", spaces: ["b"], agent_types: ["build*"] },
      { role: "member", spaces: ["c"] },
    ],
  });
  const options = { agents: undefined, reader: core.store.reader, routing: undefined, changeRules: new Map() };
  const actors = new Actors({ ...options, access: core.access });
  const counts = (type: string, ...spaces: string[]) => actors.countsType(caller, type, spaces);
  expect([counts("reviewer", "a"), counts("builder", "b")]).toEqual([true, true]);
  expect([counts("reviewer", "b"), counts("builder", "a"), counts("reviewer", "c")]).toEqual([false, false, false]);
  expect([counts("reviewer", "a", "b"), counts("reviewer", "a", "c")]).toEqual([false, false]);
  expect(actors.countsType(caller, "reviewer", "visible")).toBe(false);
});
