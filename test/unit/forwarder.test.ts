// The forwarder by itself, beside a node that a test plays: how long a call may take, which refusals end it, and what
// of an answer and a refusal goes on to the caller.

import { describe, expect, test } from "bun:test";
import { Fault } from "../../src/lib/fault.ts";
import { decodeAnswer } from "../../src/operation/forward-frame.ts";
import { Forwarder } from "../../src/operation/forwarder.ts";
import type { ForwardCall } from "../../src/operation/routing.ts";
import { member } from "../kit/asking.ts";
import { refusal } from "../kit/refusal.ts";

const READ: ForwardCall = { operation: "lease_wait", input: {}, caller: member, kind: "read" };
const WRITE: ForwardCall = { ...READ, operation: "context_put", kind: "write" };
const DONE = { output: "{}", position: "0123456789-5" };
const never = new AbortController().signal;

/** A forwarder beside the leader `n0`, which takes each call by the next of `turns`, the last one again and again. */
function beside(...turns: (() => unknown)[]) {
  const timeoutsMs: number[] = [];
  const forwarder = new Forwarder({
    ask: async (_node, _value, { timeoutMs }) => {
      timeoutsMs.push(timeoutMs);
      return turns[Math.min(timeoutsMs.length, turns.length) - 1]?.();
    },
    leader: () => "n0",
    mayLead: () => true,
    leadsHere: () => false,
    onLeader: () => () => {},
    withinMs: 300,
  });
  return { forwarder, timeoutsMs };
}

const faultOf = async (call: Promise<unknown>) => (await refusal(call)) as Fault;
const refuse = (code: "unavailable" | "not_ready" | "forbidden", facts: Fault["facts"] = {}) => {
  return () => {
    throw new Fault(code, "refused", { facts: { fromPeer: true, ...facts } });
  };
};

test("a call that waits may take that long beside what every call may take", async () => {
  const { forwarder, timeoutsMs } = beside(() => DONE);
  for (const waitMs of [0, 60_000]) {
    await forwarder.toNode("n1", { ...READ, waitMs }, never, 1_000);
    await forwarder.toLeader({ ...READ, waitMs }, never);
  }
  expect(timeoutsMs).toEqual([1_000, 300, 61_000, 60_300]);
});

describe("a refusal of the leader", () => {
  test("because it does not lead or is not ready goes on to the next one", async () => {
    for (const code of ["unavailable", "not_ready"] as const) {
      const { forwarder, timeoutsMs } = beside(refuse(code), () => DONE);
      expect(await forwarder.toLeader(READ, never)).toMatchObject({ position: DONE.position });
      expect(timeoutsMs).toHaveLength(2);
    }
  });

  test("because no node has applied the position ends the call at once, like one of the caller", async () => {
    for (const refused of [refuse("unavailable", { applied: "0123456789-4" }), refuse("forbidden")]) {
      const { forwarder, timeoutsMs } = beside(refused);
      const fault = await faultOf(forwarder.toLeader(READ, never));
      // The caller gets it from this node.
      expect([fault.message, fault.facts.fromPeer, timeoutsMs.length]).toEqual(["refused", undefined, 1]);
    }
  });

  test("after an attempt that may have been done leaves the outcome unknown", async () => {
    const { forwarder } = beside(refuse("unavailable", { outcome: "unknown" }), refuse("forbidden"));
    const fault = await faultOf(forwarder.toLeader(WRITE, never));
    expect([fault.code, fault.facts.outcome]).toEqual(["unavailable", "unknown"]);
  });
});

test("a write that may have been done is of unknown outcome also where its caller leaves before the next attempt", async () => {
  const left = new AbortController();
  const { forwarder } = beside(refuse("unavailable", { outcome: "unknown" }));
  const writing = faultOf(forwarder.toLeader(WRITE, left.signal));
  await Bun.sleep(5);
  left.abort();
  const fault = await writing;
  expect([fault.code, fault.facts.outcome]).toEqual(["cancelled", "unknown"]);
});

test("a refusal of one node is passed on as this node's", async () => {
  const { forwarder } = beside(refuse("forbidden"));
  expect((await faultOf(forwarder.toNode("n1", READ, never, 1_000))).facts.fromPeer).toBeUndefined();
});

test("an answer is an object with the digits of its numbers, a position, and the age that it has", () => {
  const text = '{"n":12345678901234567890}';
  const answer = decodeAnswer({ ...DONE, output: text, ageSeconds: 3 });
  expect([JSON.stringify(answer.output), answer.position, answer.ageSeconds]).toEqual([text, DONE.position, 3]);
  expect(decodeAnswer(DONE)).not.toHaveProperty("ageSeconds");
  for (const wrong of [{ output: "[]" }, { output: "{" }, { position: "5" }, { ageSeconds: -1 }])
    expect(() => decodeAnswer({ ...DONE, ...wrong })).toThrow("an answer that cannot be read");
});
