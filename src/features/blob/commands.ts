// cairn blob stat|list|rm: the commands that are one call each. `cairn blob put` and `cairn blob get` are in
// src/cli/blob.

import { columns } from "../../lib/columns.ts";
import { counted } from "../../lib/counted.ts";
import { Fault } from "../../lib/fault.ts";
import { type FeatureCommand, optionNumber, optionText } from "../../operation/feature-command.ts";

const HASH = { name: "SHA256", help: "64 hex digits, as cairn blob put printed them", fills: "sha256" } as const;
const SPACE = { flags: "--space <space>", help: "the space that it is in (default: default)" } as const;

interface Shown {
  space: string;
  sha256: string;
  bytes: number;
  content_type: string;
  created_at: string;
  created_by: string;
  copies: number;
  holders: number;
  references: number;
  kept_until: string;
}

const stat: FeatureCommand = {
  words: ["blob", "stat"],
  summary: "show size, type, copies and references of a blob",
  args: [HASH],
  options: [SPACE],
  operation: "blob_stat",
  input: (words) => ({ sha256: words.args[0], ...optionText(words, "space") }),
  show: (output) => {
    const blob = output as unknown as Shown;
    return columns([
      ["sha256", blob.sha256],
      ["space", blob.space],
      ["size", counted(blob.bytes, "byte")],
      ["type", blob.content_type],
      ["put", `${blob.created_at} by ${blob.created_by}`],
      ["copies", `${blob.holders} of ${blob.copies}`],
      ["references", String(blob.references)],
      ["kept until", blob.references > 0 ? "nothing refers to it" : `${blob.kept_until}, at least`],
    ]);
  },
};

const list: FeatureCommand = {
  words: ["blob", "list"],
  summary: "list blobs: hash, size, type, copies, references",
  options: [
    { flags: "--space <space>", help: "only blobs of this space" },
    { flags: "--limit <n>", help: "at most this many" },
    { flags: "--cursor <cursor>", help: "the next page, as the one before printed it" },
  ],
  operation: "blob_list",
  input: (words) => ({
    ...optionText(words, "space"),
    ...optionNumber(words, "limit"),
    ...optionText(words, "cursor"),
  }),
  show: (output) => {
    const blobs = output["blobs"] as unknown as Shown[];
    if (blobs.length === 0) return "no blobs\n";
    return columns([
      ["SPACE", "SHA256", "BYTES", "TYPE", "COPIES", "REFERENCES"],
      ...blobs.map((blob) => [
        blob.space,
        blob.sha256,
        String(blob.bytes),
        blob.content_type,
        `${blob.holders}/${blob.copies}`,
        String(blob.references),
      ]),
    ]);
  },
};

const remove: FeatureCommand = {
  words: ["blob", "rm"],
  summary: "remove a blob to which no context refers",
  args: [HASH],
  options: [SPACE],
  operation: "blob_remove",
  input: (words) => ({ sha256: words.args[0], ...optionText(words, "space") }),
  failure: ({ removed }, { args, options }) => {
    if (removed === true) return undefined;
    const { space = "default" } = options;
    return new Fault("not_found", `There is no blob ${args[0]} in the space ${JSON.stringify(space)}`, {
      hint: "Name its space with --space; `cairn blob list` shows the blobs of all spaces that you may read.",
    });
  },
  show: () => "removed\n",
};

/** The commands, in the order of the help. */
export const blobCommands: readonly FeatureCommand[] = [stat, list, remove];
