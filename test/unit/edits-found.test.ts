// Edits of documents with other line ends than models write, and what is said where an edit was not found or a test
// of a JSON patch failed.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { applyEdits, parseEdits } from "../../src/features/context/edits.ts";
import { whyNotFound } from "../../src/features/context/explain-edits.ts";
import { Fault } from "../../src/lib/fault.ts";
import { Work } from "../../src/lib/work.ts";
import { AppliedFleet } from "../kit/applied-fleet.ts";
import { startCore } from "../kit/core.ts";

const edit = (text: string, edits: unknown) => applyEdits(text, parseEdits(edits), 10_000);
const replace = (old_text: string, new_text: string, expected_count = 1) => ({
  ...{ op: "replace", old_text, new_text },
  expected_count,
});

describe("line ends", () => {
  const lines = fc.array(fc.constantFrom("a", "b", "", "cc", "\r"), { minLength: 1, maxLength: 8 });
  const steps = fc.array(
    fc.oneof(
      fc.record({ op: fc.constantFrom("append", "prepend"), text: lines.map((all) => all.join("\n")) }),
      fc.tuple(lines, lines).map(([old, fresh]) => replace(`${old.join("\n")}\n`, fresh.join("\n"), 1)),
    ),
    { maxLength: 3 },
  );

  test("a document with \\r\\n is edited as if it had \\n, and keeps \\r\\n", () => {
    fc.assert(
      fc.property(lines, steps, (all, edits) => {
        const plain = `${all.map((line) => line.replaceAll("\r", "")).join("\n")}\n`;
        const written = JSON.parse(JSON.stringify(edits).replaceAll("\\r", "")) as unknown;
        const run = (text: string, list: unknown) => {
          try {
            return edit(text, list);
          } catch (error) {
            return error instanceof Fault ? error.message : String(error);
          }
        };
        const expected = run(plain, written);
        expect(run(plain.replaceAll("\n", "\r\n"), written).replaceAll("\r\n", "\n")).toBe(expected);
        expect(run(plain.replaceAll("\n", "\r\n"), written)).not.toMatch(/(?<!\r)\n/);
      }),
    );
  });

  test("of a mixed document each place keeps its own, and what is written exactly is found exactly", () => {
    expect(edit("a\r\nb\nc\r\nd\n", [replace("b\nc\n", "x\ny\n")])).toBe("a\r\nx\ny\nd\n");
    expect(edit("a\r\nb\na\nb\n", [replace("a\r\nb", "x")])).toBe("x\na\nb\n");
    expect(edit("a\r\nb\na\nb\n", [replace("a\nb", "x\ny", 2)])).toBe("x\r\ny\nx\ny\n");
    expect(edit("a\r\n", [replace("\n", "b")])).toBe("ab");
    expect(edit("one", [{ op: "append", text: "\r\ntwo" }])).toBe("one\r\ntwo");
    expect(edit("one\n", [{ op: "append", text: "two\r\n" }])).toBe("one\ntwo\n");
  });

  test("the second search of a document with \\r\\n is counted as work", () => {
    const workOf = (text: string) => {
      const work = new Work();
      applyEdits(text, parseEdits([replace("b", "x")]), 10_000, { work });
      return work.spent;
    };
    expect(workOf("a\r\nb\r\n".padEnd(1000)) - workOf("a\nb\n".padEnd(1000))).toBeGreaterThanOrEqual(8000);
  });

  test("versions of the commands before level 3 compare and write every character as it is", () => {
    const fleet = new AppliedFleet().begin();
    const patch = { id: "s/a", format: "edit", patch: [replace("a\nb", "x\ny")] };
    const many = { writes: [{ operation: "context_patch", ...patch }] };
    for (const [v, isDone] of [
      [1, false],
      [2, false],
      [3, true],
    ] as const) {
      for (const [name, input] of [
        ["context_patch", patch],
        ["context_many", many],
      ] as const) {
        fleet.run("context_put", { id: "s/a", content: "a\r\nb\r\n" });
        const { fault } = fleet.runVersion(v, name, input);
        expect([v, name, fault]).toEqual([v, name, isDone ? undefined : "patch_failed"]);
      }
    }
  });
});

