// Cores with an index of what can be searched.

import type { Caller } from "../../src/access/caller.ts";
import { agentFeature } from "../../src/features/agent/index.ts";
import { contextFeature } from "../../src/features/context/index.ts";
import { leaseFeature } from "../../src/features/lease/index.ts";
import { searchFeature } from "../../src/features/search/index.ts";
import type { Embedder } from "../../src/features/search/meaning/embedder.ts";
import { Meaning } from "../../src/features/search/meaning/meaning.ts";
import { MEANING, SEARCH_INDEX } from "../../src/features/search/search.ts";
import { SearchIndex } from "../../src/features/search/search-index.ts";
import { sessionFeature } from "../../src/features/session/index.ts";
import { Fault } from "../../src/lib/fault.ts";
import { searchedOf } from "../../src/operation/derive.ts";
import type { Feature } from "../../src/operation/feature.ts";
import { Services } from "../../src/operation/services.ts";
import { type Core, type CoreOptions, localAdmin, startCore } from "./core.ts";

/** What a search found. */
export interface Hit {
  kind: string;
  id?: string;
  session?: string;
  message?: string;
  space: string;
  score: number;
  why: {
    words: number;
    meaning?: number;
    part: number;
    recent: number;
    matched: string[];
    corrected?: Record<string, string>;
  };
  preview: string;
  marks: [number, number][];
}

/** A core, its index, and searches in it. Close it by `await using`. */
export class Searched {
  readonly core: Core;
  readonly errors: string[] = [];
  index: SearchIndex;
  /** What makes vectors; undefined: nothing. */
  embedder: Embedder | undefined;
  meaning: Meaning;
  maxVectorBytes = 1024 * 1024;
  /** What is wrong with vectors; "": nothing. */
  problem = "";
  /** Set: the disk of the index has no room. */
  diskIsFull = false;
  readonly #node: { current: SearchIndex | undefined; meaning: Meaning | undefined };

  /** `further` are features beside those that can be searched. */
  constructor({ embedder, ...options }: CoreOptions & { embedder?: Embedder } = {}, further: readonly Feature[] = []) {
    this.embedder = embedder;
    const node = { current: undefined as SearchIndex | undefined, meaning: undefined as Meaning | undefined };
    const services = new Services();
    // The operation looks its index up at each call, so that a test can begin another one.
    services.find = ((key) => ((key as unknown) === MEANING ? node.meaning : undefined)) as typeof services.find;
    services.get = ((key) => {
      if ((key as unknown) !== SEARCH_INDEX || node.current === undefined) throw new Error(`no ${key.name}`);
      return node.current;
    }) as typeof services.get;
    const feature: Feature = { ...searchFeature, operations: () => searchFeature.operations?.(services) ?? [] };
    const features = [agentFeature, contextFeature, leaseFeature, sessionFeature, feature, ...further];
    this.core = startCore({ features, ...options });
    this.#node = node;
    [this.index, this.meaning] = this.#begin();
  }

  #begin(): [SearchIndex, Meaning] {
    const { core } = this;
    const index = new SearchIndex({
      ...{ data: core.folder, store: core.store, log: () => core.log },
      sources: searchedOf([contextFeature, sessionFeature]),
      disk: { refusal: () => (this.diskIsFull ? new Fault("storage_full", "The disk is full") : undefined) },
      onError: (message) => this.errors.push(message),
    });
    const meaning = new Meaning({
      ...{ index, reader: core.store.reader, sources: index.sources, disk: { refusal: () => undefined } },
      embedder: () => this.embedder,
      maxBytes: this.maxVectorBytes,
      firstRetryMs: 10,
      onState: (problem) => {
        this.problem = problem;
      },
    });
    Object.assign(this.#node, { current: index, meaning });
    index.start();
    meaning.start();
    return [index, meaning];
  }

  /** Stops the index; `between` may change its files; then begins it again. */
  async restart(between: () => void = () => {}): Promise<void> {
    await this.stop();
    between();
    [this.index, this.meaning] = this.#begin();
  }

  async stop(): Promise<void> {
    await this.meaning.stop();
    await this.index.stop();
  }

  /** Waits until everything that was written has its vectors. */
  async embedded(): Promise<void> {
    await this.index.reach(this.core.log.position().seq, 5000, new AbortController().signal);
    if (await this.meaning.reach(this.core.log.position().seq, 5000, new AbortController().signal)) return;
    throw new Error(`no vectors: ${this.problem}`);
  }

  /** Searches once everything that was written is in the index. */
  async search(
    query: string,
    more: Record<string, unknown> = {},
    caller: Caller = localAdmin,
    as?: string,
  ): Promise<Hit[]> {
    const input = as === undefined ? more : { ...more, as };
    return (await this.answer(query, input, caller))["hits"] as Hit[];
  }

  async answer(query: string, more: Record<string, unknown> = {}, caller: Caller = localAdmin) {
    await this.index.reach(this.core.log.position().seq, 5000, new AbortController().signal);
    return this.core.call("search", { query, ...more }, caller);
  }

  async put(id: string, content: string, more: Record<string, unknown> = {}): Promise<void> {
    await this.core.call("context_put", { id, content, content_type: "text/plain", ...more });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await this.core[Symbol.asyncDispose]();
  }
}
