// memory_profile: what is known of a subject, or of everything, in one call: facts with their values, and what is new.

import { z } from "zod";
import { Fault } from "../../lib/fault.ts";
import { type MacroSteps, macro } from "../../operation/define.ts";
import { newest } from "./list.ts";
import { placeArguments, scopeArgument, spaceOfInput } from "./places.ts";
import { aboutArgument, filterAliases, type Memory, memory } from "./shown.ts";

const MAX_FACTS = 30;
const MAX_RECENT = 10;
/** Most characters of a value. */
const MAX_VALUE = 500;

/** Returns it. */
export const memoryProfile = macro({
  name: "memory_profile",
  title: "What is known",
  search: "profile, who is, what do I know about, brief me, start of work",
  description:
    "Returns what is known of a subject, or in all, in one call: the newest facts with the beginning of their values, and the last events and notes. Superseded ones are left out. Use it when you begin, then memory_get for a whole value.",
  input: z.object({
    about: aboutArgument.optional().describe("Whom or what (default: everything)."),
    scope: scopeArgument.optional().describe("Only these (default: all that you may read)."),
    ...placeArguments,
    facts: z.number().int().min(0).max(MAX_FACTS).optional().describe("At most this many facts (default 20)."),
  }),
  example: { about: "ann", space: "team-a" },
  samples: { scope: "shared", session: "team-a/session_0123456789abcdef", facts: 10 },
  output: z.object({
    facts: z.array(
      memory.extend({ value: z.string().describe("Its text, or its JSON; the beginning of a long one.") }),
    ),
    recent: z.array(memory).describe("The last events and notes, newest first."),
    counts: z.record(z.string(), z.number().int()).describe("How many there are of each kind."),
    cut: z.literal(true).optional().describe("Not all could be looked at."),
  }),
  access: { verb: "read", spaces: (input) => [spaceOfInput(input)] },
  aliases: filterAliases,
  async run({ facts: most = 20, ...given }, steps) {
    const { memories, isCut } = await newest(steps, given, undefined);
    const current = memories.filter(({ superseded_by }) => superseded_by === undefined);
    const facts = [];
    for (const each of current.filter(({ kind }) => kind === "fact").slice(0, most)) {
      const value = await beginningOf(steps, each);
      if (value !== undefined) facts.push({ ...each, value });
    }
    const counts: Record<string, number> = {};
    for (const { kind } of current) counts[kind] = (counts[kind] ?? 0) + 1;
    const recent = current.filter(({ kind }) => kind !== "fact").slice(0, MAX_RECENT);
    return { facts, recent, counts, ...(isCut ? { cut: true as const } : {}) };
  },
});

/** Returns the beginning of a value; undefined where it was deleted meanwhile. */
async function beginningOf(steps: MacroSteps, { id }: Memory): Promise<string | undefined> {
  const answer = await steps.tryAsk("context_get", { id, format: "text", max_chars: MAX_VALUE });
  if (!(answer instanceof Fault)) return String(answer["content"]);
  if (answer.code === "not_found" || answer.code === "deleted" || answer.code === "purged") return undefined;
  throw answer;
}
