// Random writes for property tests: few ids and values, so that they collide; every kind of write, valid and invalid.

import fc from "fast-check";

export const IDS = ["s0/a", "s0/b", "s1/c", "d"] as const;

const id = fc.constantFrom(...IDS);
const value = fc.oneof(
  fc.record({ a: fc.constantFrom(1, 2, null), b: fc.array(fc.integer(), { maxLength: 3 }) }, { requiredKeys: [] }),
  fc.constantFrom("text\n", "one\ntwo\n", "x".repeat(3000), 7, null, [1, 2], { __proto__x: 1 }),
);
const put = fc.record({
  operation: fc.constant("context_put"),
  input: fc.record(
    {
      id,
      content: value,
      title: fc.constantFrom("", "Title"),
      tags: fc.constantFrom([], ["x", "y"]),
      if_match: fc.constantFrom("*", "1-000000000000"),
      if_none_match: fc.constant("*"),
      // Far off: the clocks of these tests are not moved.
      expires_in: fc.constantFrom(0, 1_000_000),
      metadata: fc.constantFrom({}, { project: "x", n: { b: 1, a: [1, "\u{1f600}"] } }, { project: "y" }),
      supersedes: fc.constantFrom([], ["s1/old"], ["s1/old", "s0/older"]),
    },
    { requiredKeys: ["id", "content"] },
  ),
});
const patch = fc.record({
  operation: fc.constant("context_patch"),
  input: fc.oneof(
    fc.record({
      id,
      format: fc.constant("merge"),
      patch: fc.constantFrom({ a: 5, c: { d: 1 } }, { a: null }, { b: "y".repeat(2000) }),
    }),
    fc.record({
      id,
      format: fc.constant("json-patch"),
      patch: fc.constantFrom(
        [{ op: "add", path: "/n", value: 1 }],
        [
          { op: "test", path: "/a", value: 1 },
          { op: "remove", path: "/a" },
        ],
      ),
    }),
    fc.record({
      id,
      format: fc.constant("edit"),
      patch: fc.constantFrom([{ op: "append", text: "more\n" }], [{ op: "replace", old_text: "one", new_text: "1" }]),
    }),
  ),
});
const remove = fc.record({ operation: fc.constant("context_delete"), input: fc.record({ id }) });
const restore = fc.record({
  operation: fc.constant("context_restore"),
  input: fc.record({ id, version: fc.integer({ min: 1, max: 6 }) }),
});
const purge = fc.record({
  operation: fc.constant("context_purge"),
  input: fc.record(
    { id, versions: fc.uniqueArray(fc.integer({ min: 1, max: 6 }), { minLength: 1 }) },
    { requiredKeys: ["id"] },
  ),
});
const single = fc.oneof({ weight: 4, arbitrary: put }, { weight: 3, arbitrary: patch }, remove, restore);
const many = fc.record({
  operation: fc.constant("context_many"),
  input: fc.record({
    writes: fc
      .array(single, { minLength: 1, maxLength: 4 })
      .map((writes) => writes.map(({ operation, input }) => ({ operation, ...input }))),
  }),
});

export interface AnyWrite {
  operation: string;
  input: Record<string, unknown>;
}

/** Any write of contexts. */
export const anyWrite: fc.Arbitrary<AnyWrite> = fc.oneof(
  { weight: 8, arbitrary: single },
  { weight: 1, arbitrary: purge },
  { weight: 2, arbitrary: many },
);
