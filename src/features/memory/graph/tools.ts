// The nine tools of the reference memory server (@modelcontextprotocol/server-memory), by its names, arguments, results
// and texts, over contexts. Each is a macro: its steps are judged as the caller's own calls.

import { z } from "zod";
import type { Verb } from "../../../access/rights.ts";
import { MAX_DOCUMENT_INPUT_BYTES } from "../../../lib/bounds.ts";
import { Fault } from "../../../lib/fault.ts";
import { type Hints, type MacroOperation, type MacroSteps, macro } from "../../../operation/define.ts";
import type { MemoryParts } from "../parts.ts";
import { Scrubber } from "../scrub.ts";
import { changePart, type Part, readPart } from "./change.ts";
import type { Draft } from "./draft.ts";
import {
  type Entity,
  entityShape,
  type Graph,
  nameShape,
  observationShape,
  type Relation,
  relationKey,
  relationShape,
  spaceArgument,
  spaceOfGraph,
} from "./shapes.ts";

/** Most entities that one call changes: with those of all relations, no more contexts than one command changes. */
export const MAX_ENTITIES = 48;
/** Most relations of a call. */
export const MAX_RELATIONS = 2000;
/** Most entities that one call opens. */
const MAX_OPENED = 240;

interface ToolDefinition<S extends z.ZodRawShape, O extends z.ZodObject> {
  name: string;
  title: string;
  description: string;
  search: string;
  verb: Extract<Verb, "read" | "write">;
  hints?: Hints;
  input: S;
  example: z.input<z.ZodObject<S>>;
  output: O;
  /** The text of the result. Default: the output as JSON. */
  text?(output: z.output<O>): string;
  run(input: z.output<z.ZodObject<S>>, call: GraphCall): Promise<z.output<O>>;
}

/** One call of a tool. */
interface GraphCall {
  read(part: Part): Promise<Draft>;
  change<T>(part: Part, change: (draft: Draft) => T): Promise<T>;
}

function tool<S extends z.ZodRawShape, O extends z.ZodObject>(
  parts: MemoryParts,
  { input: shape, verb, text, run, ...definition }: ToolDefinition<S, O>,
): MacroOperation {
  const input = z.object({ ...shape, space: spaceArgument });
  return macro({
    ...definition,
    input,
    example: definition.example as never,
    samples: { space: "team-a" } as never,
    maxInputBytes: MAX_DOCUMENT_INPUT_BYTES,
    access: { verb, spaces: (given) => [spaceOfGraph(given as { space?: string })] },
    alike: { text: text ?? ((output) => JSON.stringify(output, null, 2)), failed: ({ message }) => message },
    // Secrets are removed from every argument alike, so that what was removed is found again by the same words.
    run: (given, steps) => {
      const clean = new Scrubber(parts.keptSecrets()).value(given) as z.output<z.ZodObject<S>> & { space?: string };
      return run(clean, callOf(spaceOfGraph(clean), steps, parts));
    },
  }) as unknown as MacroOperation;
}

function callOf(space: string, steps: MacroSteps, { nowMs }: MemoryParts): GraphCall {
  return {
    read: (part) => readPart(steps.ask, space, part),
    change: (part, change) => changePart(steps, { space, part, nowMs }, change),
  };
}

const graphShape = z.object({ entities: z.array(entityShape), relations: z.array(relationShape) });
const done = z.object({ success: z.boolean(), message: z.string() });
const said = ({ message }: z.output<typeof done>) => message;
const entities = z.array(entityShape).max(MAX_ENTITIES);
const relations = z.array(relationShape).max(MAX_RELATIONS);

const ANN: Entity = { name: "Ann", entityType: "person", observations: ["prefers tabs"] };
const WORKS_ON: Relation = { from: "Ann", to: "Cairn", relationType: "works_on" };
const REMOVES: Hints = { idempotent: true, destructive: true };

