// The facts of a fault on their way: typed here, shown in details, and believed again only as far as the other side may
// tell them.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { FAULTS, Fault, type FaultCode, readFault, writeFault } from "../../src/lib/fault.ts";
import { detailsOfFacts, type FaultFacts, factsOfDetails, type SharedFacts } from "../../src/lib/fault-facts.ts";
import { faultOfValue, faultValue } from "../../src/peer/fault-frame.ts";
import { decodeFrame, encodeFrame } from "../../src/peer/frames.ts";

const CODES = Object.keys(FAULTS) as FaultCode[];

/** Facts that are there. */
function known(facts: FaultFacts): Record<string, unknown> {
  return JSON.parse(JSON.stringify(facts));
}

/** A fault as a peer sends it and this node reads it. */
function sent(fault: Fault): Fault {
  return faultOfValue(decodeFrame(encodeFrame(faultValue(fault)))) ?? new Fault("internal", "no fault came");
}

/** A fault with any details, as a hostile peer can write it. */
function told(details: unknown, code = "unavailable"): Fault | undefined {
  return faultOfValue({ fault: { code, message: "m", hint: "", details: JSON.stringify(details) } });
}

describe("the names on the wire", () => {
  test.each([
    [{ outcome: "not_sent" }, { notSent: true }],
    [{ outcome: "maybe_sent" }, { notSent: false }],
    [{ outcome: "not_done" }, { outcome: "not_written" }],
    [{ outcome: "unknown" }, { outcome: "unknown" }],
    [{ leader: { node: "n1" } }, { leader: "n1" }],
    [{ leader: { node: "n1", name: "anna" } }, { leader: "n1", leader_name: "anna" }],
    [{ leader: { name: "anna" } }, { leader: "anna" }],
    [{ applied: "0000000001-5" }, { applied: "0000000001-5" }],
    [{ reason: "full" }, { reason: "full" }],
    [{ fleetMark: "ab" }, { fleet: "ab" }],
    [{ fromPeer: true }, { peer: true }],
    [{ refusedSpace: "a" }, { space: "a" }],
    [{ quarantine: "diverged" }, { quarantine: "diverged" }],
    [{ transient: false }, { again: false }],
    [{ outcome: undefined, leader: undefined }, {}],
  ] satisfies [FaultFacts, Record<string, unknown>][])("%j is shown as %j", (facts, details) => {
    expect(detailsOfFacts(facts)).toEqual(details);
    expect(new Fault("unavailable", "m", { facts, details: { retryAfterSeconds: 1 } }).details).toEqual({
      retryAfterSeconds: 1,
      ...details,
    });
  });

  const text = fc.string({ minLength: 1, maxLength: 256 });
  const sharedFacts = fc.record(
    {
      outcome: fc.constantFrom("not_done", "unknown"),
      leader: fc.oneof(fc.record({ node: text }), fc.record({ node: text, name: text })),
      applied: text,
      reason: text,
      fleetMark: text,
    },
    { requiredKeys: [] },
  ) satisfies fc.Arbitrary<SharedFacts>;
  const code = fc.constantFrom(...CODES.filter((each) => each !== "forbidden"));

  test("shared facts survive a peer and the log, with the same words and details", () => {
    fc.assert(
      fc.property(code, sharedFacts, text, (name, facts, hint) => {
        const fault = new Fault(name, "m", { hint, facts, details: { etag: "3-abc" } });
        const came = sent(fault);
        expect([came.code, came.message, came.hint]).toEqual([name, "m", hint]);
        expect(known(came.facts)).toEqual({ ...facts, fromPeer: true });
        expect(came.details).toEqual({ ...fault.details, peer: true });
        const kept = readFault(JSON.parse(JSON.stringify(writeFault(fault))));
        expect(known(kept.facts)).toEqual({ ...facts });
        expect(kept.details).toEqual(fault.details);
      }),
    );
  });

  test("what is shown is what was written, whatever facts are found in it", () => {
    fc.assert(
      fc.property(fc.constantFrom(...CODES), fc.dictionary(fc.string(), fc.jsonValue()), (name, extra) => {
        const details: Record<string, unknown> = { ...extra, leader_name: extra["leader_name"] ?? "anna" };
        const written = JSON.parse(JSON.stringify({ code: name, message: "m", details }));
        expect(readFault(written).details).toEqual(written.details);
      }),
    );
  });

  test("a forbidden names the leader, every other fault gives its id", () => {
    const fault = new Fault("forbidden", "m", { facts: { leader: { name: "anna" } } });
    expect(known(sent(fault).facts)).toEqual({ leader: { name: "anna" }, fromPeer: true });
    expect(factsOfDetails("not_leader", { leader: "n1", leader_name: "anna" }).leader).toEqual({
      node: "n1",
      name: "anna",
    });
    expect(factsOfDetails("not_leader", { leader: "", leader_name: "" }).leader).toBeUndefined();
  });
});

