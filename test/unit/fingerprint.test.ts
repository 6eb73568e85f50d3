// What an idempotency key stands for: what the caller asked, whatever limits the node that took the write stamps on it.

import { describe, expect, test } from "bun:test";
import { OPERATIONS } from "../../src/features/index.ts";
import type { WriteLimits } from "../../src/operation/define.ts";
import { Registry } from "../../src/operation/registry.ts";
import { startCore } from "../kit/core.ts";
import { DEFAULT_WRITE_LIMITS } from "../kit/limits.ts";
import { sampleInputs } from "../kit/sample-input.ts";

const OTHER_LIMITS: WriteLimits = {
  maxDocumentBytes: DEFAULT_WRITE_LIMITS.maxDocumentBytes * 2,
  history: { maxVersions: 3, maxDays: 2, spaces: {} },
  maxChanges: 1000,
  quota: { callerBytes: 1_000_000, spaceBytes: 2_000_000 },
};

/** Its hash has a form that no sample made from the schema has. */
const TICKET = { hash: "0".repeat(64), role: "regional" };

const registry = new Registry(OPERATIONS);
const writes = OPERATIONS.filter((operation) => operation.kind === "write" && operation.internal !== true);

describe("the fingerprint of a key", () => {
  test.each(writes.map((operation) => [operation.name, operation] as const))(
    "%s: what was asked does not depend on the limits of the node",
    (name, operation) => {
      if (operation.kind !== "write") throw new Error(`${name} is no write`);
      let compared = 0;
      for (const sample of [...sampleInputs(registry, operation, ["team-a/x"]), TICKET]) {
        const parsed = operation.input.safeParse(sample);
        if (!parsed.success) continue;
        const [one, other] = [DEFAULT_WRITE_LIMITS, OTHER_LIMITS].map((limits) => {
          const command: unknown = operation.prepare(parsed.data, limits);
          return operation.asked?.(command) ?? command;
        });
        expect(one).toEqual(other);
        compared += 1;
      }
      expect(compared).toBeGreaterThan(0);
    },
  );

  test("a write repeated under other settings of the node is the same write", async () => {
    await using core = startCore();
    const write = OPERATIONS.find(({ name }) => name === "context_put");
    if (write?.kind !== "write") throw new Error("no context_put");
    const propose = (limits: WriteLimits, content: string) =>
      core.log.propose({
        ...{ name: write.name, v: write.v, caller: "alice@example.com", via: "", key: "k" },
        input: write.prepare({ id: "team-a/x", content }, limits),
      });
    const first = await propose(DEFAULT_WRITE_LIMITS, "a");
    expect(await propose(OTHER_LIMITS, "a")).toEqual(first);
    await expect(propose(DEFAULT_WRITE_LIMITS, "b")).rejects.toMatchObject({ code: "key_reused" });
  });
});
