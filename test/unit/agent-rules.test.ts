// Single rules of agents that whole calls seldom reach: whose a handle is, and when the type of an agent counts.

import { expect, test } from "bun:test";
import { agentNamed, agentTable, writeAgent } from "../../src/features/agent/rows.ts";
import { sha256Hex } from "../../src/lib/sha256.ts";
import { Actors } from "../../src/operation/actors.ts";
import { type AgentTable, isSameCaller, refuseEndedAgent } from "../../src/operation/agents.ts";
import type { ReadOperation } from "../../src/operation/define.ts";
import type { Routing } from "../../src/operation/routing.ts";
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

test("a write of an agent is noted once a minute, and at once where it comes another way", async () => {
  await using core = startCore();
  const row = { name: "One", folded: "one", type: "", caller: "user:ann", key: "k", registered_at: 0, seen_at: 1000 };
  const seen = (timeMs: number, more: { caller?: string; via?: string }) =>
    core.store.transaction((tx) => {
      agentTable.saw(tx, "One", { timeMs, caller: "user:ann", via: "", seq: 1, level: 3, ...more });
      const now = agentNamed(tx, "ONE");
      return [now?.seen_at, now?.via, now?.caller];
    });
  core.store.transaction((tx) => {
    for (const name of ["one", "two"])
      writeAgent(tx, { ...row, folded: name, key: name, via: "", doing: "", doing_until: 0 });
  });
  expect(seen(60_999, {})).toEqual([1000, "", "user:ann"]);
  expect(seen(61_000, {})).toEqual([61_000, "", "user:ann"]);
  expect(seen(61_001, { via: "n2" })).toEqual([61_001, "n2", "user:ann"]);
  expect(seen(61_002, { via: "n2", caller: "local@n1" })).toEqual([61_002, "n2", "local@n1"]);
  expect(agentNamed(core.store.reader, "two")).toMatchObject({ seen_at: 1000, via: "", caller: "user:ann" });
});

test("the leader is asked for a handle that a replica does not know, unless the read is of this node or a stream", async () => {
  await using core = startCore();
  const caller = callerWith({ id: "nA", login: "ann" });
  const agents: AgentTable = {
    byKey: (_reader, key) => (key === "known" ? { name: "a", type: "", caller: "user:ann" } : undefined),
    saw: () => {},
  };
  const isMissing = (operation: object, key: string | undefined, mode = "replica") => {
    const routing = { mode: () => mode, hasOtherNodes: () => true } as unknown as Routing;
    const options = { agents, reader: core.store.reader, routing, access: core.access, changeRules: new Map() };
    return new Actors(options).isMissing(operation as ReadOperation, caller, key);
  };
  expect(isMissing({}, "new")).toBe(true);
  expect([isMissing({}, "known"), isMissing({}, undefined), isMissing({}, "new", "leader")]).toEqual([
    false,
    false,
    false,
  ]);
  expect([isMissing({ local: true }, "new"), isMissing({ follow: () => {} }, "new")]).toEqual([false, false]);
});
