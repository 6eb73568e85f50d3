// The words of a program: no value becomes an option or comes from elsewhere, and what is kept of a program has bounds.

import { expect, test } from "bun:test";
import { ACTION, type ActionShape } from "../../src/features/job/action.ts";
import { judgeInput, wordsOf } from "../../src/features/job/words.ts";
import { startWorkers } from "../kit/job-workers.ts";

const TEXT = { type: "string", optional: true };
const action = (argv: readonly string[], parameters: object): ActionShape => {
  const shape = ACTION.schema.parse({ argv, parameters });
  expect(ACTION.problem?.(shape, "a")).toBeUndefined();
  return shape;
};

test.each<[string[], object, string | undefined]>([
  [["p", "{a}"], { a: "-rf" }, "a"],
  [["p", "{a}{b}"], { b: "-rf" }, "b"],
  [["p", "{a}{b}"], { a: "", b: "-rf" }, "b"],
  [["p", "{a}{b}"], { a: "x", b: "-rf" }, undefined],
  [["p", "{n}"], { n: -1 }, "n"],
  [["p", "{a}{n}"], { n: -1 }, "n"],
  [["p", "--to={a}"], { a: "-rf" }, undefined],
  [["p", "--", "{a}{b}", "{n}"], { b: "-rf", n: -1 }, undefined],
  [["p", "{a}", "--", "{b}"], { a: "-x", b: "-y" }, "a"],
])("of %j with %j the option is %p", (argv, input, option) => {
  const shape = action(argv, { a: TEXT, b: TEXT, n: { type: "integer", optional: true } });
  const judged = () => judgeInput("act", shape, input as Record<string, unknown>);
  if (option === undefined) expect(wordsOf(argv, judged()).every((word) => word !== "")).toBe(true);
  else expect(judged).toThrow(`${option} begins with -`);
});

test("a word takes nothing that no parameter has, whatever objects have by nature", () => {
  const shape = ACTION.schema.parse({ argv: ["p", "{constructor}"], parameters: {} });
  expect(ACTION.problem?.(shape, "a")).toContain("no parameter constructor");
  expect(wordsOf(["p", "{constructor}", "x{constructor}"], {})).toEqual(["p", "x"]);
  const declared = action(["p", "{constructor}"], { constructor: TEXT });
  expect(wordsOf(["p", "{constructor}"], judgeInput("act", declared, {}))).toEqual(["p"]);
  expect(wordsOf(["p", "{constructor}"], judgeInput("act", declared, { constructor: "c" }))).toEqual(["p", "c"]);
});

test("a checkpoint and a result of nothing but secrets are kept within their bound, and the node goes on", async () => {
  await using node = startWorkers();
  // Longer by what stands for each of them than what may be kept.
  const write = (name: string) =>
    `for i in $(seq 5000); do printf '%s %s ' "$KEY" "$KEY"; done > "$CAIRN_JOB_FOLDER/${name}"`;
  const argv = ["sh", "-c", `${write("checkpoint")}; ${write("result")}`];
  await node.declareAction("secret", { argv, secrets: { KEY: "secret:SHORT" } });
  const job = await node.start("secret");
  await node.until(job.id, "succeeded");
  const { result = "", checkpoint = "" } = await node.get(job.id);
  for (const text of [result, checkpoint]) {
    expect(text).toStartWith("[redacted] [redacted]");
    expect(text.length).toBeLessThanOrEqual(64 * 1024);
  }
  expect(result).not.toContain("abcdef");
});
