// cairn fleet pick: the member that is best for a piece of work.

import { byteCount } from "../../lib/byte-size.ts";
import { columns } from "../../lib/columns.ts";
import { Fault } from "../../lib/fault.ts";
import { type FeatureCommand, optionText, optionTexts, type Words } from "../../operation/feature-command.ts";
import { ALLOWED } from "./pick.ts";

interface Shown {
  name: string;
  role: string;
  reason: string;
  because?: string;
}

/** `cairn fleet pick`. */
export const pickCommand: FeatureCommand = {
  words: ["fleet", "pick"],
  summary: "choose the member for a piece of work: the least busy one that fits, and say why",
  more: `Exit code 3: none fits. Nothing is reserved. It needs reader on the space fleet.
Examples:
  cairn fleet pick --label gpu --memory 4GiB
  cairn fleet pick --kind transcription --size 500MiB --exclude berlin`,
  options: [
    {
      flags: "--label <label>",
      help: "a label that it must have; may be given several times",
      repeated: true,
      fills: "labels",
    },
    { flags: "--memory <bytes>", help: "memory that must be free, such as 4GiB", fills: "memory_bytes" },
    { flags: "--kind <word>", help: "kind of the work; transcription prefers always-on machines" },
    {
      flags: "--size <bytes>",
      help: "size of the work; above 1000000 bytes the most CPUs are preferred",
      fills: "size_bytes",
    },
    { flags: "--exclude <node>", help: "a member that is not wanted; may be given several times", repeated: true },
    {
      flags: "--allow <word>",
      help: "take members although they are away, edge, lagging or stale (away is soon stale, too); several times",
      repeated: true,
      offers: ALLOWED,
    },
  ],
  operation: "fleet_pick",
  input: (words) => ({
    ...textsGiven(words, "label", "labels"),
    ...bytesGiven(words, "memory"),
    ...optionText(words, "kind"),
    ...bytesGiven(words, "size"),
    ...textsGiven(words, "exclude", "exclude"),
    ...textsGiven(words, "allow", "allow"),
  }),
  show({ member, reason, candidates, left_out, exclude_unknown }) {
    const chosen = (member as { name: string } | null)?.name ?? "none";
    const fit = (candidates as Shown[]).map((each, at) => [`${at + 1}`, each.name, each.role, each.reason]);
    const out = (left_out as Shown[]).map((each) => ["-", each.name, each.role, `${each.because}: ${each.reason}`]);
    const unknown = (exclude_unknown as string[]).map((word) => `no member is called ${word}\n`);
    return `${chosen}: ${String(reason)}\n\n${columns([...fit, ...out])}${unknown.join("")}`;
  },
  isNo: ({ member }) => member === null,
};

function textsGiven(words: Words, option: string, argument: string): Record<string, readonly string[]> {
  const texts = optionTexts(words, option);
  return texts.length === 0 ? {} : { [argument]: texts };
}

function bytesGiven({ options }: Words, option: string): Record<string, number> {
  const text = options[option];
  if (typeof text !== "string") return {};
  const bytes = byteCount(text);
  if (bytes !== undefined) return { [`${option}_bytes`]: bytes };
  throw new Fault("invalid_input", `--${option} must be a number of bytes, not ${JSON.stringify(text)}`, {
    hint: "Write it as 1500, 500MiB or 4GiB.",
  });
}