function createEntities(parts: MemoryParts): MacroOperation {
  return tool(parts, {
    name: "create_entities",
    title: "Create Entities",
    search: "knowledge graph, remember people, projects and things",
    description: "Create multiple new entities in the knowledge graph",
    verb: "write",
    input: { entities },
    example: { entities: [ANN] },
    output: z.object({ entities: z.array(entityShape) }),
    text: (output) => JSON.stringify(output.entities, null, 2),
    run: ({ entities: given }, { change }) =>
      change({ names: given.map(({ name }) => name) }, (draft) => {
        const isNew = (entity: Entity) => {
          const is = draft.find(entity.name) === undefined;
          if (is) draft.put(entity);
          return is;
        };
        return { entities: given.filter(isNew) };
      }),
  });
}

function createRelations(parts: MemoryParts): MacroOperation {
  return tool(parts, {
    name: "create_relations",
    title: "Create Relations",
    search: "knowledge graph, connect entities, link",
    description:
      "Create multiple new relations between entities in the knowledge graph. Relations should be in active voice",
    verb: "write",
    input: { relations },
    example: { relations: [WORKS_ON] },
    output: z.object({ relations: z.array(relationShape) }),
    text: (output) => JSON.stringify(output.relations, null, 2),
    run: ({ relations: given }, { change }) =>
      change({ relations: given.map(({ from }) => from) }, (draft) => ({
        relations: given.filter((relation) => draft.relate(relation)),
      })),
  });
}

function addObservations(parts: MemoryParts): MacroOperation {
  return tool(parts, {
    name: "add_observations",
    title: "Add Observations",
    search: "knowledge graph, remember more about an entity",
    description: "Add new observations to existing entities in the knowledge graph",
    verb: "write",
    input: {
      observations: z
        .array(
          z.object({
            entityName: nameShape.describe("The name of the entity to add the observations to"),
            contents: z.array(observationShape).describe("An array of observation contents to add"),
          }),
        )
        .max(MAX_ENTITIES),
    },
    example: { observations: [{ entityName: "Ann", contents: ["uses Linux"] }] },
    output: z.object({
      results: z.array(z.object({ entityName: z.string(), addedObservations: z.array(z.string()) })),
    }),
    text: (output) => JSON.stringify(output.results, null, 2),
    run: ({ observations: given }, { change }) =>
      change({ names: given.map(({ entityName }) => entityName) }, (draft) => ({
        results: given.map(({ entityName, contents }) => {
          const entity = draft.find(entityName);
          if (entity === undefined) throw new Fault("not_found", `Entity with name ${entityName} not found`);
          const addedObservations = contents.filter((content) => !entity.observations.includes(content));
          if (addedObservations.length > 0)
            draft.put({ ...entity, observations: [...entity.observations, ...addedObservations] });
          return { entityName, addedObservations };
        }),
      })),
  });
}

function deleteEntities(parts: MemoryParts): MacroOperation {
  return tool(parts, {
    name: "delete_entities",
    title: "Delete Entities",
    search: "knowledge graph, forget entities",
    description: "Delete multiple entities and their associated relations from the knowledge graph",
    verb: "write",
    hints: REMOVES,
    input: { entityNames: z.array(nameShape).max(MAX_ENTITIES).describe("An array of entity names to delete") },
    example: { entityNames: ["Ann"] },
    output: done,
    text: said,
    run: async ({ entityNames }, { change }) => {
      const gone = new Set(entityNames);
      await change({ names: entityNames, relations: "all" }, (draft) => {
        for (const name of gone) draft.remove(name);
        draft.unrelate(({ from, to }) => gone.has(from) || gone.has(to));
      });
      return { success: true, message: "Entities deleted successfully" };
    },
  });
}

