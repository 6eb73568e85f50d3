// Runs costly work one piece at a time, by turns of those who ask for it: no two pieces keep the event loop at once,
// however they are sliced. Bounded for each key and in all.

/** A piece of work that waits. */
type Start = () => void;

/** Turns by key, such as a caller. */
export class Turns {
  readonly #max: { perKey: number; total: number };
  /** In the order in which their next turn comes. */
  readonly #waiting = new Map<string, Start[]>();
  #total = 0;
  #running = false;

  /** `max`: pieces that may wait, of one key and in all. */
  constructor(max: { perKey: number; total: number }) {
    this.#max = max;
  }

  /** Runs `work` at its turn and resolves as it does; undefined where too much waits already. */
  run<T>(key: string, work: () => T | Promise<T>): Promise<T> | undefined {
    if (this.#running && !this.#mayWait(key)) return undefined;
    return this.#atTurn(key, work);
  }

  async #atTurn<T>(key: string, work: () => T | Promise<T>): Promise<T> {
    if (this.#running) await new Promise<void>((resolve) => this.#add(key, resolve));
    this.#running = true;
    try {
      return await work();
    } finally {
      this.#running = false;
      this.#next();
    }
  }

  #mayWait(key: string): boolean {
    return this.#total < this.#max.total && (this.#waiting.get(key)?.length ?? 0) < this.#max.perKey;
  }

  #add(key: string, start: Start): void {
    this.#total++;
    const own = this.#waiting.get(key);
    if (own === undefined) this.#waiting.set(key, [start]);
    else own.push(start);
  }

  #next(): void {
    const [first] = this.#waiting;
    if (first === undefined) return;
    const [key, own] = first;
    const start = own.shift();
    this.#waiting.delete(key);
    // Behind all others: one turn for each key.
    if (own.length > 0) this.#waiting.set(key, own);
    this.#total--;
    // Before anything else can begin.
    this.#running = true;
    start?.();
  }
}
