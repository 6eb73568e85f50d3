// Entities and relations of a knowledge graph as the reference memory server has them, and the contexts that hold them.

import { z } from "zod";
import { idSyntaxProblem, spaceProblem } from "../../../lib/id-syntax.ts";
import { sha256Hex } from "../../../lib/sha256.ts";

const DEFAULT_SPACE = "default";
const MAX_SPACE = 128;
/** Longest name of an entity, type of an entity or a relation, in characters. */
const MAX_NAME = 2000;
/** Longest name of an entity as a part of an id. */
const MAX_SHOWN_NAME = 60;
/** Hexadecimal digits of the hash in the id of an entity. */
const HASH_DIGITS = 16;
/** Relations are in so many contexts, by the hash of the entity where they start. */
const SHARDS = "0123456789abcdef";

const text = z
  .string()
  .max(MAX_NAME)
  .refine((name) => name.isWellFormed(), "must be well-formed Unicode");
const observation = z.string().refine((content) => content.isWellFormed(), "must be well-formed Unicode");

/** An entity. The descriptions are those of the reference memory server. */
export const entityShape = z.object({
  name: text.describe("The name of the entity"),
  entityType: text.describe("The type of the entity"),
  observations: z.array(observation).describe("An array of observation contents associated with the entity"),
});
/** A relation between entities, which need not exist. */
export const relationShape = z.object({
  from: text.describe("The name of the entity where the relation starts"),
  to: text.describe("The name of the entity where the relation ends"),
  relationType: text.describe("The type of the relation"),
});
/** The name of an entity as an argument. */
export const nameShape = text;
/** An observation as an argument. */
export const observationShape = observation;

/** An entity. */
export type Entity = z.output<typeof entityShape>;
/** A relation. */
export type Relation = z.output<typeof relationShape>;

/** Entities and relations, each in the order in which they were made. */
export interface Graph {
  entities: Entity[];
  relations: Relation[];
}

/** The argument `space`, which the reference memory server does not have. */
export const spaceArgument = z
  .string()
  .min(1)
  .max(MAX_SPACE)
  .refine((name) => spaceProblem(name) === undefined, "must be the name of a space")
  .optional()
  .describe("The space of the graph (default: default).");

/** Returns the space of a call. */
export function spaceOfGraph({ space }: { space?: string | undefined }): string {
  return space ?? DEFAULT_SPACE;
}

/** Returns the beginning of the ids of a graph's contexts. */
export function graphPrefix(space: string): string {
  return `${space}/memory/graph/`;
}

const GRAPH_ID = /^([^/]+)\/memory\/graph\/(entities|relations)\/(.+)$/su;

/** Returns what a context of a graph holds; undefined for any other id. */
export function placeInGraph(id: string): { space: string; kind: "entities" | "relations"; name: string } | undefined {
  const [, space, kind, name] = GRAPH_ID.exec(id) ?? [];
  if (space === undefined || name === undefined) return undefined;
  return { space, kind: kind === "entities" ? kind : "relations", name };
}

/** Returns the id of the context of an entity: names have any characters, so the hash makes it one of its own. */
export function entityId(space: string, name: string): string {
  const prefix = `${graphPrefix(space)}entities/`;
  const hash = sha256Hex(name).slice(0, HASH_DIGITS);
  const shown = name
    .normalize("NFC")
    .replace(/[^\p{L}\p{N}\p{M}._-]+/gu, "-")
    .slice(0, MAX_SHOWN_NAME)
    .toWellFormed()
    .replace(/^[\p{M}-]+|-+$/gu, "");
  const id = `${prefix}${shown}~${hash}`;
  return idSyntaxProblem(id) === undefined ? id : `${prefix}~${hash}`;
}

/** Returns the name of the context that has the relations from an entity. */
export function shardOf(from: string): string {
  return sha256Hex(from).slice(0, 1);
}

/** Returns the id of a context of relations. */
export function shardId(space: string, shard: string): string {
  return `${graphPrefix(space)}relations/${shard}`;
}

/** Returns the ids of all contexts of relations. */
export function shardIds(space: string): string[] {
  return [...SHARDS].map((shard) => shardId(space, shard));
}

/** Returns a relation as a text, the same for the same relation. */
export function relationKey({ from, to, relationType }: Relation): string {
  return JSON.stringify([from, to, relationType]);
}
