// Vectors for tests, by hand: each concept is a direction, and words that mean the same point the same way.

import type { Embedder } from "../../src/features/search/meaning/embedder.ts";

const CONCEPTS: readonly (readonly string[])[] = [
  ["car", "automobile", "vehicle", "motorway"],
  ["ship", "vessel", "boat", "harbour"],
  ["bread", "loaf", "bakery", "flour"],
  ["rain", "drizzle", "storm", "umbrella"],
  ["parser", "grammar", "syntax", "tokens"],
  ["money", "invoice", "salary", "budget"],
];
const WIDTH = CONCEPTS.length + 1;

/** Embeds texts by their concepts. Unknown words add a little to a direction of their own. */
export class ConceptEmbedder implements Embedder {
  identity = "concepts";
  readonly model = "concepts";
  readonly chars = 200;
  readonly batch = 4;
  isResting = false;
  /** Texts that it was given, in order. */
  readonly seen: string[] = [];
  /** Called before each batch. */
  before: (texts: readonly string[]) => void | Promise<void> = () => {};

  async embed(texts: readonly string[]): Promise<Float32Array[]> {
    this.seen.push(...texts);
    await this.before(texts);
    return texts.map(conceptsOf);
  }

  async close(): Promise<void> {}
}

/** Returns the vector of a text. */
export function conceptsOf(text: string): Float32Array {
  const vector = new Float32Array(WIDTH);
  vector[WIDTH - 1] = 0.05;
  for (const word of text.toLowerCase().match(/\p{L}+/gu) ?? []) {
    const concept = CONCEPTS.findIndex((words) => words.includes(word));
    const at = concept < 0 ? WIDTH - 1 : concept;
    vector[at] = (vector[at] ?? 0) + (concept < 0 ? 0.05 : 1);
  }
  return vector;
}
