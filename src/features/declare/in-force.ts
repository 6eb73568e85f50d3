// The declarations in force on a full member: read from their rows, parsed once, and read again when these change.

import { counted } from "../../lib/counted.ts";
import { printableLine } from "../../lib/printable.ts";
import type { Change, Changes } from "../../log/changes.ts";
import type { ConditionsOf } from "../../observe/conditions.ts";
import { type Declaration, type Declarations, type DeclaredKind, declaredId } from "../../operation/declared-kind.ts";
import { declaredRows } from "../../operation/declared-rows.ts";
import type { Job } from "../../operation/feature.ts";
import type { Judged } from "../../operation/judge-declared.ts";
import type { Reader } from "../../store/store.ts";
import type { declareConditions } from "./conditions.ts";
import { declaredBy, judgeText } from "./judge.ts";
import { declarationSettle } from "./settle.ts";
import { Touched } from "./touched.ts";

const MAX_SAID = 480;

/** What it needs of its node. */
export interface InForceOptions {
  kinds: readonly DeclaredKind[];
  reader: Reader;
  changes: () => Changes;
  conditions: ConditionsOf<keyof typeof declareConditions>;
}

/** Reads them, and tells when they change. Before it is started it reads them again each time. */
export class InForce implements Declarations, Job {
  readonly name = "the declarations";
  readonly #options: InForceOptions;
  readonly #lists = new Map<string, readonly Declaration[]>();
  /** What came of each text: all are read again with any news, and a pattern of time takes long to judge. */
  readonly #judged = new Map<string, { text: string; judged: Judged<unknown> }>();
  readonly #listeners = new Set<() => void>();
  #stop: (() => void) | undefined;

  constructor(options: InForceOptions) {
    this.#options = options;
  }

  start(): void {
    const changes = this.#options.changes();
    const touched = new Touched(changes, (change) => this.#idOf(change));
    this.#stop = changes.onApplied(() => {
      const news = touched.take();
      if (news !== "all" && news.size === 0) return;
      this.#lists.clear();
      this.#tellUnreadable();
      for (const listener of [...this.#listeners]) listener();
    });
    this.#tellUnreadable();
  }

  stop(): void {
    this.#stop?.();
    this.#stop = undefined;
    this.#lists.clear();
    this.#judged.clear();
  }

  onNews(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  list<T>(kind: DeclaredKind<T>): readonly Declaration<T>[] {
    const known = this.#lists.get(kind.kind);
    // Lists are by kind, whose schema made the values.
    if (known !== undefined) return known as readonly Declaration<T>[];
    const read = this.#read(kind).flatMap((each) => ("value" in each ? [each] : []));
    if (this.#stop !== undefined) this.#lists.set(kind.kind, read);
    return read;
  }

  /** A judgement, or a purge, which ends a declaration without one. */
  #idOf({ operation, target, outcome }: Change): string | undefined {
    if (operation === declarationSettle.name) return target;
    return outcome === "purged" && declaredBy(this.#options.kinds, target) !== undefined ? target : undefined;
  }

  /** Returns those of a kind, and what this build cannot read. */
  #read<T>(kind: DeclaredKind<T>): (Declaration<T> | { id: string; problem: string })[] {
    const prefix = declaredId(kind, "");
    const rows = declaredRows(this.#options.reader).filter(({ id, version }) => version > 0 && id.startsWith(prefix));
    const ids = new Set(rows.map(({ id }) => id));
    for (const id of this.#judged.keys()) if (id.startsWith(prefix) && !ids.has(id)) this.#judged.delete(id);
    return rows.map(({ id, version, seq, since, text }) => {
      const name = id.slice(prefix.length);
      const judged = this.#judgedOnce(kind, id, name, text);
      if ("problem" in judged) return { id, problem: judged.problem };
      return { name, id, version, seq, sinceMs: since, value: judged.value };
    });
  }

  #judgedOnce<T>(kind: DeclaredKind<T>, id: string, name: string, text: string): Judged<T> {
    const known = this.#judged.get(id);
    // An id has one kind, whose schema made the value.
    if (known?.text === text) return known.judged as Judged<T>;
    const judged = judgeText(kind, name, text);
    this.#judged.set(id, { text, judged });
    return judged;
  }

  #tellUnreadable(): void {
    const { kinds, conditions } = this.#options;
    const unread = kinds.flatMap((kind) => this.#read(kind)).flatMap((each) => ("problem" in each ? [each] : []));
    if (unread.length === 0) {
      conditions.clear("declaration_unreadable");
      return;
    }
    const said = printableLine(unread.map(({ id, problem }) => `${id}: ${problem}`).join("; "));
    const plain = `${counted(unread.length, "declaration")} cannot be read`;
    conditions.raise("declaration_unreadable", said.slice(0, MAX_SAID), { spaces: ["fleet"], plain });
  }
}
