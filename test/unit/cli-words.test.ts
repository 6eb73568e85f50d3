// The words of the command line: every group says what it is for, a mistyped word gets the near one, and a number that
// is none is refused, whatever the command.

import { expect, spyOn, test } from "bun:test";
import { runCommandLine } from "../../src/cli/program.ts";
import { COMMANDS } from "../../src/cli/table.ts";
import { FEATURES } from "../../src/features/index.ts";
import { Fault } from "../../src/lib/fault.ts";
import { listed } from "../../src/lib/listed.ts";

/** Runs a command line in this process. Returns its exit code and what it printed on both outputs. */
async function run(...words: string[]): Promise<{ code: number; text: string }> {
  let text = "";
  const spies = [process.stdout, process.stderr].map((stream) =>
    spyOn(stream, "write").mockImplementation((chunk) => {
      text += String(chunk);
      return true;
    }),
  );
  const code = await runCommandLine(words, {});
  for (const spy of spies) spy.mockRestore();
  return { code, text };
}

test("the help describes every first word", async () => {
  const { text } = await run("--help");
  for (const word of new Set(COMMANDS.map(({ words }) => words[0]))) {
    const [, description = ""] =
      new RegExp(`^  ${word}(?:\\|\\S+)?(?: [\\[<].*?[\\]>])* +(\\S.*)$`, "m").exec(text) ?? [];
    expect([word, description.length > word.length, description === word]).toEqual([word, true, false]);
  }
});

test("a second word that is none gets the near one, and the list of those there are", async () => {
  expect(await run("agents", "regster", "foo")).toEqual({
    code: 2,
    text: `cairn: cairn agents has no command "regster"
  try: Did you mean cairn agents register? It has status, leave, remove and register.
`,
  });
  expect(await run("memory", "profile")).toEqual({
    code: 2,
    text: `cairn: cairn memory has no command "profile"
  try: It has store, get, list, search and delete.
`,
  });
  expect((await run("context", "hsitory", "x", "--limit", "3")).text).toContain("Did you mean cairn context history?");
  const alone = await run("memory");
  expect([alone.code, alone.text]).toEqual([2, expect.stringContaining("Usage: cairn memory")]);
});

test("a list of names reads as English", () => {
  expect(["", "a", "a and b", "a, b and c"]).toEqual([[], ["a"], ["a", "b"], ["a", "b", "c"]].map(listed));
});

test("every option that takes a number refuses a text that is none, by its flag", async () => {
  const numbers = COMMANDS.flatMap((command) =>
    (command.options ?? [])
      .filter(({ flags }) => /<(n|seconds|count|version)>/.test(flags))
      .map(({ flags }) => ({ command, flag: flags.split(" ")[0] ?? "" })),
  );
  expect(numbers.length).toBeGreaterThan(15);
  for (const { command, flag } of numbers) {
    const name = flag.slice(2).replaceAll(/-(.)/g, (_, letter: string) => letter.toUpperCase());
    const args = (command.args ?? []).map(() => "a/b");
    const options = { [name]: "abc", data: "/nonexistent", yes: true };
    const refused = await command.run({ args, options, env: {} }).catch((error: unknown) => error);
    const shown = refused instanceof Fault ? refused.message : refused;
    expect([command.words, shown]).toEqual([command.words, expect.stringMatching(new RegExp(`^${flag} must be a`))]);
  }
});

test("an agent is shown with its caller, in hits as in messages; an acknowledged message says by whom", () => {
  const commands = FEATURES.flatMap(({ commands: own = [] }) => own);
  const shown = (words: string, output: Record<string, unknown>) =>
    commands.find((each) => each.words.join(" ") === words)?.show(output, { args: [], options: {} });
  const by = { author: "local:dev", agent: "builder" };
  const hit = { id: "a/b", ...by, time: "T", preview: "p", why: { matched: ["p"], part: 0 } };
  expect(shown("search", { hits: [hit, { ...hit, agent: undefined }], index: {} })).toBe(
    "a/b\n  T  builder (local:dev)\n  p\na/b\n  T  local:dev\n  p\n",
  );
  const message = { message: "m_1", posted_at: "T", ...by, kind: "text", text: "x", visibility: "public" };
  const acked = { ...message, ack_wanted: true, acks: 4, acked_by: [by, { author: "user:ann" }] };
  expect(shown("session show", { messages: [acked, { ...acked, acks: 0, acked_by: [] }] })).toBe(
    `m_1  T  builder (local:dev)  acknowledged by builder (local:dev), user:ann and 2 more
  | x
m_1  T  builder (local:dev)  wants an acknowledgement
  | x
`,
  );
});
