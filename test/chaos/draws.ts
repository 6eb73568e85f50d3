// What a client of a load asks for next: a choice by weight, and arguments by what the client has seen.

import type { Part, ReadAsk } from "./asks.ts";
import { FORMATS, hashOf, patchOf, textOf } from "./documents.ts";
import { DELETED, type Place, READS, type Row, WRITES } from "./history.ts";
import type { Random } from "./random.ts";

/** A request: one of the operations, or `many` for a batch of writes. */
export type Draw = (typeof WRITES)[number] | (typeof READS)[number] | "many";

/** What a client has seen. */
export interface Known {
  random: Random;
  /** All contexts of the load. */
  keys: readonly string[];
  /** Newest ETag and newest write by context. */
  tags: Map<string, string>;
  tokens: Map<string, string>;
  /** Newest position. */
  shown: Place | undefined;
  /** Where the next page of its list begins. */
  after: string | undefined;
}

export interface DrawOptions {
  prefix: string;
  draws: Readonly<Partial<Record<Draw, number>>>;
  conditional: number;
  padding: number;
}

/** A write, and what its row says of it. */
export interface Drawn {
  part: Part;
  row: Pick<Row, "hash" | "token" | "padding" | "needs">;
}

const MAX_PARTS = 4;
/** Page of a list and of a history. */
const PAGE = 5;
/** Fraction of the patches that need an earlier write to be in the document, and of reads that know an ETag. */
const NEEDING = 0.3;
const KNOWING = 0.2;

/** Returns one write, or several of different contexts as a batch. Each has a content of its own, named by `token`. */
export function drawWrite(known: Known, options: DrawOptions & { token: string }): Drawn[] {
  const { random, keys } = known;
  const what = pick(random, options.draws, [...WRITES, "many"]);
  if (what !== "many" || keys.length < 2)
    return [writeOf(known, options, what === "many" ? "put" : what, random.pick(keys))];
  const count = random.between(2, Math.min(MAX_PARTS, keys.length));
  const first = random.between(0, keys.length - 1);
  return Array.from({ length: count }, (_, at) => {
    const key = keys[(first + at) % keys.length] ?? "";
    // A put in each batch makes its parts known by their content.
    const operation = at === 0 ? "put" : pick(random, options.draws, WRITES);
    return writeOf(known, { ...options, token: `${options.token}-${at}` }, operation, key);
  });
}

function writeOf(
  { random, tags, tokens }: Known,
  { conditional, padding, token }: DrawOptions & { token: string },
  wanted: Part["operation"],
  key: string,
): Drawn {
  const tag = tags.get(key);
  // What it has not seen it can only write.
  const operation = tag === undefined ? "put" : wanted;
  const condition = random.chance(conditional) ? (tag ?? "new") : undefined;
  switch (operation) {
    case "put": {
      const text = textOf(token, padding);
      return { part: { operation, key, text, condition }, row: { hash: hashOf(text), token, padding } };
    }
    case "patch": {
      const format = random.pick(FORMATS);
      const needs = format !== "merge" && random.chance(NEEDING) ? tokens.get(key) : undefined;
      const patch = patchOf(format, token, needs);
      return { part: { operation, key, patch, condition }, row: { hash: "", token, needs } };
    }
    case "delete":
      return { part: { operation, key, condition }, row: { hash: DELETED } };
    case "restore": {
      const named = random.between(1, Number(tag?.split("-")[0]));
      return { part: { operation, key, named, condition }, row: { hash: "" } };
    }
  }
}

/** Returns a read without its consistency. */
export function drawRead(known: Known, options: DrawOptions): Omit<ReadAsk, "consistency" | "shown"> {
  const { random, keys, tags, shown, after } = known;
  const operation = pick(random, options.draws, READS);
  const key = random.pick(keys);
  const tag = tags.get(key);
  switch (operation) {
    case "list":
      return { operation, key: options.prefix, after, limit: PAGE };
    case "history":
      return { operation, key, limit: PAGE };
    case "version":
      return { operation, key, named: random.between(1, 1 + Number(tag?.split("-")[0] ?? 1)) };
    case "at": {
      if (shown === undefined) return { operation: "get", key };
      return { operation, key, at: { ...shown, seq: random.between(1, shown.seq) } };
    }
    case "get":
      return { operation, key, ...(random.chance(KNOWING) ? { known: tag } : {}) };
    case "metadata":
      return { operation, key };
  }
}

/** Returns one of `among` by its weight; the first one where none has a weight. */
function pick<T extends Draw>(random: Random, draws: DrawOptions["draws"], among: readonly T[]): T {
  const whole = among.reduce((sum, draw) => sum + (draws[draw] ?? 0), 0);
  let left = random.next() * whole;
  for (const draw of among) {
    left -= draws[draw] ?? 0;
    if (left < 0) return draw;
  }
  const [first] = among;
  if (first === undefined) throw new Error("nothing to draw from");
  return first;
}