describe("what is not found", () => {
  test.each([
    ["one\ntwo\rthree", "two\nthree", "line_ends", 2],
    ["# T\n\ncafé au lait", "cafe\u0301 au lait", "unicode_form", 3],
    ["a\nHe said “no” – never…", 'He said "no" - never...', "quotes", 2],
    ["if x:\n\treturn  1", "if x:\n    return 1", "spaces", 1],
    ["\n\na b", "a\u00a0b", "spaces", 3],
    ["line one  \nline two", "line one\nline two", "spaces", 1],
    ["x\nHello World", "hello world", "case", 2],
    ["x\nHello “World”", 'hello  "world"', "several", 2],
    ["x\nfirst line\nsecond", "first line\nother", "only_begin", 2],
  ])("%j has no %j: %s, line %i", (text, old, reason, line) => {
    expect(whyNotFound(text, old)).toMatchObject({ reason, line });
  });

  test("nothing is made up", () => {
    expect(whyNotFound("some text", "another")).toBeUndefined();
    expect(whyNotFound("some text\n", "   ")).toBeUndefined();
  });

  test("the refusal has reason, line and what is there, counted after the edits before it", async () => {
    await using core = startCore();
    await core.call("context_put", { id: "s/a", content: "title\nHe said “no”.\n" });
    const patch = [{ op: "prepend", text: "new\n" }, replace('said "no"', "said yes")];
    const refused = { code: "patch_failed", details: { reason: "quotes", line: 3, step: 1, count: 0 } };
    const expected = expect.objectContaining(refused);
    await expect(core.call("context_patch", { id: "s/a", format: "edit", patch })).rejects.toEqual(expected);
    const writes = [{ operation: "context_patch", id: "s/a", format: "edit", patch: JSON.stringify(patch) }];
    const many = core.call("context_many", { writes }).catch((error: Fault) => error);
    expect(await many).toMatchObject(refused);
    expect(String(((await many) as Fault).message)).toContain('line 3 of the document is "He said “no”."');
    await expect(
      core.call("context_patch", { id: "s/a", format: "edit", patch: [replace("e", "x", 7)] }),
    ).rejects.toThrow("times; 7 expected");
  });

  test("what an earlier write of the call had made is not looked for where it was undone", async () => {
    await using core = startCore();
    await core.call("context_put", { id: "s/a", content: "Title\n" });
    const writes = [[{ op: "prepend", text: "new\n" }], [replace("title", "x")]].map((patch) => ({
      ...{ operation: "context_patch", id: "s/a", format: "edit", patch },
    }));
    const refused = await core.call("context_many", { writes }).catch((error: Fault) => error);
    // The line of the document as it is stored would be another than that of the write.
    expect(refused).toMatchObject({ code: "patch_failed", details: { index: 1, step: 0, count: 0 } });
    expect((refused as Fault).details).not.toHaveProperty("line");
  });

  test("edits that leave no valid JSON are refused with the place", async () => {
    await using core = startCore();
    await core.call("context_put", { id: "s/j", content: '{"a": 1}' });
    const refused = async (...patch: unknown[]) =>
      String(
        await core.call("context_patch", { id: "s/j", format: "edit", patch }).catch((error: Fault) => error.message),
      );
    expect(await refused(replace("1", "oops"))).toStartWith(
      "The edited document is not valid JSON: it is not JSON: line 1, column 7: expected",
    );
    expect(await refused(replace("1", '1, "a": 2'))).toEndWith('valid JSON: it has the key "a" twice in one object');
    expect(await refused(replace("nothing", "1"), { op: "append", text: "}" })).toContain("its old_text is not in");
  });

  test("a failed test of a JSON patch shows path, what was wanted and what is there, after the steps before it", async () => {
    await using core = startCore();
    await core.call("context_put", { id: "s/j", content: '{"n":12345678901234567890,"a":{"b":["x"]},"long":""}' });
    const refused = async (...patch: unknown[]) =>
      core.call("context_patch", { id: "s/j", format: "json-patch", patch }).catch((error: Fault) => error);
    const test = (path: string, value: unknown) => ({ op: "test", path, value });
    expect(await refused({ op: "add", path: "/a/b/0", value: { y: 1 } }, test("/a/b", ["x"]))).toMatchObject({
      code: "patch_failed",
      message: 'Step 1 (test /a/b): the value there is another: wanted ["x"], found [{"y":1},"x"]',
      details: { step: 1, path: "/a/b", wanted: '["x"]', found: '[{"y":1},"x"]' },
    });
    expect(await refused(test("/n", 1))).toMatchObject({ details: { found: "12345678901234567890" } });
    expect(await refused(test("", null))).toMatchObject({ details: { path: "", wanted: "null" } });
    // Long values are cut, and another failure is not explained by a test that holds.
    const long = { op: "replace", path: "/long", value: "z".repeat(5000) };
    const { message } = (await refused(long, test("/long", "y".repeat(5000)))) as Fault;
    expect(message.length).toBeLessThan(300);
    expect(message).toEndWith(`… (5002 characters)`);
    const none = (await refused(test("/a/b", ["x"]), { op: "remove", path: "/none" })) as Fault;
    expect(none.message).toBe("Step 1 (remove /none): there is nothing at /none");
    const text = JSON.stringify([test("/n", 12)]);
    const writes = [{ operation: "context_patch", id: "s/j", format: "json-patch", patch: text }];
    const many = await core.call("context_many", { writes }).catch((error: Fault) => error);
    expect(many).toMatchObject({ details: { path: "/n", wanted: "12", found: "12345678901234567890" } });
  });

  test("a refusal that is kept has no words of the document, which a purge could not find there", async () => {
    await using core = startCore();
    await core.call("context_put", { id: "s/t", content: "hunter2 hunter2" });
    await core.call("context_put", { id: "s/j", content: '{"hunter2": "hunter2", "b": 0}' });
    const edits: [id: string, edit: unknown][] = [
      ["s/t", replace("hunter2", "x")],
      ["s/j", replace('"hunter2",', "hunter2")],
      ["s/j", replace('"b"', '"hunter2"')],
      ["s/j", { op: "test", path: "", value: 1 }],
    ];
    for (const [at, [id, patch]] of edits.entries()) {
      const format = at === 3 ? "json-patch" : "edit";
      const input = { id, format, patch: [patch], idempotency_key: `k${at}` };
      await expect(core.call("context_patch", input)).rejects.toMatchObject({ code: "patch_failed" });
    }
    const kept = core.store.reader.all<{ outcome: string }>("SELECT outcome FROM idempotency");
    expect([kept.length, JSON.stringify(kept).includes("hunter2")]).toEqual([4, false]);
  });
});
