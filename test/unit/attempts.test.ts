// What a failed attempt proves about a write, code by code, and how a call over several attempts ends because of it.

import { describe, expect, test } from "bun:test";
import { proofOf, proofOfError, wasNeverSent } from "../../src/lib/attempt-proof.ts";
import { FAULTS, Fault, type FaultCode } from "../../src/lib/fault.ts";
import { Attempts } from "../../src/operation/attempts.ts";

const NONE_DONE =
  "not_found deleted purged version_mismatch patch_failed key_reused quota_exceeded last_voter data_exists lease_held lease_lost fence_stale " +
  "agent_unknown agent_taken id_taken in_use";
const NOT_DONE =
  "invalid_input forbidden forward_unseen not_leader not_a_member unknown_operation method_not_allowed history_forked " +
  "below_floor too_large unsupported_media_type misdirected rate_limited not_ready storage_full";

test.each(Object.keys(FAULTS) as FaultCode[])("%s proves what its place of origin proves", (code) => {
  const isIn = (codes: string) => codes.split(" ").includes(code);
  expect(proofOf(code, undefined)).toBe(isIn(NONE_DONE) ? "none_done" : isIn(NOT_DONE) ? "not_done" : "unknown");
  expect((["not_sent", "not_done", "maybe_sent", "unknown"] as const).map((outcome) => proofOf(code, outcome))).toEqual(
    ["not_done", "not_done", "unknown", "unknown"],
  );
});

test("anything but a Fault proves nothing", () => {
  expect([new Error("x"), "x", undefined].map(proofOfError)).toEqual(["unknown", "unknown", "unknown"]);
});

test.each([
  ...[
    "ConnectionRefused",
    "FailedToOpenSocket",
    "ECONNREFUSED",
    "ENOENT",
    "ENOTFOUND",
    "EHOSTUNREACH",
    "ENETUNREACH",
  ].map((code) => [code, true] as const),
  ...["ECONNRESET", "ECONNABORTED", "ETIMEDOUT", "EPIPE", ""].map((code) => [code, false] as const),
])("an error of fetch with the code %j proves that nothing was sent: %p", (code, proves) => {
  expect(wasNeverSent(Object.assign(new Error("x"), { code }))).toBe(proves);
  expect(wasNeverSent({ code })).toBe(false);
});

describe("the attempts at one call", () => {
  const lost = new Fault("unavailable", "The peer did not answer", { facts: { outcome: "maybe_sent" } });
  const refused = new Fault("not_leader", "Another node leads");
  const decided = new Fault("version_mismatch", "It has another version");
  const after = (...errors: readonly Fault[]): Attempts => {
    const attempts = new Attempts("write");
    for (const error of errors) attempts.failed(error);
    return attempts;
  };

  test.each([
    [[], false],
    [[lost], true],
    [[refused], false],
    [[lost, refused], true],
    [[lost, decided], false],
    [[lost, decided, lost], true],
  ] as const)("case %#: a write may have been done until a node proves the opposite", (errors, mayBeDone) => {
    const attempts = after(...errors);
    expect(attempts.mayBeDone).toBe(mayBeDone);
    expect(attempts.late().facts.outcome === "unknown").toBe(mayBeDone);
    if (errors.length > 0) expect(attempts.late().cause).toBe(errors.at(-1));
  });

  test("an accepted write may be done, a read never", () => {
    const [write, read] = [new Attempts("write"), new Attempts("read")];
    for (const attempts of [write, read]) attempts.accepted();
    expect([write.mayBeDone, read.mayBeDone]).toEqual([true, false]);
    read.failed(lost);
    expect(read.mayBeDone).toBe(false);
    expect(read.end(lost)).toBe(lost);
  });

  test("an error ends as it is, until a write may have been done", () => {
    expect(after(refused).end(refused, true)).toBe(refused);
    expect(after(lost).end(new Error("x"))).toMatchObject({ code: "unavailable", facts: { outcome: "unknown" } });
    expect(after(lost).end(lost, true)).toMatchObject({ code: "cancelled", facts: { outcome: "unknown" } });
    const unknown = new Fault("unavailable", "It may have been made", { facts: { outcome: "unknown" } });
    expect(after(unknown).end(unknown)).toBe(unknown);
  });
});
