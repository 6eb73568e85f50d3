// Which request made which change: by its position where it was acknowledged, else by its content. Deletions and
// restores have no content of their own, so those of unknown outcome are counted against what is left.

import { hashOf, patched, textOf } from "./documents.ts";
import { DELETED, isWrite, type Place, type Row, type Run, type SeenChange } from "./history.ts";
import type { Reference } from "./reference.ts";
import { groupBy } from "./sweep.ts";

export class Writers {
  /** Changes that a request made after one that it had made before. */
  readonly again: { row: Row; change: SeenChange }[] = [];
  /** Changes of contexts that the clients write to, and that no request can have made. */
  readonly unasked: SeenChange[] = [];
  /** Parts of batches, in their order. */
  readonly batches: ReadonlyMap<string, readonly Row[]>;
  readonly #reference: Reference;
  readonly #rows = new Map<SeenChange, Row>();
  readonly #changes = new Map<Row, SeenChange>();
  readonly #texts = new Map<SeenChange, string>();
  readonly #acknowledged = new Map<number, Row>();
  /** By context and hash where the hash is known before, else by context. */
  readonly #puts = new Map<string, Row[]>();
  readonly #others = new Map<string, Row[]>();

  constructor(run: Run, reference: Reference) {
    this.#reference = reference;
    const writes = run.rows.filter(isWrite);
    const inBatches = writes.filter(({ batch }) => batch !== undefined);
    this.batches = groupBy(inBatches, ({ batch }) => batch ?? "");
    for (const row of writes) {
      if (row.outcome === "ok" && row.position !== undefined && !reference.isLost(row.position))
        this.#acknowledged.set(row.position.seq, row);
      const [index, name] = row.operation === "put" ? [this.#puts, named(row)] : [this.#others, row.key];
      const known = index.get(name);
      if (known === undefined) index.set(name, [row]);
      else known.push(row);
    }
    for (const key of new Set(writes.map((row) => row.key)))
      for (const change of reference.of(key)) this.#assign(change);
  }

  /** Returns the request that made a change. */
  rowOf(change: SeenChange | undefined): Row | undefined {
    return change === undefined ? undefined : this.#rows.get(change);
  }

  /** Returns the change that a request made, the first one of several. */
  changeOf(row: Row): SeenChange | undefined {
    return this.#changes.get(row);
  }

  /** Returns the document after a change; undefined for a deletion, and where it cannot be known. */
  textOf(change: SeenChange | undefined): string | undefined {
    return change === undefined ? undefined : this.#texts.get(change);
  }

  /** Reports whether this write, done on the version before, has the content of this change. */
  makes(row: Row, change: SeenChange): boolean {
    switch (row.operation) {
      case "put":
        return row.hash === change.hash;
      case "delete":
        return change.hash === DELETED;
      case "restore":
        return this.#reference.version(row.key, row.named ?? 0)?.hash === change.hash;
      default: {
        const text = this.#patched(row, change);
        return text !== undefined && hashOf(text) === change.hash;
      }
    }
  }

  #patched({ key, token = "" }: Row, { version }: SeenChange): string | undefined {
    const before = this.textOf(this.#reference.version(key, version - 1));
    return before === undefined ? undefined : patched(before, token);
  }

  #assign(change: SeenChange): void {
    const row = this.#find(change);
    if (row === undefined) this.unasked.push(change);
    else if (this.#changes.has(row)) this.again.push({ row, change });
    else {
      this.#rows.set(change, row);
      this.#changes.set(row, change);
    }
    const text = row === undefined ? undefined : this.#textAfter(row, change);
    if (text !== undefined && hashOf(text) === change.hash) this.#texts.set(change, text);
  }

  #find(change: SeenChange): Row | undefined {
    const acknowledged = this.#acknowledged.get(change.seq);
    // What it made instead of its own content is a finding about that content, not about who made it.
    if (acknowledged?.key === change.key && isAt(acknowledged, change)) {
      if (acknowledged.operation !== "put" || acknowledged.hash === change.hash) return acknowledged;
    }
    const puts = this.#puts.get(named(change)) ?? [];
    const others = this.#others.get(change.key) ?? [];
    const isOpen = (row: Row) => !this.#changes.has(row) && this.#isWhole(row, change);
    const fits = (row: Row) => this.makes(row, change);
    // The one that was invoked first: it can have made the change if any of them can.
    const open = others
      .filter((row) => row.outcome === "unknown" && isOpen(row) && fits(row))
      .sort((one, other) => one.invokeMs - other.invokeMs);
    return (
      puts.find(isOpen) ??
      // The other parts of its batch prove that it is that one.
      open.find((row) => row.batch !== undefined) ??
      open[0] ??
      puts[0] ??
      // Only a patch has a content of its own beside a put; a deletion too much belongs to one that was acknowledged.
      others.find((row) => row.operation === "patch" && fits(row)) ??
      others.find((row) => row.batch === undefined && fits(row))
    );
  }

  /** Reports whether the other parts of its batch are where they have to be, if this part made that change. */
  #isWhole(row: Row, { seq }: SeenChange): boolean {
    if (row.batch === undefined) return true;
    const parts = this.batches.get(row.batch) ?? [];
    const first = seq - parts.indexOf(row);
    return parts.every((part, at) => {
      const there = this.#reference.at(first + at);
      if (there?.key !== part.key) return false;
      return part.operation === "put"
        ? there.hash === part.hash
        : (there.hash === DELETED) === (part.operation === "delete");
    });
  }

  #textAfter(row: Row, change: SeenChange): string | undefined {
    switch (row.operation) {
      case "put":
        return row.token === undefined ? undefined : textOf(row.token, row.padding);
      case "patch":
        return this.#patched(row, change);
      case "restore":
        return this.textOf(this.#reference.version(row.key, row.named ?? 0));
      default:
        return undefined;
    }
  }
}

function named({ key, hash }: { key: string; hash: string }): string {
  return `${key} ${hash}`;
}

function isAt({ position }: { position: Place | undefined }, change: SeenChange): boolean {
  return position?.seq === change.seq && position.epoch === change.epoch;
}
