// The parts that a running node provides to its features, found by a typed key, so that a feature imports no folder
// above it. The node provides each part once, while it is put together.

/** The key of one part; carries its type. */
export class ServiceKey<T> {
  /** For the type checker only. */
  declare readonly type: T;
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }
}

/** The parts of one node. */
export class Services {
  readonly #parts = new Map<unknown, unknown>();

  /** Adds a part. Throws an Error if the key is taken. */
  provide<T>(key: ServiceKey<T>, part: T): this {
    if (this.#parts.has(key)) throw new Error(`${key.name} is provided twice`);
    this.#parts.set(key, part);
    return this;
  }

  /** Returns the part; undefined if this node has none. */
  find<T>(key: ServiceKey<T>): T | undefined {
    return this.#parts.get(key) as T | undefined;
  }

  /** Returns the part. Throws an Error if this node has none, which is a mistake in its wiring. */
  get<T>(key: ServiceKey<T>): T {
    if (!this.#parts.has(key)) throw new Error(`nothing provides ${key.name} on this node`);
    return this.#parts.get(key) as T;
  }
}
