// A part of a stored graph, read to be changed: what it holds, what a call makes of it, and the writes for that. A
// context of an entity has its JSON; one of relations has a line of JSON for each.

import { z } from "zod";
import { counted } from "../../../lib/counted.ts";
import { Fault } from "../../../lib/fault.ts";
import { titleOf } from "../shown.ts";
import {
  type Entity,
  entityId,
  entityShape,
  type Graph,
  placeInGraph,
  type Relation,
  relationKey,
  relationShape,
  shardId,
  shardOf,
} from "./shapes.ts";

/** Most contexts that one call changes: `context_many` takes no more. */
const MAX_WRITES = 64;
/** Longest type of an entity that is a tag too. */
const MAX_TAG = 64;
/** Numbers of order in a millisecond. */
const PER_MS = 1024;

/** A context as `context_get_many` returns it, as far as it is used. */
export const storedContext = z.looseObject({
  id: z.string(),
  etag: z.string(),
  created_at: z.string(),
  metadata: z.record(z.string(), z.unknown()).optional(),
  content: z.string(),
});
type StoredContext = z.output<typeof storedContext>;

/** What is stored under one id; without an etag it is new. */
interface Held {
  etag: string | undefined;
  isChanged?: true;
}
interface HeldEntity extends Held {
  /** Undefined once it is removed. */
  entity: Entity | undefined;
  order: number;
}
type Ordered = Relation & { order: number };
interface HeldShard extends Held {
  relations: Map<string, Ordered>;
  /** What was added to it. */
  added: Ordered[];
  isCut?: true;
}

const entityText = z.looseObject(entityShape.shape);
const relationLine = z.looseObject({ ...relationShape.shape, order: z.number() });

/** A graph, or a part of it, and what is changed in it. */
export class Draft {
  readonly #space: string;
  readonly #nowMs: number;
  readonly #entities = new Map<string, HeldEntity>();
  readonly #shards = new Map<string, HeldShard>();
  /** Ids of contexts that are in the place of an entity or of relations, and hold something else. */
  readonly #foreign = new Set<string>();
  #made = 0;

  /** `nowMs`: the time of what is made in it, which sets its place in the order of the graph. */
  constructor(space: string, nowMs: number) {
    this.#space = space;
    this.#nowMs = nowMs;
  }

  /** Adds what is stored under an id. */
  hold(stored: StoredContext): void {
    const place = placeInGraph(stored.id);
    if (place?.kind === "entities") this.#holdEntity(stored);
    if (place?.kind === "relations") this.#holdShard(place.name, stored);
  }

  find(name: string): Entity | undefined {
    return this.#entities.get(name)?.entity;
  }

  /** Stores an entity, in the place of the one with its name. */
  put(entity: Entity): void {
    const held = this.#entities.get(entity.name);
    // What was removed in the same call comes back at the end.
    const order = held?.entity === undefined ? this.#nextOrder() : held.order;
    this.#entities.set(entity.name, { entity, order, etag: held?.etag, isChanged: true });
  }

  remove(name: string): void {
    const held = this.#entities.get(name);
    if (held?.entity !== undefined) this.#entities.set(name, { ...held, entity: undefined, isChanged: true });
  }

