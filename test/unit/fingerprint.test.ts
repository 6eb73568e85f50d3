// What an idempotency key stands for: what the caller sent, whichever build and limits prepared the write.

import { describe, expect, test } from "bun:test";
import { z } from "zod";
import { OPERATIONS } from "../../src/features/index.ts";
import { Fault } from "../../src/lib/fault.ts";
import { INPUT_HASH_LEVEL } from "../../src/log/idempotency.ts";
import { writeMeta } from "../../src/log/meta.ts";
import { type WriteLimits, write } from "../../src/operation/define.ts";
import { Registry } from "../../src/operation/registry.ts";
import { type Core, type CoreOptions, granted, startCore } from "../kit/core.ts";
import { DEFAULT_WRITE_LIMITS } from "../kit/limits.ts";
import { logWith } from "../kit/log-with.ts";
import { sampleInputs } from "../kit/sample-input.ts";

const OTHER_LIMITS: WriteLimits = {
  maxDocumentBytes: DEFAULT_WRITE_LIMITS.maxDocumentBytes * 2,
  history: { maxVersions: 3, maxDays: 2, keepHours: 0, spaces: {} },
  maxChanges: 1000,
  quota: { callerBytes: 1_000_000, spaceBytes: 2_000_000 },
  maxOutcomeBytes: 1_000_000,
  events: {
    maxBytes: 512,
    keepMs: 1,
    keepCount: 2,
    keepBytes: 3,
    callerBytes: 4,
    spaceBytes: 5,
    dedupeSeconds: 6,
  },
  blobs: { maxBytes: 7, callerBytes: 8, spaceBytes: 9, copies: 1, keepMs: 10 },
};

/** Its hash has a form that no sample made from the schema has. */
const TICKET = { hash: "0".repeat(64), role: "regional" };

const registry = new Registry(OPERATIONS);
/** job_start prepares by the declarations of a node, and by no limits; test/unit/jobs.test.ts repeats it by its key. */
const writes = OPERATIONS.filter(
  (operation) => operation.kind === "write" && operation.internal !== true && operation.name !== "job_start",
);

