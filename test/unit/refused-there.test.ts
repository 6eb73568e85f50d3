// A refusal by the leader of what this node may not bring to it says where the caller can ask itself.

import { expect, test } from "bun:test";
import { Fault } from "../../src/lib/fault.ts";
import { refusedThere } from "../../src/operation/routing-faults.ts";

const refusal = new Fault("forbidden", "What this node forwards may not use blob_put in space fleet", {
  hint: "Ask the leader itself.",
  facts: { refusedSpace: "fleet" },
});

test("a refusal names the leader, and keeps what was refused", () => {
  expect(refusedThere(refusal, { name: "mini" })).toMatchObject({
    ...{ code: "forbidden", message: refusal.message, hint: "Run it on mini." },
    facts: { refusedSpace: "fleet", leader: { name: "mini" } },
  });
});

test("what is no refusal, and one while nobody is known to lead, stays as it is", () => {
  expect(refusedThere(refusal, undefined)).toBe(refusal);
  for (const other of [new Fault("unavailable", "later"), new Error("x")])
    expect(refusedThere(other, { name: "mini" })).toBe(other);
});
