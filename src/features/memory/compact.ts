// memory_compact: makes one memory of many. It calls no model: the caller may give the text, else the values are put
// together. The originals are deleted in the same write, and stay as earlier versions.

import { z } from "zod";
import { type MacroSteps, macro } from "../../operation/define.ts";
import { filters, newest } from "./list.ts";
import { placesOf, prefixOf, scopeArgument, spaceOfInput } from "./places.ts";
import { Scrubber } from "./scrub.ts";
import { filterAliases, kindArgument, MAX_KEY, type Memory, titleOf } from "./shown.ts";

/** Most memories of one call: they are deleted in one write, beside the new one. */
const MAX_COMPACTED = 60;
/** Most characters of one value in the new text, and of all together. */
const MAX_VALUE = 4000;
const MAX_TEXT = 200_000;

const input = z.object({
  ...filters,
  scope: scopeArgument.optional().describe("own (default), session or shared."),
  kind: kindArgument.optional().describe("Only these."),
  older_than_days: z.number().min(0).max(3650).optional().describe("Only if unchanged for so long (default 7)."),
  into: z.string().min(1).max(MAX_KEY).normalize("NFC").describe("Key of the memory that replaces them."),
  text: z.string().min(1).max(MAX_TEXT).optional().describe("Your summary (default: their values, put together)."),
  limit: z
    .number()
    .int()
    .min(2)
    .max(MAX_COMPACTED)
    .optional()
    .describe("At most this many, the oldest first (default 60)."),
  dry_run: z.boolean().optional().describe("Only say which it would be."),
});

/** Makes the operation, over the rules that the node does not apply and its clock. */
export function memoryCompact(keptSecrets: () => readonly string[], nowMs: () => number) {
  return macro({
    name: "memory_compact",
    title: "Compact memories",
    search: "compact memory, summarize, tidy up, consolidate, decay",
    description:
      "Replaces many memories by one: with the text that you give, or with their values put together by date. They are deleted in the same write, and stay as versions that context_restore brings back; the new one names them. No model is called. Look first with dry_run.",
    input,
    example: { space: "team-a", into: "ann/digest", about: "ann", dry_run: true },
    samples: {
      ...{ scope: "own", session: "team-a/session_0123456789abcdef", kind: "note", tag: "style" },
      ...{ older_than_days: 30, text: "Ann prefers tabs.", limit: 20 },
    },
    output: z.object({
      id: z.string().describe("Id of the context of the new memory."),
      compacted: z.array(z.object({ id: z.string(), version: z.number().int() })).describe("What it replaces."),
      version: z.number().int().optional().describe("Of the new memory; absent where nothing was written."),
      scrubbed: z.array(z.object({ rule: z.string(), count: z.number().int() })).optional(),
    }),
    access: { verb: "write", spaces: (given) => [spaceOfInput(given)] },
    hints: { destructive: true },
    aliases: { ...filterAliases, key: "into", summary: "text" },
    run: (given, steps) => compact(given, steps, { scrubber: new Scrubber(keptSecrets()), nowMs: nowMs() }),
  });
}

async function compact(
  given: z.output<typeof input>,
  steps: MacroSteps,
  { scrubber, nowMs }: { scrubber: Scrubber; nowMs: number },
) {
  const { into, older_than_days: days = 7, limit = MAX_COMPACTED, text, dry_run, scope = "own", ...rest } = given;
  const id = `${prefixOf(await placesOf(steps, given), scope)}${into}`;
  const { memories } = await newest(steps, { ...rest, scope }, undefined);
  const beforeMs = nowMs - days * 86_400_000;
  const digest = memories.find((each) => each.id === id);
  const old = memories
    .filter((each) => each.id !== id && Date.parse(each.updated_at) <= beforeMs)
    // What has readers of its own would be shown to others, or hidden from them.
    .filter(({ visibility, to }) => to === undefined && visibility === (scope === "own" ? "private" : undefined))
    .sort((one, other) => one.updated_at.localeCompare(other.updated_at) || (one.id < other.id ? -1 : 1))
    .slice(0, limit);
  const compacted = old.map((each) => ({ id: each.id, version: each.version }));
  if (old.length < (digest === undefined ? 2 : 1)) return { id, compacted: [] };
  if (dry_run === true) return { id, compacted };
  const value = scrubber.text(text ?? (await together(steps, digest, old)));
  const about = given.about === undefined ? {} : { about: given.about };
  const put = {
    ...{ operation: "context_put", id, content: value, content_type: "text/markdown", title: titleOf(value) },
    metadata: { kind: given.kind ?? "note", ...about, compacted: old.length },
    ...(scope === "own" ? { visibility: "private" } : {}),
    ...(digest === undefined ? { if_none_match: "*" } : { if_match: digest.etag }),
  };
  const deletions = old.map((each) => ({ operation: "context_delete", id: each.id, if_match: each.etag }));
  const { results } = await steps.ask("context_many", { writes: [put, ...deletions] });
  const [written] = z.array(z.looseObject({ version: z.number() })).parse(results);
  const scrubbed = scrubber.found;
  return {
    ...{ id, compacted },
    ...(written === undefined ? {} : { version: written.version }),
    ...(scrubbed.length === 0 ? {} : { scrubbed }),
  };
}

/**
 * Puts the values together after what was put together before, oldest first, each once, with the id and version where
 * the whole of it is.
 */
async function together({ ask }: MacroSteps, digest: Memory | undefined, old: readonly Memory[]): Promise<string> {
  const seen = new Set<string>();
  const parts: string[] = [];
  if (digest !== undefined) {
    const { content } = await ask("context_get", { id: digest.id, version: digest.version, format: "text" });
    parts.push(String(content).trim());
  }
  let size = 0;
  for (const { id, version, updated_at, kind, about } of old) {
    const { content } = await ask("context_get", { id, version, format: "text", max_chars: MAX_VALUE });
    const value = String(content).trim();
    if (!seen.has(value) && size + value.length <= MAX_TEXT) {
      const subject = about === undefined ? "" : `: ${about.replace(/\s+/g, " ")}`;
      const head = `## ${updated_at.slice(0, 10)} ${kind}${subject}`;
      parts.push(`${head}\n\n${asBody(value)}\n\n(${id} version ${version})`);
      size += value.length;
    } else parts.push(`(${id} version ${version})`);
    seen.add(value);
  }
  return `${parts.join("\n\n")}\n`;
}

/** Returns a value that makes no heading and no source of the digest: such lines are escaped as Markdown has it. */
function asBody(value: string): string {
  return value.replace(/^( {0,3})(?=#{1,6}(?:\s|$)|(?:=+|-+)[ \t]*$|\(.* version \d+\)[ \t]*$)/gm, "$1\\");
}