  /** Adds a relation. Reports whether it is new. */
  relate(relation: Relation): boolean {
    const shard = this.#shard(shardOf(relation.from));
    const key = relationKey(relation);
    if (shard.relations.has(key)) return false;
    const added = { ...relation, order: this.#nextOrder() };
    shard.relations.set(key, added);
    shard.added.push(added);
    shard.isChanged = true;
    return true;
  }

  /** Removes the relations that match; `key` is that of `relationKey`. */
  unrelate(matches: (relation: Relation, key: string) => boolean): void {
    for (const shard of this.#shards.values())
      for (const [key, relation] of shard.relations)
        if (matches(relation, key) && shard.relations.delete(key)) [shard.isChanged, shard.isCut] = [true, true];
  }

  /** Returns everything that it holds now, each in the order in which it was made. */
  graph(): Graph {
    const entities = [...this.#entities.values()].sort((a, b) => a.order - b.order);
    const relations = [...this.#shards.values()].flatMap((shard) => [...shard.relations.values()]);
    return {
      entities: entities.flatMap(({ entity }) => entity ?? []),
      relations: relations
        .sort((a, b) => a.order - b.order)
        .map(({ from, to, relationType }) => ({ from, to, relationType })),
    };
  }

  /** Returns the writes of what was changed, for `context_many`. Throws `too_large`, `id_taken`. */
  writes(): Record<string, unknown>[] {
    const entities = [...this.#entities].filter(([, held]) => held.isChanged === true);
    const shards = [...this.#shards].filter(([, held]) => held.isChanged === true);
    const writes = [
      ...entities.flatMap(([name, held]) => this.#writeOfEntity(name, held)),
      ...shards.flatMap(([shard, held]) => this.#writeOfShard(shard, held)),
    ];
    const taken = writes.find(({ id }) => this.#foreign.has(id));
    if (taken !== undefined)
      throw new Fault("id_taken", `${JSON.stringify(taken.id)} holds something that is no part of a graph`, {
        hint: "Look at it with context_get, and move it to another id.",
      });
    if (writes.length > MAX_WRITES)
      throw new Fault(
        "too_large",
        `The call changes ${counted(writes.length, "context")} of the graph; at most ${MAX_WRITES} at once`,
        {
          hint: "Send it in several calls.",
          details: { limit: MAX_WRITES },
        },
      );
    return writes;
  }

  #holdEntity({ id, etag, created_at, metadata = {}, content }: StoredContext): void {
    const entity = entityText.safeParse(parsed(content)).data;
    if (entity === undefined || entityId(this.#space, entity.name) !== id) {
      this.#foreign.add(id);
      return;
    }
    const { name, entityType, observations } = entity;
    const known = metadata["order"];
    const order = typeof known === "number" ? known : Date.parse(created_at) * PER_MS;
    this.#entities.set(name, { entity: { name, entityType, observations }, order, etag });
  }

  #holdShard(name: string, { id, etag, content }: StoredContext): void {
    const lines = content.split("\n").filter((line) => line !== "");
    const relations = lines.map((line) => relationLine.safeParse(parsed(line)).data);
    if (relations.includes(undefined)) this.#foreign.add(id);
    const known = relations.flatMap((relation) => (relation === undefined ? [] : [[relationKey(relation), relation]]));
    this.#shards.set(name, { relations: new Map(known as [string, Ordered][]), added: [], etag });
  }

  #shard(name: string): HeldShard {
    const known = this.#shards.get(name) ?? { relations: new Map(), added: [], etag: undefined };
    this.#shards.set(name, known);
    return known;
  }

  #nextOrder(): number {
    this.#made += 1;
    return this.#nowMs * PER_MS + this.#made;
  }

  #writeOfEntity(name: string, { entity, order, etag }: HeldEntity): Write[] {
    const id = entityId(this.#space, name);
    if (entity === undefined) return removal(id, etag);
    const { entityType } = entity;
    const tag = titleOf(entityType).slice(0, MAX_TAG).toWellFormed();
    return [
      {
        ...{ operation: "context_put", id, ...onlyIf(etag) },
        content: JSON.stringify({ type: "entity", ...entity }, null, 1),
        content_type: "application/json",
        title: titleOf(name),
        tags: tag === "" ? [] : [tag],
        metadata: { kind: "entity", order },
      },
    ];
  }

  #writeOfShard(shard: string, { relations, added, isCut, etag }: HeldShard): Write[] {
    const id = shardId(this.#space, shard);
    if (relations.size === 0) return removal(id, etag);
    // Alone what is new travels and counts against the text of a command: the whole may be large.
    if (etag !== undefined && isCut !== true)
      return [
        {
          ...{ operation: "context_patch", id, if_match: etag, format: "edit" },
          patch: [{ op: "append", text: linesOf(added) }],
        },
      ];
    return [
      {
        ...{ operation: "context_put", id, ...onlyIf(etag) },
        content: linesOf([...relations.values()]),
        content_type: "text/plain",
        title: `Relations of a knowledge graph, part ${shard}`,
        metadata: { kind: "relations" },
      },
    ];
  }
}

type Write = Record<string, unknown> & { id: string };

/** Returns relations as the text of their context, or a part of it. */
function linesOf(relations: readonly Ordered[]): string {
  return relations
    .map(
      ({ from, to, relationType, order }) => `${JSON.stringify({ type: "relation", from, to, relationType, order })}\n`,
    )
    .join("");
}

function removal(id: string, etag: string | undefined): Write[] {
  return etag === undefined ? [] : [{ operation: "context_delete", id, if_match: etag }];
}

function onlyIf(etag: string | undefined): Record<string, string> {
  return etag === undefined ? { if_none_match: "*" } : { if_match: etag };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
