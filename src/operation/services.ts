// What a running node lends to its features: parts of other rooms, found by a typed key, so that a feature imports no room
// above it. The node provides each part once, while it is put together; `find` is undefined for a part that it has not.

/** Names one part and carries its type. */
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

  /** Adds a part; throws where there is one under this key already. */
  provide<T>(key: ServiceKey<T>, part: T): this {
    if (this.#parts.has(key)) throw new Error(`${key.name} is provided twice`);
    this.#parts.set(key, part);
    return this;
  }

  /** Returns the part, or undefined where this node has none. */
  find<T>(key: ServiceKey<T>): T | undefined {
    return this.#parts.get(key) as T | undefined;
  }

  /** Returns the part; throws an Error where nothing provides it, which is a mistake in the wiring. */
  get<T>(key: ServiceKey<T>): T {
    if (!this.#parts.has(key)) throw new Error(`nothing provides ${key.name} on this node`);
    return this.#parts.get(key) as T;
  }
}
