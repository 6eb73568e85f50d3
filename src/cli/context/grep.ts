// cairn context grep: searches a document, or all that the caller may read, by the node's context_grep.

import { askNode, type NodeAnswer } from "../client.ts";
import { type Command, countOption, FRESHNESS, given, isSet, textOption } from "../command.ts";
import { NEGATIVE_EXIT } from "../exit.ts";
import { objectsOf, showPage } from "../output.ts";
import { paging } from "./shared-options.ts";

/** `cairn context grep`. */
export const contextGrep: Command = {
  words: ["context", "grep"],
  summary: "find lines by a pattern, in one context or in all; exits 3 when no line matches",
  more: `The pattern is a regular expression without backreferences and lookaround; it matches within single lines.
Examples:
  cairn context grep 'ship|release' team-a/plan
  cairn context grep --ignore-case todo --prefix team-a/`,
  args: [
    { name: "PATTERN", help: "such as error|warning" },
    { name: "[ID]", help: "only this context", offers: "ids" },
  ],
  options: [
    { flags: "--prefix <prefix>", help: "only ids that begin with this" },
    { flags: "--literal", help: "the pattern is plain text" },
    { flags: "--ignore-case", help: "letters match in either case" },
    ...paging,
    ...FRESHNESS,
  ],
  asksNode: true,
  async run(invocation) {
    const [pattern, id] = invocation.args;
    const limit = countOption(invocation, "limit", "--limit");
    const ask = (cursor: string | undefined): Promise<NodeAnswer> =>
      askNode(
        invocation,
        "context_grep",
        given({
          pattern,
          id,
          prefix: textOption(invocation, "prefix"),
          literal: isSet(invocation, "literal") || undefined,
          ignore_case: isSet(invocation, "ignoreCase") || undefined,
          limit,
          cursor,
        }),
      );
    let answer = await ask(textOption(invocation, "cursor"));
    // A page without a match only says that the search is not at its end yet.
    while (objectsOf(answer.body["matches"]).length === 0 && typeof answer.body["cursor"] === "string")
      answer = await ask(answer.body["cursor"]);
    await showPage(invocation, answer, (body) =>
      objectsOf(body["matches"])
        .map((match) => `${match["id"]}:${match["line"]}: ${match["text"]}\n`)
        .join(""),
    );
    return objectsOf(answer.body["matches"]).length === 0 ? NEGATIVE_EXIT : 0;
  },
};