describe("what a peer says", () => {
  const NOT_BELIEVED: readonly unknown[] = [true, 0, 1, null, "", [], ["unknown"], {}, { node: "n1" }, "x".repeat(257)];

  test("a value of the wrong type, empty or too long, counts for nothing", () => {
    for (const value of NOT_BELIEVED) {
      for (const name of ["outcome", "leader", "applied", "reason", "fleet"]) {
        const fault = told({ [name]: value });
        expect(known(fault?.facts ?? {})).toEqual({ fromPeer: true });
        expect(fault?.details[name]).toEqual(value);
      }
    }
    for (const outcome of ["not_written ", "not_sent", "not_done", "done", "UNKNOWN", "__proto__", "constructor"])
      expect(told({ outcome })?.facts.outcome).toBeUndefined();
    expect(told({ leader: "n1", leader_name: 7 })?.facts.leader).toEqual({ node: "n1", name: undefined });
  });

  test("it cannot set what only this node may set, nor take its own mark away", () => {
    const fault = told({
      notSent: true,
      quarantine: "diverged",
      again: true,
      space: "a",
      peer: false,
      tailnetCode: "not_found",
      ...{ fromPeer: false, refusedSpace: "a", transient: true, fleetMark: "ab", outcome: "not_sent" },
      facts: { outcome: "not_sent", quarantine: "diverged" },
    });
    expect(known(fault?.facts ?? {})).toEqual({ fromPeer: true });
    expect(fault?.details["peer"]).toBe(true);
  });

  test("no facts come by the prototype", () => {
    const text = '{"__proto__": {"outcome": "unknown", "leader": "n1"}, "constructor": {"applied": "x"}}';
    const fault = faultOfValue({ fault: { code: "unavailable", message: "m", hint: "", details: text } });
    expect(known(fault?.facts ?? {})).toEqual({ fromPeer: true });
    expect(fault?.facts.outcome).toBeUndefined();
    expect(Object.getPrototypeOf(fault?.details)).toBe(Object.prototype);
  });

  test("details that are no object are none; what is no fault is none", () => {
    for (const details of ["[]", "null", "7", '"x"', "{", ""]) {
      const fault = faultOfValue({ fault: { code: "unavailable", message: "m", hint: "h", details } });
      expect(fault?.details).toEqual({ peer: true });
      expect(fault?.hint).toBe("h");
    }
    for (const value of [undefined, null, 7, {}, { fault: "x" }, { fault: { code: "unavailable", message: "m" } }])
      expect(faultOfValue(value)).toBeUndefined();
    expect(told({ details: {} }, "of_a_later_version")?.code).toBe("internal");
    expect(told({}, "constructor")?.code).toBe("internal");
  });
});

describe("a fault that goes on", () => {
  test("in other words it keeps its facts, details and hint", () => {
    const cause = new Error("below");
    const fault = new Fault("unavailable", "m", {
      hint: "h",
      facts: { outcome: "unknown" },
      details: { retryAfterSeconds: 1 },
    });
    const retold = fault.retold("Write 2: m", { details: { index: 2 }, cause });
    expect([retold.code, retold.message, retold.hint, retold.cause]).toEqual(["unavailable", "Write 2: m", "h", cause]);
    expect(retold.facts).toEqual({ outcome: "unknown" });
    expect(retold.details).toEqual({ retryAfterSeconds: 1, outcome: "unknown", index: 2 });
    expect(fault.retold("n", { code: "not_leader", hint: "i" })).toMatchObject({ code: "not_leader", hint: "i" });
  });

  test("passed on, it tells nothing of the way to the peer, and all that the peer said", () => {
    const ofPeer = told({ notSent: true, outcome: "unknown", leader: "n1", etag: "3-abc" })?.passedOn();
    expect(known(ofPeer?.facts ?? {})).toEqual({ outcome: "unknown", leader: { node: "n1" } });
    expect(ofPeer?.details).toEqual({ outcome: "unknown", leader: "n1", etag: "3-abc" });
    for (const outcome of ["not_sent", "maybe_sent"] as const) {
      const own = new Fault("unavailable", "m", { hint: "h", facts: { outcome }, details: { retryAfterSeconds: 1 } });
      expect(own.passedOn()).toMatchObject({ code: "unavailable", message: "m", hint: "h" });
      expect(own.passedOn().details).toEqual({ retryAfterSeconds: 1 });
      expect(own.passedOn().facts.outcome).toBeUndefined();
    }
  });
});
