// memory_store: writes a memory, without the secrets in it.

import { z } from "zod";
import { MAX_DOCUMENT_INPUT_BYTES } from "../../lib/bounds.ts";
import { Fault } from "../../lib/fault.ts";
import { sha256Hex } from "../../lib/sha256.ts";
import { type MacroOperation, type MacroSteps, macro } from "../../operation/define.ts";
import { metadataArgument } from "../../operation/metadata.ts";
import {
  isMemoryId,
  isOfItsPlace,
  type Places,
  placeArguments,
  placedAt,
  placesOf,
  prefixOf,
  scopeArgument,
  spaceOfInput,
} from "./places.ts";
import { Scrubber } from "./scrub.ts";
import { aboutArgument, context, filterAliases, keyAliases, kindArgument, MAX_KEY, titleOf } from "./shown.ts";

/** Most memories that one replaces. */
const MAX_SUPERSEDED = 16;

const input = z.object({
  value: z.unknown().describe("What to remember, as one string; JSON as its text."),
  key: z
    .string()
    .min(1)
    .max(MAX_KEY)
    .normalize("NFC")
    .optional()
    .describe(
      "A name of your choice, such as user/language; the same key again is its next version (default: by the value).",
    ),
  kind: kindArgument.optional().describe("fact: what is so; event: what happened; note (default)."),
  about: aboutArgument.optional().describe("Whom or what it is about."),
  scope: scopeArgument
    .optional()
    .describe("own (default): you alone; session: with a session; shared: all in the space."),
  ...placeArguments,
  to: z.array(z.string()).max(64).optional().describe("With own: agents, logins or tags that may read it too."),
  title: z.string().max(200).optional().describe("For lists (default: the first line)."),
  tags: z.array(z.string().min(1).max(64)).max(32).optional().describe("Words to list it by."),
  metadata: metadataArgument.optional().describe("JSON object to filter by."),
  expires_in: z.number().int().min(0).max(315_360_000).optional().describe("Seconds until it is forgotten; 0: never."),
  supersedes: z
    .array(z.string().min(1).max(256))
    .max(MAX_SUPERSEDED)
    .optional()
    .describe("Keys or ids that it replaces."),
  overwrite: z.boolean().optional().describe("false: refuse if the key is there (default true)."),
});

const output = z.object({
  id: z.string().describe("Id of its context."),
  key: z.string(),
  scope: scopeArgument,
  version: z.number().int(),
  etag: z.string(),
  created: z.boolean(),
  updated_at: z.string(),
  scrubbed: z
    .array(z.object({ rule: z.string(), count: z.number().int() }))
    .optional()
    .describe("Secrets that were removed before storing, by rule; absent where there were none."),
});

type Input = z.output<typeof input>;

/** Makes the operation. `keptSecrets` returns the rules that this node does not apply. */
export function memoryStore(keptSecrets: () => readonly string[]): MacroOperation<typeof input, typeof output> {
  return macro({
    name: "memory_store",
    title: "Remember something",
    search: "remember, save memory, set memory, store fact, learn, note to self",
    description:
      "Remembers a value (text or JSON) for you alone, for a session, or shared in a space. Keys, tokens and passwords in it are removed first; scrubbed says how many. To correct something, store it under the same key, or name in supersedes what it replaces. The steps are memory_places and context_put, and context_metadata where the key is there.",
    input,
    example: { value: "Ann prefers tabs.", key: "ann/indentation", kind: "fact", about: "ann", space: "team-a" },
    samples: {
      ...{ scope: "own", session: "team-a/session_0123456789abcdef", to: ["reviewer"] },
      ...{ title: "Tabs", tags: ["style"], metadata: { project: "x" }, expires_in: 86_400, supersedes: ["old"] },
    },
    maxInputBytes: MAX_DOCUMENT_INPUT_BYTES,
    output,
    access: { verb: "write", spaces: (given) => [spaceOfInput(given)] },
    hints: { idempotent: true },
    aliases: {
      ...keyAliases,
      ...filterAliases,
      content: "value",
      text: "value",
      memory: "value",
      ttl: "expires_in",
      type: "kind",
    },
    run: (given, steps) => store(given, steps, new Scrubber(keptSecrets())),
  });
}

