// cairn search, cairn search model: calls of the operations.

import { resolve } from "node:path";
import { authorText } from "../../lib/author-text.ts";
import { printableLine } from "../../lib/printable.ts";
import { type FeatureCommand, optionNumber, type Words } from "../../operation/feature-command.ts";

interface Hit {
  id?: string;
  session?: string;
  message?: string;
  title?: string;
  author: string;
  agent?: string;
  time: string;
  preview: string;
  why: { matched: readonly string[]; meaning?: number; part: number; corrected?: Record<string, string> };
}

const FILTERS = ["space", "kind", "session", "from", "tag", "since", "until", "by", "cursor"] as const;

const BY = ["words", "meaning", "both"];

const search: FeatureCommand = {
  words: ["search"],
  summary: "find contexts and messages by words",
  args: [{ name: "WORD...", help: "words, or a part of a word or identifier", fills: "query" }],
  options: [
    { flags: "--space <space>", help: "only in this space" },
    { flags: "--kind <kind>", help: "only rows of this kind", offers: ["context", "message"] },
    { flags: "--session <session>", help: "only messages of this session" },
    { flags: "--from <name>", help: "only what this agent or caller wrote" },
    { flags: "--tag <tag>", help: "only contexts with this tag" },
    { flags: "--since <time>", help: "only what was written at or after this time (ISO 8601)" },
    { flags: "--until <time>", help: "only what was written at or before this time" },
    { flags: "--limit <n>", help: "at most this many (default 20)" },
    { flags: "--by <what>", help: "words, meaning or both (default: both, where the node has vectors)", offers: BY },
    { flags: "--cursor <cursor>", help: "the cursor of the previous page, as it was printed" },
  ],
  operation: "search",
  input: (words) => ({
    query: words.args.join(" "),
    ...Object.fromEntries(FILTERS.flatMap((name) => filterOf(words, name))),
    ...optionNumber(words, "limit"),
  }),
  show({ hits, more, cursor, index }) {
    const found = (hits as readonly Hit[]).map(shownHit).join("");
    const { building, meaning } = index as { building?: true; meaning?: { failed?: true } };
    return [
      found === "" ? "nothing was found\n" : found,
      cursor !== undefined
        ? `there is more: the same with --cursor ${cursor}\n`
        : more === true
          ? "there is more: name more words, or narrow the search\n"
          : "",
      meaning?.failed === true ? "only words were looked at: vectors are missing now\n" : "",
      building === true ? "the index is being built: what is older may be missing\n" : "",
    ].join("");
  },
};

function filterOf({ options }: Words, name: string): [string, unknown][] {
  return options[name] === undefined ? [] : [[name, options[name]]];
}

function shownHit({ id, session, message, title, author, agent, time, preview, why }: Hit): string {
  const name = id ?? `${session} ${message}`;
  const named = title === undefined ? name : `${name}  ${title}`;
  const meant = Object.entries(why.corrected ?? {}).map(([word, other]) => `  (${other} for ${word})`);
  const isByMeaning = (why.meaning ?? 0) > 0 && why.matched.length === 0 && why.part === 0 && meant.length === 0;
  if (isByMeaning) meant.push("  (by meaning)");
  return `${printableLine(named)}\n  ${time}  ${printableLine(authorText({ author, agent }))}${printableLine(meant.join(""))}\n  ${printableLine(preview)}\n`;
}

const model: FeatureCommand = {
  words: ["search", "model"],
  summary: "see, install or remove the model for searches by meaning",
  more: 'To search for the word "model", use another one with it in quotes: cairn search "model plan".',
  args: [{ name: "[ACTION]", help: "status (default), install or remove", offers: ["status", "install", "remove"] }],
  options: [
    {
      flags: "--from <file>",
      help: "with install: the package, or model.onnx, in place of a download",
      offers: "files",
    },
  ],
  operation: "search_model",
  answerMs: 11 * 60_000,
  input: ({ args: [action], options }) => ({
    ...(action === undefined ? {} : { action }),
    ...(options["from"] === undefined ? {} : { from: resolve(String(options["from"])) }),
  }),
  show({ installed, makes_vectors: maker, position, vectors }) {
    return [
      `installed     ${installed === true ? "yes" : "no"}\n`,
      `vectors from  ${maker === null ? "nothing: searches are by words" : printableLine(String(maker))}\n`,
      maker === null ? "" : `rows          ${vectors}, up to ${position ?? "nothing yet"}\n`,
    ].join("");
  },
};

/** The commands. */
export const searchCommands: readonly FeatureCommand[] = [search, model];