describe("the fingerprint of a key", () => {
  test.each(writes.map((operation) => [operation.name, operation] as const))(
    "%s: what was asked does not depend on the limits of the node",
    (name, operation) => {
      if (operation.kind !== "write") throw new Error(`${name} is no write`);
      let compared = 0;
      for (const sample of [...sampleInputs(registry, operation, ["team-a/x"]), operation.example, TICKET]) {
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
    const put = OPERATIONS.find(({ name }) => name === "context_put");
    if (put?.kind !== "write") throw new Error("no context_put");
    const propose = (limits: WriteLimits, content: string) =>
      core.log.propose({
        ...{ name: put.name, v: put.v, caller: "alice@example.com", via: "", key: "k" },
        input: put.prepare({ id: "team-a/x", content }, limits),
      });
    const first = await propose(DEFAULT_WRITE_LIMITS, "a");
    expect(await propose(OTHER_LIMITS, "a")).toEqual(first);
    await expect(propose(DEFAULT_WRITE_LIMITS, "b")).rejects.toMatchObject({ code: "key_reused" });
  });

  test.each(writes.map((operation) => [operation.name, operation] as const))(
    "%s: its schema takes what was sent as it is, so that every build hashes the same",
    (_name, operation) => {
      for (const sample of [...sampleInputs(registry, operation, ["team-a/x"]), TICKET]) {
        const parsed = operation.input.safeParse(sample);
        if (parsed.success) expect(parsed.data).toEqual(sample);
      }
    },
  );
});

const alice = granted({ role: "member", spaces: ["*"] });

/** Two nodes over one log, so that a retry may reach a leader with other limits. */
function twoNodes(first: CoreOptions, second: CoreOptions) {
  const one = startCore(first);
  return { one, two: startCore({ ...second, over: one }), [Symbol.asyncDispose]: () => one[Symbol.asyncDispose]() };
}

describe("a keyed call at another leader", () => {
  const call = { id: "a/x", content: { b: 1, a: [1.5, "x"] }, idempotency_key: "k" };

  test("whose limits differ has the first outcome, and other input is refused", async () => {
    await using nodes = twoNodes({}, { limits: { history: { maxVersions: 1, maxDays: 1, keepHours: 0, spaces: {} } } });
    const first = await nodes.one.call("context_put", call, alice);
    const again = { idempotency_key: "k", content: { a: [1.5, "x"], b: 1 }, id: "a/x" };
    expect(await nodes.two.call("context_put", again, alice)).toEqual(first);
    await expect(
      nodes.two.call("context_put", { ...call, content: { b: 1, a: [1.5, "y"] } }, alice),
    ).rejects.toMatchObject({ code: "key_reused" });
    expect(nodes.one.log.position().seq).toBe(1);
    expect(fingerprints(nodes.one)).toEqual([expect.stringMatching(/^input:[0-9a-f]{64}$/)]);
  });

  test("whose limits refuse the call by now has the first outcome all the same; a new key is refused", async () => {
    await using nodes = twoNodes({}, { maxDocumentBytes: 10 });
    const large = { id: "a/x", content: "x".repeat(100) };
    const first = await nodes.one.call("context_put", { ...large, idempotency_key: "k" }, alice);
    expect(await nodes.two.call("context_put", { ...large, idempotency_key: "k" }, alice)).toEqual(first);
    for (const key of [undefined, "other"])
      await expect(
        nodes.two.call("context_put", { ...large, ...(key && { idempotency_key: key }) }, alice),
      ).rejects.toMatchObject({ code: "too_large" });
    // Refused and different: the key says more.
    await expect(
      nodes.two.call("context_put", { id: "a/x", content: "y".repeat(100), idempotency_key: "k" }, alice),
    ).rejects.toMatchObject({ code: "key_reused" });
    const refused = { id: "a/x", content: "z", if_none_match: "*", idempotency_key: "r" };
    await expect(nodes.one.call("context_put", refused, alice)).rejects.toMatchObject({ code: "version_mismatch" });
    await expect(nodes.two.call("context_put", refused, alice)).rejects.toMatchObject({ code: "version_mismatch" });
  });

  test("that refuses it looks behind everything that is in the log, and refuses nothing that it cannot know", async () => {
    const one = startCore();
    await using _ = one;
    const large = { id: "a/x", content: "x".repeat(100), idempotency_key: "k" };
    // The first attempt is applied while the second one waits.
    const inFlight = () => one.call("context_put", large, alice).then(() => {});
    const two = startCore({ over: one, maxDocumentBytes: 10, wrapLog: (log) => logWith(log, { barrier: inFlight }) });
    expect(await two.call("context_put", large, alice)).toMatchObject({ version: 1 });
    const lost = () => Promise.reject(new Fault("unavailable", "lost", { facts: { outcome: "unknown" } }));
    const three = startCore({ over: one, maxDocumentBytes: 10, wrapLog: (log) => logWith(log, { barrier: lost }) });
    await expect(three.call("context_put", large, alice)).rejects.toMatchObject({
      code: "unavailable",
      facts: { outcome: "not_done" },
    });
  });

  test("is the same write where preparing it depends on the time", async () => {
    let time = 0;
    const stamped = write({
      name: "toy_stamp",
      v: 1,
      title: "Stamp",
      description: "Stores when it was prepared.",
      input: z.object({ id: z.string() }),
      output: z.object({ prepared: z.number() }),
      access: { verb: "write", spaces: () => ["a"] },
      prepare: ({ id }) => ({ id, prepared: time++ }),
      apply: (_tx, command) => ({ output: { prepared: command.prepared }, changes: [] }),
    });
    await using core = startCore({ operations: [stamped] });
    for (const key of ["k", "k"])
      expect(await core.call("toy_stamp", { id: "x", idempotency_key: key }, alice)).toEqual({ prepared: 0 });
    expect(time).toBe(2);
    await expect(core.call("toy_stamp", { id: "y", idempotency_key: "k" }, alice)).rejects.toMatchObject({
      code: "key_reused",
    });
  });
});

describe("a key from before the level", () => {
  test("is still the key of its call after the raise, and of no other", async () => {
    await using core = startCore();
    const setLevel = (level: number) => core.store.transaction((tx) => writeMeta(tx, { fleet_level: level }));
    setLevel(INPUT_HASH_LEVEL - 1);
    const call = { id: "a/x", content: "a", idempotency_key: "k" };
    const first = await core.call("context_put", call, alice);
    expect(fingerprints(core)).toEqual([expect.stringMatching(/^[0-9a-f]{64}$/)]);
    setLevel(INPUT_HASH_LEVEL);
    expect(await core.call("context_put", call, alice)).toEqual(first);
    await expect(core.call("context_put", { ...call, content: "b" }, alice)).rejects.toMatchObject({
      code: "key_reused",
    });
    // Such a row cannot tell whose call is refused before the log.
    const strict = startCore({ over: core, maxDocumentBytes: 0 });
    await expect(strict.call("context_put", call, alice)).rejects.toMatchObject({ code: "too_large" });
  });
});

function fingerprints(core: Core): string[] {
  return core.store.reader
    .all<{ fingerprint: string }>("SELECT fingerprint FROM idempotency ORDER BY key")
    .map(({ fingerprint }) => fingerprint);
}
