// The file of the reference memory server, `memory.jsonl`: an entity or a relation a line. Reads it, says of each line
// that is none what is wrong with it, and writes it as that server does.

import { z } from "zod";
import { shownValue } from "../../../lib/schema-issue.ts";
import { type Entity, entityShape, type Graph, type Relation, relationKey, relationShape } from "./shapes.ts";

/** Most lines of a file that are named as bad. */
const MAX_PROBLEMS = 1000;

/** A line that is no entity and no relation. */
export interface BadLine {
  /** From 1. */
  line: number;
  problem: string;
}

/** What a file holds. */
export interface ParsedGraph extends Graph {
  /** Lines that were left out, at most 1,000 of them. */
  bad: BadLine[];
  badLines: number;
  /** Lines with an entity or a relation that an earlier line has: the observations of both are in `entities`. */
  repeated: number;
}

const lineShape = z.discriminatedUnion("type", [
  z.looseObject({ type: z.literal("entity"), ...entityShape.shape }),
  z.looseObject({ type: z.literal("relation"), ...relationShape.shape }),
]);

/** Takes the lines of a file, one after the other. */
export class GraphFileParser {
  readonly #entities = new Map<string, Entity>();
  readonly #relations = new Map<string, Relation>();
  readonly #bad: BadLine[] = [];
  #badLines = 0;
  #repeated = 0;
  #line = 0;

  /** Takes the next line, without its line end. */
  add(raw: string): void {
    this.#line += 1;
    const text = this.#line === 1 ? raw.replace(/^\uFEFF/, "") : raw;
    if (text.trim() === "") return;
    const found = lineOf(text);
    if (typeof found === "string") this.#note(found);
    else if (found.type === "relation") this.#addRelation(found);
    else this.#addEntity(found);
  }

  /** Takes the next line, which could not be read. */
  addBad(problem: string): void {
    this.#line += 1;
    this.#note(problem);
  }

  /** Returns what the lines hold. */
  parsed(): ParsedGraph {
    return {
      entities: [...this.#entities.values()],
      relations: [...this.#relations.values()],
      ...{ bad: this.#bad, badLines: this.#badLines, repeated: this.#repeated },
    };
  }

  #note(problem: string): void {
    this.#badLines += 1;
    if (this.#bad.length < MAX_PROBLEMS) this.#bad.push({ line: this.#line, problem });
  }

  #addRelation({ from, to, relationType }: Relation): void {
    const key = relationKey({ from, to, relationType });
    if (this.#relations.has(key)) this.#repeated += 1;
    this.#relations.set(key, { from, to, relationType });
  }

  #addEntity({ name, entityType, observations }: Entity): void {
    const known = this.#entities.get(name);
    if (known !== undefined) this.#repeated += 1;
    this.#entities.set(name, known === undefined ? { name, entityType, observations } : merged(known, observations));
  }
}

/** Parses the text of a file. Never throws: what is wrong is in `bad`. */
export function parseGraphFile(text: string): ParsedGraph {
  const parser = new GraphFileParser();
  for (const line of text.split("\n")) parser.add(line);
  return parser.parsed();
}

/** Returns an entity with the observations that it lacks. */
export function merged(entity: Entity, observations: readonly string[]): Entity {
  const known = new Set(entity.observations);
  const more = observations.filter((content) => !known.has(content));
  return more.length === 0 ? entity : { ...entity, observations: [...entity.observations, ...more] };
}

function lineOf(raw: string): z.output<typeof lineShape> | string {
  let value: unknown;
  try {
    value = JSON.parse(raw);
  } catch {
    return `it is not JSON: ${shownValue(raw.slice(0, 60))}`;
  }
  const parsed = lineShape.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const where = issue?.path.join(".") ?? "";
  return where === "" || where === "type"
    ? `its type is neither "entity" nor "relation": ${shownValue(value)}`
    : `${where}: ${issue?.message ?? "is not as it must be"}`;
}

/** Returns the text of a file, byte for byte as the reference memory server writes it. */
export function graphFile({ entities, relations }: Graph): string {
  return [
    ...entities.map(({ name, entityType, observations }) =>
      JSON.stringify({ type: "entity", name, entityType, observations }),
    ),
    ...relations.map(({ from, to, relationType }) => JSON.stringify({ type: "relation", from, to, relationType })),
  ].join("\n");
}
