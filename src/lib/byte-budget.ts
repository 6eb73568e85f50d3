// Bounds the bytes that are held at the same time, for each key (such as a device) and in all. A key that holds some
// gets more only while at least as much as it then holds is left free: however many take all they can get, the next
// one fits.

export interface ByteBounds {
  perKey: number;
  total: number;
}

/** Bytes that one piece of work holds. */
export interface ByteHold {
  /** Holds more bytes. Returns false, and holds no more, where that would exceed a bound. */
  grow(bytes: number): boolean;
  /** Gives all of them back, once. */
  release(): void;
}

/** Counts held bytes. Its size is bounded by what is held. */
export class ByteBudget {
  readonly #bounds: ByteBounds;
  readonly #held = new Map<string, number>();
  #total = 0;

  constructor(bounds: ByteBounds) {
    this.#bounds = bounds;
  }

  /** Returns how many bytes are held in all. */
  get total(): number {
    return this.#total;
  }

  /** Begins to hold bytes of `key`. */
  hold(key: string): ByteHold {
    let own = 0;
    let open = true;
    return {
      grow: (bytes) => {
        const { perKey, total } = this.#bounds;
        const held = this.#held.get(key) ?? 0;
        const free = total - this.#total - bytes;
        if (!open || held + bytes > perKey || free < 0 || (held > 0 && held + bytes > free)) return false;
        own += bytes;
        this.#add(key, bytes);
        return true;
      },
      release: () => {
        if (!open) return;
        open = false;
        this.#add(key, -own);
      },
    };
  }

  #add(key: string, bytes: number): void {
    const held = (this.#held.get(key) ?? 0) + bytes;
    this.#total += bytes;
    if (held === 0) this.#held.delete(key);
    else this.#held.set(key, held);
  }
}