function deleteObservations(parts: MemoryParts): MacroOperation {
  return tool(parts, {
    name: "delete_observations",
    title: "Delete Observations",
    search: "knowledge graph, forget what is known of an entity",
    description: "Delete specific observations from entities in the knowledge graph",
    verb: "write",
    hints: REMOVES,
    input: {
      deletions: z
        .array(
          z.object({
            entityName: nameShape.describe("The name of the entity containing the observations"),
            observations: z.array(observationShape).describe("An array of observations to delete"),
          }),
        )
        .max(MAX_ENTITIES),
    },
    example: { deletions: [{ entityName: "Ann", observations: ["prefers tabs"] }] },
    output: done,
    text: said,
    run: async ({ deletions }, { change }) => {
      await change({ names: deletions.map(({ entityName }) => entityName) }, (draft) => {
        for (const { entityName, observations } of deletions) {
          const entity = draft.find(entityName);
          const gone = new Set(observations);
          const left = entity?.observations.filter((content) => !gone.has(content));
          if (entity !== undefined && left !== undefined && left.length < entity.observations.length)
            draft.put({ ...entity, observations: left });
        }
      });
      return { success: true, message: "Observations deleted successfully" };
    },
  });
}

function deleteRelations(parts: MemoryParts): MacroOperation {
  return tool(parts, {
    name: "delete_relations",
    title: "Delete Relations",
    search: "knowledge graph, disconnect entities, unlink",
    description: "Delete multiple relations from the knowledge graph",
    verb: "write",
    hints: REMOVES,
    input: { relations: relations.describe("An array of relations to delete") },
    example: { relations: [WORKS_ON] },
    output: done,
    text: said,
    run: async ({ relations: given }, { change }) => {
      const gone = new Set(given.map(relationKey));
      await change({ relations: given.map(({ from }) => from) }, (draft) =>
        draft.unrelate((_relation, key) => gone.has(key)),
      );
      return { success: true, message: "Relations deleted successfully" };
    },
  });
}

function readGraph(parts: MemoryParts): MacroOperation {
  return tool(parts, {
    name: "read_graph",
    title: "Read Graph",
    search: "knowledge graph, everything that is known",
    description: "Read the entire knowledge graph",
    verb: "read",
    input: {},
    example: {},
    output: graphShape,
    run: async (_, { read }) => (await read("all")).graph(),
  });
}

function searchNodes(parts: MemoryParts): MacroOperation {
  return tool(parts, {
    name: "search_nodes",
    title: "Search Nodes",
    search: "knowledge graph, find entities by words",
    description: "Search for nodes in the knowledge graph based on a query",
    verb: "read",
    input: {
      query: z.string().describe("The search query to match against entity names, types, and observation content"),
    },
    example: { query: "tabs" },
    output: graphShape,
    run: async ({ query }, { read }) => {
      const wanted = query.toLowerCase();
      const has = (text: string) => text.toLowerCase().includes(wanted);
      const graph = (await read("all")).graph();
      return around(
        graph,
        ({ name, entityType, observations }) => has(name) || has(entityType) || observations.some(has),
      );
    },
  });
}

function openNodes(parts: MemoryParts): MacroOperation {
  return tool(parts, {
    name: "open_nodes",
    title: "Open Nodes",
    search: "knowledge graph, entities by name",
    description: "Open specific nodes in the knowledge graph by their names",
    verb: "read",
    input: { names: z.array(nameShape).max(MAX_OPENED).describe("An array of entity names to retrieve") },
    example: { names: ["Ann"] },
    output: graphShape,
    run: async ({ names }, { read }) => around((await read({ names, relations: "all" })).graph(), () => true),
  });
}

/** Returns the entities that match, and the relations that start or end at one of them. */
function around({ entities: all, relations: between }: Graph, matches: (entity: Entity) => boolean): Graph {
  const found = all.filter(matches);
  const names = new Set(found.map(({ name }) => name));
  return { entities: found, relations: between.filter(({ from, to }) => names.has(from) || names.has(to)) };
}

const TOOLS = {
  ...{ create_entities: createEntities, create_relations: createRelations, add_observations: addObservations },
  ...{ delete_entities: deleteEntities, delete_observations: deleteObservations, delete_relations: deleteRelations },
  ...{ read_graph: readGraph, search_nodes: searchNodes, open_nodes: openNodes },
};

/** Their names. */
export const GRAPH_TOOL_NAMES: readonly string[] = Object.keys(TOOLS);

/** Makes the tools. */
export function graphTools(parts: MemoryParts): MacroOperation[] {
  return Object.values(TOOLS).map((make) => make(parts));
}
