// cairn memory …: each a call of one operation.

import { columns } from "../../lib/columns.ts";
import { printableLine } from "../../lib/printable.ts";
import { type FeatureCommand, type Option, optionTexts, type Words } from "../../operation/feature-command.ts";
import { SCOPES, spaceOfInput } from "./places.ts";
import type { Memory } from "./shown.ts";
import { KINDS } from "./shown.ts";

const KEY = {
  name: "KEY",
  help: "its key; its id where it is of another agent or caller, as cairn memory list prints it",
} as const;

const places: readonly Option[] = [
  { flags: "--scope <scope>", help: "own, session or shared", offers: SCOPES },
  { flags: "--space <space>", help: "the space (default: that of the session, else default)" },
  { flags: "--session <session>", help: "of this session" },
];
const subjects: readonly Option[] = [
  { flags: "--kind <kind>", help: "fact, event or note", offers: KINDS },
  { flags: "--about <subject>", help: "whom or what it is about" },
];

const store: FeatureCommand = {
  words: ["memory", "store"],
  summary: "remember a text for yourself, a session or a space; secrets in it are removed",
  args: [{ name: "TEXT", help: "what to remember; JSON is stored as such", fills: "value" }],
  options: [
    { flags: "--key <key>", help: "its name (default: by the text); the same key again is its next version" },
    ...places,
    ...subjects,
    {
      flags: "--to <name>",
      help: "who else may read it: agent, login or tag; may be given several times",
      repeated: true,
    },
    { flags: "--tag <tag>", help: "a tag; may be given several times", repeated: true, fills: "tags" },
    { flags: "--supersedes <key>", help: "what it replaces; may be given several times", repeated: true },
  ],
  operation: "memory_store",
  input: (words) => ({
    value: words.args[0],
    ...textsOf(words, ["key", "scope", "space", "session", "kind", "about"]),
    ...listsOf(words, { to: "to", tag: "tags", supersedes: "supersedes" }),
  }),
  addressed: (words) => optionTexts(words, "to"),
  show({ key, version, scrubbed }) {
    const rules = (scrubbed ?? []) as readonly { rule: string; count: number }[];
    const removed = rules.map(({ rule, count }) => `removed before storing: ${rule} (${count})\n`).join("");
    return `${String(key)} version ${String(version)}\n${removed}`;
  },
};

const get: FeatureCommand = {
  words: ["memory", "get"],
  summary: "print what is remembered under a key",
  args: [KEY],
  options: places,
  operation: "memory_get",
  input: (words) => ({ key: words.args[0], ...textsOf(words, ["scope", "space", "session"]) }),
  show: ({ value }) => `${typeof value === "string" ? value : JSON.stringify(value, null, 2)}\n`,
};

const list: FeatureCommand = {
  words: ["memory", "list"],
  summary: "list memories, without what another one replaced",
  options: [
    ...places,
    ...subjects,
    { flags: "--tag <tag>", help: "only with this tag" },
    { flags: "--cursor <cursor>", help: "the next page" },
  ],
  operation: "memory_list",
  input: (words) => textsOf(words, ["scope", "space", "session", "kind", "about", "tag", "cursor"]),
  show: ({ memories }, words) => table(memories as readonly Memory[], words),
};

const search: FeatureCommand = {
  words: ["memory", "search"],
  summary: "find memories that have words",
  args: [{ name: "QUERY", help: "up to 8 words; any of them counts" }],
  options: [...places, ...subjects, { flags: "--cursor <cursor>", help: "go on where an earlier search stopped" }],
  operation: "memory_search",
  input: (words) => ({
    query: words.args[0],
    ...textsOf(words, ["scope", "space", "session", "kind", "about", "cursor"]),
  }),
  show({ memories, cursor }, words) {
    const rows = (memories as readonly (Memory & { preview: string })[]).map((each) => [
      ...placeOf(each),
      printableLine(each.preview),
    ]);
    const more = cursor === undefined ? "" : `there is more to look through: --cursor ${String(cursor)}\n`;
    return `${rows.length === 0 ? `no memory ${inPlace(words)} has these words\n` : columns(rows)}${more}`;
  },
};

const remove: FeatureCommand = {
  words: ["memory", "delete"],
  summary: "forget what is remembered under a key; its versions can be restored",
  args: [KEY],
  options: places,
  operation: "memory_delete",
  input: (words) => ({ key: words.args[0], ...textsOf(words, ["scope", "space", "session"]) }),
  show: ({ key, version }) => `${String(key)} deleted at version ${String(version)}\n`,
};

/** The commands. */
export const memoryCommands: readonly FeatureCommand[] = [store, get, list, search, remove];

function table(memories: readonly Memory[], words: Words): string {
  const rows = memories.map((each) => [...placeOf(each), ...[each.kind, each.updated_at], printableLine(each.title)]);
  return rows.length === 0 ? `there is no memory ${inPlace(words)} that you may read\n` : columns(rows);
}

/** Returns where was looked, and how to look elsewhere where that was not said. */
function inPlace(words: Words): string {
  const { space, session } = textsOf(words, ["space", "session"]) as { space?: string; session?: string };
  const place = `in space ${printableLine(spaceOfInput({ space, session }))}`;
  return space === undefined && session === undefined ? `${place} (--space names another)` : place;
}

/** Returns whose a memory is and by what it is got: its key; its id where it is of another agent or caller. */
function placeOf({ scope, key, id, owner_agent, owner }: Memory): string[] {
  if (scope !== "other") return [scope, printableLine(key)];
  return [printableLine(`of ${owner_agent ?? owner}`), printableLine(id)];
}

/** Returns the options of one value that were given. */
function textsOf({ options }: Words, names: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(names.flatMap((name) => (options[name] === undefined ? [] : [[name, options[name]]])));
}

/** Returns the repeated options that were given, by the names of their arguments. */
function listsOf({ options }: Words, names: Readonly<Record<string, string>>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(names).flatMap(([name, argument]) => {
      const given = options[name];
      return Array.isArray(given) && given.length > 0 ? [[argument, given]] : [];
    }),
  );
}
