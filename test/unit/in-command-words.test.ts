// The errors of a node in the words of the command line: no name of an operation or argument where one typed a command
// and its options.

import { expect, test } from "bun:test";
import { filledBy, inCommandWords } from "../../src/cli/in-command-words.ts";
import { COMMANDS } from "../../src/cli/table.ts";
import { FEATURES, OPERATIONS } from "../../src/features/index.ts";
import { sessionId } from "../../src/features/session/ids.ts";
import { Fault } from "../../src/lib/fault.ts";

const commandOf = (words: string) => {
  const found = COMMANDS.find((each) => each.words.join(" ") === words);
  if (found === undefined) throw new Error(`there is no command ${words}`);
  return found;
};

/** Returns what a command shows of an error: message and hint. */
function shown(words: string, message: string, hint: string, field?: string): (string | undefined)[] {
  const fault = new Fault("invalid_input", message, { hint, ...(field === undefined ? {} : { details: { field } }) });
  const told = inCommandWords(fault, commandOf(words), COMMANDS) as Fault;
  expect([told.code, told.details]).toEqual([fault.code, fault.details]);
  return [told.message, told.hint];
}

test("an argument is named by its option, and the example has it", () => {
  expect(
    shown(
      "say",
      'message_post: parent: must be the id of a message; it is "x"',
      'For example: {"session":"s","text":"a. b","parent":"m_0123456789ab"}. parent takes text. See message_list.',
      "parent",
    ),
  ).toEqual([
    '--reply: must be the id of a message; it is "x"',
    "For example: --reply m_0123456789ab. --reply takes text. See cairn session show.",
  ]);
  expect(
    shown("say", "message_post: session is missing", 'For example: {"session":"s_1"}. session takes text.', "session"),
  ).toEqual(["SESSION is missing", "For example: s_1. SESSION takes text."]);
  expect(
    shown("session ack", "message_ack: messages.0: must be an id", 'For example: {"session":"s"}.', "messages.0"),
  ).toEqual(["MESSAGE: must be an id", "See cairn session ack --help."]);
});

test("operations become commands, arguments options; REST is left out", () => {
  const about = (words: string, hint: string) => shown(words, "No", hint)[1];
  expect(about("agents register", "To be it, call agent_register with takeover: true. Call agent_list first.")).toBe(
    "To be it, run cairn agents register with --takeover. Run cairn agents first.",
  );
  expect(about("whoami", "Call agent_register again, with takeover: true.")).toBe(
    "Run cairn agents register again, with --takeover.",
  );
  expect(about("agents status", "Name your agent with `as` (header Cairn-Agent over REST).")).toBe(
    "Name your agent with --agent NAME.",
  );
  expect(about("lease acquire", "Wait in line with wait_seconds, or until it is free with lease_wait.")).toBe(
    "Wait in line with --wait, or until it is free with cairn lease wait.",
  );
  expect(about("say", "Open it with session_reopen, or remove one with message_purge.")).toBe(
    "Open it with cairn session reopen, or remove one with cairn call message_purge.",
  );
  expect(about("search model", "Run cairn call search_model --data DIR with its data folder.")).toBe(
    "Run cairn search model --data DIR with its data folder.",
  );
  expect(about("context patch", "Copy old_text from the document.")).toBe("Copy --replace from the document.");
});

test("values, ids and settings stay as they are, and so does all of cairn call", () => {
  const same = 'There is no "message_post", team-a/lease_wait or search.model_url';
  expect(shown("say", same, same)).toEqual([same, same]);
  const told = shown("call", "message_post: parent is missing", "Call agent_list.", "parent");
  expect(told).toEqual(["message_post: parent is missing", "Call agent_list."]);
});

test("a session that is none is refused in whole English", () => {
  const [issue] = sessionId.safeParse("x").error?.issues ?? [];
  expect(issue?.message).toBe(
    '"x" is no id of a session: that is session_ and 16 hexadecimal digits, after the name of its space and a / where that is not default',
  );
});

/** What is typed for options that do not take any word, by their placeholders. */
const WORDS: Readonly<Record<string, string>> = { "<name=value>": "a=7", "<json>": '{"a":7}' };

test("each option and argument of a feature's command fills what the table says", () => {
  for (const { words, operation, input, options = [], args = [] } of FEATURES.flatMap(
    ({ commands = [] }) => commands,
  )) {
    const filled = (given: { args?: string[]; options?: Record<string, unknown> }) => {
      const all = Object.entries(input({ args: [], options: {}, ...given }));
      const none = input({ args: [], options: {} });
      return all.filter(([name, value]) => !Bun.deepEquals(value, none[name])).map(([name]) => name);
    };
    for (const option of options) {
      const [flag = "", placeholder] = option.flags.split(" ");
      const name = flag.slice(2).replaceAll(/-(.)/g, (_, letter: string) => letter.toUpperCase());
      const word = WORDS[placeholder ?? ""] ?? "7";
      const value = placeholder === undefined ? true : option.repeated === true ? [word] : word;
      expect([words, flag, filled({ options: { [name]: value } })]).toEqual([words, flag, [filledBy(option)]]);
    }
    for (const [at, { name, fills }] of args.entries()) {
      const given = [...args.slice(0, at).map(() => ""), "7"];
      const wanted = fills ?? name.replaceAll(/[[\].]/g, "").toLowerCase();
      expect([words, name, filled({ args: given })]).toEqual([words, name, expect.arrayContaining([wanted])]);
    }
    expect(OPERATIONS.map((each) => each.name)).toContain(operation);
  }
});
