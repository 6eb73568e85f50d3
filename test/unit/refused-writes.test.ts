// What the refusal of a write says: the value that was given, what is there, and what to do next. Its code is tested
// in context.test.ts.

import { expect, test } from "bun:test";
import { startCore } from "../kit/core.ts";
import { refusal } from "../kit/refusal.ts";

test("a refused condition says what is there and what was given", async () => {
  await using core = startCore();
  const { etag } = await core.call("context_put", { id: "a/x", content: "one" });
  const put = (input: object) => refusal(core.call("context_put", { id: "a/x", content: "two", ...input }));
  expect(await put({ if_match: "7-000000000000" })).toMatchObject({
    message: `The context was not written: its etag is ${etag} now, and if_match is 7-000000000000`,
    details: { etag, version: 1 },
  });
  expect(await put({ if_none_match: "*" })).toMatchObject({
    message: `The context was not written: it exists already, with the etag ${etag}`,
    hint: expect.stringContaining("take another id"),
  });
  expect(await put({ if_none_match: String(etag) })).toMatchObject({
    message: `The context was not written: its etag is ${etag} now`,
  });
  expect(await put({ id: "a/none", if_match: "7-000000000000" })).toMatchObject({
    message: "The context was not written: it does not exist",
  });
});

test("a refused argument names its value once; an edit without op is shown", async () => {
  await using core = startCore();
  const { message } = await refusal(core.call("context_put", { id: "a//b", content: "one" }));
  expect(message).toBe('context_put: id: "a//b" is not a context id: an id must not have an empty segment');
  await core.call("context_put", { id: "a/x", content: "one" });
  const patch = [{ old_string: "one", new_string: "two" }];
  expect((await refusal(core.call("context_patch", { id: "a/x", format: "edit", patch }))).message).toBe(
    'Edit 0 has no op; it is {"old_string":"one","new_string":"two"}',
  );
});
