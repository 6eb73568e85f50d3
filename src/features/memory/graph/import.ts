// graph_import: merges entities and relations into a graph, and what a whole file is imported by: calls of it in
// batches, each of them atomic, so that an import that was cut off is finished by running it again.

import { z } from "zod";
import { MAX_DOCUMENT_INPUT_BYTES } from "../../../lib/bounds.ts";
import { type MacroOperation, macro } from "../../../operation/define.ts";
import type { MemoryParts } from "../parts.ts";
import { Scrubber } from "../scrub.ts";
import { changePart } from "./change.ts";
import type { Draft } from "./draft.ts";
import { merged } from "./jsonl.ts";
import {
  type Entity,
  entityShape,
  type Graph,
  type Relation,
  relationShape,
  spaceArgument,
  spaceOfGraph,
} from "./shapes.ts";
import { MAX_ENTITIES, MAX_RELATIONS } from "./tools.ts";

/** Most characters of one batch: far below what one command may hold. */
const BATCH_CHARACTERS = 512 * 1024;

const count = z.number().int().min(0);
const output = z.object({
  created: count.describe("Entities that were not there."),
  extended: count.describe("Entities that got observations."),
  related: count.describe("Relations that were not there."),
  unchanged: count.describe("Entities and relations that were there as they are."),
  scrubbed: z
    .array(z.object({ rule: z.string(), count: z.number().int() }))
    .optional()
    .describe("Secrets that were removed before storing, by rule; absent where there were none."),
});
/** What an import did. */
export type GraphImported = z.output<typeof output>;

/** Makes the operation. */
export function graphImport({ keptSecrets, nowMs }: MemoryParts): MacroOperation {
  return macro({
    name: "graph_import",
    title: "Import into a knowledge graph",
    isTool: false,
    search: "import memory.jsonl, knowledge graph of the reference memory server",
    description:
      "Merges entities and relations into the knowledge graph of a space, all or none: an entity that is there keeps its type and gets the observations that it lacks. Keys, tokens and passwords are removed first. For `cairn graph import`, which sends a file in parts.",
    input: z.object({
      entities: z.array(entityShape).max(MAX_ENTITIES).optional().describe("Entities, by name."),
      relations: z.array(relationShape).max(MAX_RELATIONS).optional().describe("Between entities, by name."),
      space: spaceArgument,
      dry_run: z.boolean().optional().describe("Only say what it would do."),
    }),
    example: { entities: [{ name: "Ann", entityType: "person", observations: ["prefers tabs"] }] },
    samples: {
      ...{ relations: [{ from: "Ann", to: "Cairn", relationType: "works_on" }], space: "team-a", dry_run: true },
    },
    maxInputBytes: MAX_DOCUMENT_INPUT_BYTES,
    output,
    access: { verb: "write", spaces: (given) => [spaceOfGraph(given)] },
    hints: { idempotent: true },
    run: async (given, steps) => {
      const scrubber = new Scrubber(keptSecrets());
      const { entities = [], relations = [] } = scrubber.value(given) as Partial<Graph>;
      const part = { names: entities.map(({ name }) => name), relations: relations.map(({ from }) => from) };
      const options = { space: spaceOfGraph(given), part, nowMs, isTrial: given.dry_run === true };
      const done = await changePart(steps, options, (draft) => merge(draft, entities, relations));
      const scrubbed = scrubber.found;
      return { ...done, ...(scrubbed.length === 0 ? {} : { scrubbed }) };
    },
  }) as unknown as MacroOperation;
}

function merge(draft: Draft, entities: readonly Entity[], relations: readonly Relation[]): GraphImported {
  const done = { created: 0, extended: 0, related: 0, unchanged: 0 };
  for (const entity of entities) {
    const known = draft.find(entity.name);
    const next = known === undefined ? entity : merged(known, entity.observations);
    if (next !== known) draft.put(next);
    done[known === undefined ? "created" : next === known ? "unchanged" : "extended"] += 1;
  }
  for (const relation of relations) done[draft.relate(relation) ? "related" : "unchanged"] += 1;
  return done;
}

type Ask = (operation: string, input: Record<string, unknown>) => Promise<Record<string, unknown>>;

/** How a graph is imported. */
export interface ImportOptions {
  space?: string;
  dryRun?: boolean;
  /** Called after each part with how many entities and relations are done. */
  onProgress?(done: number): void;
}

/** Imports a graph by calls of `graph_import`. Rejects with the Fault of a part that failed; earlier ones are done. */
export async function importGraph(ask: Ask, graph: Graph, options: ImportOptions = {}): Promise<GraphImported> {
  const { space, dryRun = false, onProgress } = options;
  const sum: GraphImported = { created: 0, extended: 0, related: 0, unchanged: 0 };
  const found = new Map<string, number>();
  let done = 0;
  for (const batch of batchesOf(graph)) {
    const given = { ...batch, ...(space === undefined ? {} : { space }), ...(dryRun ? { dry_run: true } : {}) };
    const { scrubbed = [], ...counts } = output.parse(pick(await ask("graph_import", given)));
    for (const name of ["created", "extended", "related", "unchanged"] as const) sum[name] += counts[name];
    for (const { rule, count } of scrubbed) found.set(rule, (found.get(rule) ?? 0) + count);
    done += batch.entities.length + batch.relations.length;
    onProgress?.(done);
  }
  const scrubbed = [...found].map(([rule, count]) => ({ rule, count }));
  return { ...sum, ...(scrubbed.length === 0 ? {} : { scrubbed }) };
}

function pick({ created, extended, related, unchanged, scrubbed }: Record<string, unknown>) {
  return { created, extended, related, unchanged, ...(scrubbed === undefined ? {} : { scrubbed }) };
}

/** Yields a graph in parts that one call takes: entities first, so that relations find them. */
function* batchesOf({ entities, relations }: Graph): Generator<Graph> {
  for (const part of partsOf(entities, MAX_ENTITIES)) yield { entities: part, relations: [] };
  for (const part of partsOf(relations, MAX_RELATIONS)) yield { entities: [], relations: part };
}

function* partsOf<T>(items: readonly T[], most: number): Generator<T[]> {
  let part: T[] = [];
  let characters = 0;
  for (const item of items) {
    const size = JSON.stringify(item).length;
    if (part.length > 0 && (part.length === most || characters + size > BATCH_CHARACTERS)) {
      yield part;
      part = [];
      characters = 0;
    }
    part.push(item);
    characters += size;
  }
  if (part.length > 0) yield part;
}
