// Counts what is open at the same time for each key, such as the streams of a caller. Its size is bounded by what is
// open.

/** Held slots by key. */
export class Slots {
  readonly #held = new Map<string, number>();
  #total = 0;

  /** Returns how many slots are held in all. */
  get total(): number {
    return this.#total;
  }

  /** Returns how many slots `key` holds. */
  held(key: string): number {
    return this.#held.get(key) ?? 0;
  }

  /** Takes a slot of `key` if fewer than `max` are held. Returns the function that frees it (once), or undefined. */
  take(key: string, max: number): (() => void) | undefined {
    if (this.held(key) >= max) return undefined;
    this.#held.set(key, this.held(key) + 1);
    this.#total += 1;
    let open = true;
    return () => {
      if (!open) return;
      open = false;
      this.#total -= 1;
      const left = this.held(key) - 1;
      if (left === 0) this.#held.delete(key);
      else this.#held.set(key, left);
    };
  }
}
