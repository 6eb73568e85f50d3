// Reading in parts by the command line: ranges of lines and characters, outlines, and the search for a place.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { type DevNode, startDevNode } from "../kit/dev-node.ts";

let node: DevNode;
const LINES = Array.from({ length: 60 }, (_, index) => `line ${index + 1}\n`);

beforeAll(async () => {
  node = await startDevNode();
  const put = (id: string, text: string) => node.cairn(["context", "put", "--data", node.dataDir, id], text);
  await put("team-a/long", LINES.join(""));
  await put("team-a/plan.md", "# Plan\nship\n## Next\ncall Ann\n# Done\n");
  await put("team-a/state", '{"next":["a","b"],"n":1}');
}, 60_000);

afterAll(() => node[Symbol.asyncDispose]());

const get = (...words: string[]) => node.cairn(["context", "get", "--data", node.dataDir, ...words]);

test("lines and characters: the part goes to stdout, where it is to stderr", async () => {
  expect(await get("team-a/long", "--lines", "10-40")).toMatchObject({
    code: 0,
    out: LINES.slice(9, 40).join(""),
    err: expect.stringContaining("lines 10-40 of 60, characters "),
  });
  expect((await get("team-a/long", "--lines", "59-")).out).toBe("line 59\nline 60\n");
  expect((await get("team-a/long", "--lines", "7")).out).toBe("line 7\n");
  expect((await get("team-a/plan.md", "--chars", "3-6")).out).toBe("Plan");
  expect((await get("team-a/state", "--chars", "2-7")).out).toBe('"next"');
  const json = JSON.parse((await get("team-a/long", "--lines", "2-3", "--json")).out);
  expect(json).toMatchObject({ content: "line 2\nline 3\n", part: { lines: "2-3", total_lines: 60 } });
});

test("outlines of text and JSON have the characters to read", async () => {
  const { code, out } = await get("team-a/plan.md", "--outline");
  expect([code, out]).toEqual([0, "1-29   Plan\n13-29    Next\n30-36  Done\n"]);
  expect((await get("team-a/plan.md", "--chars", "13-29")).out).toBe("## Next\ncall Ann\n");
  const keys = await get("team-a/state", "--outline");
  expect(keys.out.split("\n")[0]).toMatch(/^9-17 +\/next +array \(2\)$/);
});

test.each([
  [["--lines", "40-10"], "ends before it begins"],
  [["--lines", "0-3"], '--lines must be FROM-TO, FROM- or one number, not "0-3"'],
  [["--chars", "a-b"], '--chars must be FROM-TO, FROM- or one number, not "a-b"'],
  [["--lines", ""], '--lines must be FROM-TO, FROM- or one number, not ""'],
  [["--lines", "61-70"], "begins after the end of the document, which has 60 lines"],
  [["--lines", "1-2", "--chars", "1-2"], "--lines and --chars do not go together"],
  [["--outline", "--lines", "1-2"], "--lines and --outline do not go together"],
  [["--lines", "1-2", "--from", "export.jsonl"], "--lines and --from do not go together"],
])("context get %j is refused with exit code 2 and words", async (words, said) => {
  const refused = await get("team-a/long", ...words);
  expect(refused.err).toContain("\n  try: ");
  expect(refused).toMatchObject({ code: 2, out: "", err: expect.stringContaining(said) });
});

test("context grep finds lines in one context and below a prefix; nothing found is exit code 3", async () => {
  const grep = (...words: string[]) => node.cairn(["context", "grep", "--data", node.dataDir, ...words]);
  expect(await grep("line 5[89]", "team-a/long")).toMatchObject({
    code: 0,
    out: "team-a/long:58: line 58\nteam-a/long:59: line 59\n",
    err: "",
  });
  expect((await grep("ANN", "--ignore-case", "--prefix", "team-a/")).out).toBe("team-a/plan.md:4: call Ann\n");
  expect((await grep('["a"', "--literal")).out).toBe('team-a/state:1: {"next":["a","b"],"n":1}\n');
  const first = await grep("line", "team-a/long", "--limit", "2");
  expect(first.out).toBe("team-a/long:1: line 1\nteam-a/long:2: line 2\n");
  const cursor = /--cursor (\S+)/.exec(first.err)?.[1] ?? "";
  expect((await grep("line", "team-a/long", "--limit", "1", "--cursor", cursor)).out).toBe("team-a/long:3: line 3\n");
  expect(await grep("nowhere")).toMatchObject({ code: 3, out: "" });
  expect(await grep("(", "team-a/long")).toMatchObject({ code: 2, out: "" });
  expect(await grep("line", "team-a/none")).toMatchObject({ code: 4, out: "" });
});