async function store(given: Input, steps: MacroSteps, scrubber: Scrubber): Promise<z.output<typeof output>> {
  if (given.value === undefined || given.value === "")
    throw new Fault("invalid_input", "memory_store: value is missing", {
      hint: "Pass value.",
      details: { field: "value" },
    });
  const { scope = "own" } = given;
  if (given.to !== undefined && scope !== "own")
    throw new Fault("invalid_input", `to is for memories of your own, and scope is ${scope}`, {
      hint: "Leave to out: everyone who reads the space reads it.",
      details: { field: "to" },
    });
  const places = await placesOf(steps, given);
  const prefix = prefixOf(places, scope);
  const clean = cleaned(given, scrubber);
  const key = clean.key ?? keyOf(clean.text, given);
  const id = `${prefix}${key}`;
  const write = {
    ...{ id, content: clean.value, title: clean.title, metadata: clean.metadata },
    ...(clean.tags === undefined ? {} : { tags: clean.tags }),
    ...(given.expires_in === undefined ? {} : { expires_in: given.expires_in }),
    ...(given.supersedes === undefined ? {} : { supersedes: idsOf(given.supersedes, prefix, places) }),
  };
  const put = await (scope === "own" ? putOwn(steps, write, given, places) : putForAll(steps, write, given));
  const { version, etag, created, updated_at } = output
    .pick({ version: true, etag: true, created: true, updated_at: true })
    .parse(put);
  const scrubbed = scrubber.found;
  return {
    ...{ id, key: placedAt(id, places).key, scope, version, etag, created, updated_at },
    ...(scrubbed.length === 0 ? {} : { scrubbed }),
  };
}

/** Returns what is stored, without secrets. */
function cleaned({ value, key, about, kind = "note", title, tags, metadata = {} }: Input, scrubber: Scrubber) {
  const clean = scrubber.value(value);
  const text = typeof clean === "string" ? clean : JSON.stringify(clean);
  const more = scrubber.value(metadata) as Record<string, unknown>;
  return {
    value: clean,
    text,
    ...(key === undefined ? {} : { key: scrubber.text(key) }),
    title: title === undefined ? titleOf(text) : scrubber.text(title),
    ...(tags === undefined ? {} : { tags: tags.map((tag) => scrubber.text(tag)) }),
    metadata: { ...more, kind, ...(about === undefined ? {} : { about: scrubber.text(about) }) },
  };
}

/** The same value about the same is the same memory. */
function keyOf(text: string, { kind = "note", about = "" }: Input): string {
  return `${kind}-${sha256Hex(JSON.stringify([kind, about, text])).slice(0, 12)}`;
}

type Write = Record<string, unknown> & { id: string };

function putForAll({ ask }: MacroSteps, write: Write, { overwrite }: Pick<Input, "overwrite">) {
  return ask("context_put", overwrite === false ? { ...write, if_none_match: "*" } : write);
}

/**
 * Writes a memory of one's own: private at first, then with the readers that it has or gets. What is written does not
 * hang on what is there, so that a retry under the same key is the same write. Throws Fault `id_taken` where the id is
 * that of a context of somebody else, who would read it.
 */
async function putOwn(
  steps: MacroSteps,
  write: Write,
  { to, overwrite }: Pick<Input, "to" | "overwrite">,
  places: Places,
): Promise<Record<string, unknown>> {
  const readers = to === undefined ? {} : { visibility: "private", to };
  const made = await steps.tryAsk("context_put", { ...write, visibility: "private", ...readers, if_none_match: "*" });
  if (!(made instanceof Fault)) return made;
  if (made.code !== "version_mismatch" || overwrite === false) throw made;
  const found = context.parse(await steps.ask("context_metadata", { id: write.id }));
  if (isOfItsPlace(found, places)) return steps.ask("context_put", { ...write, ...readers });
  throw new Fault("id_taken", `${JSON.stringify(write.id)} is a context of somebody else, and none of your memories`, {
    hint: "Remember it under another key.",
  });
}

/** Returns the ids of memories that are named by key or id. */
function idsOf(names: readonly string[], prefix: string, { space }: Places): string[] {
  return names.map((name) => {
    if (!isMemoryId(name)) return `${prefix}${name}`;
    if (name.startsWith(`${space}/`)) return name;
    throw new Fault("invalid_input", `${JSON.stringify(name)} is a memory of another space`, {
      hint: `Name memories of the space ${space}.`,
      details: { field: "supersedes" },
    });
  });
}
