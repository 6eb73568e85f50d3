// What a member does before it is given a start: it fetches and unpacks the artifacts of the services that it agrees to
// run, those that run here first: a program ends only when the next one is there. And what the leader learns of it.

import { Fault } from "../../lib/fault.ts";
import { printableLine } from "../../lib/printable.ts";
import { reasonOf } from "../../lib/reason-of.ts";
import { backoffMs } from "../../lib/retry.ts";
import { type ServiceRow, startText } from "./rows.ts";

/** Longest reason that a member gives. */
export const MAX_PREPARED_REASON = 300;
/** What failed is tried again after this, in ms. */
const AGAIN = { firstMs: 1000, lastMs: 60_000 };
/** The same where the archive is wrong: other bytes of it are not to be expected soon. */
const WRONG = { firstMs: 600_000 };

/** What a member says of a start that it has, and what is not worth a row. */
export interface Remark {
  /** SHA-256 of the artifact that is declared now, where it is unpacked. */
  has?: string | undefined;
  /** Why it does not have that yet. */
  lacks?: string | undefined;
  /** Why the start is not ready yet. */
  waits?: string | undefined;
}

/** A service that this member agrees to run. */
export interface Wanted {
  name: string;
  /** What is declared; undefined: it has no artifact. */
  artifact: string | undefined;
  /** Whether it runs here, or starts. */
  isHeld: boolean;
  /** The artifact of what runs here; undefined: that has none. */
  running: string | undefined;
}

/** What it needs of its node. */
export interface PreparingOptions {
  /** Returns once an artifact is unpacked; `running` stays too. */
  prepare: (name: string, sha256: string, running: string | undefined, signal: AbortSignal) => Promise<unknown>;
  /** Removes what is unpacked of services other than these. */
  keepOnly: (names: ReadonlySet<string>) => Promise<void>;
  /** Called when there is something new to say. */
  onNews: () => void;
  nowMs: () => number;
}

interface Known {
  artifact: string;
  isThere: boolean;
  problem: string;
  failures: number;
  /** When it may be tried again. */
  dueMs: number;
}

/** Prepares the artifacts of one member, one after the other. */
export class Preparing {
  readonly #options: PreparingOptions;
  /** By name; as many as there are services with an artifact that this member agrees to run. */
  readonly #known = new Map<string, Known>();
  #kept = "";
  #busy: Promise<void> | undefined;

  constructor(options: PreparingOptions) {
    this.#options = options;
  }

  /** Begins with what is wanted now and is not there. `declared`: the names of all services. */
  look(wanted: readonly Wanted[], declared: readonly string[], signal: AbortSignal): void {
    const named = new Map(wanted.map((each) => [each.name, each]));
    for (const [name, { artifact }] of this.#known)
      if (named.get(name)?.artifact !== artifact) this.#known.delete(name);
    // What is there, or is fetched by the start itself.
    for (const { name, artifact, isHeld, running } of wanted)
      if (artifact !== undefined && isHeld && running === artifact) this.#known.set(name, thereIs(artifact));
    if (this.#busy !== undefined || signal.aborted) return;
    const nowMs = this.#options.nowMs();
    const isOpen = ({ name, artifact }: Wanted) => {
      const known = this.#known.get(name);
      return artifact !== undefined && (known === undefined || (!known.isThere && known.dueMs <= nowMs));
    };
    // What runs waits for it.
    const open = wanted.filter(isOpen).sort((one, other) => Number(other.isHeld) - Number(one.isHeld));
    const names = declared.join(" ");
    if (open[0] !== undefined) this.#run(this.#prepare(open[0], signal));
    else if (names !== this.#kept) {
      this.#kept = names;
      this.#run(this.#options.keepOnly(new Set(declared)).catch(() => {}));
    }
  }

  /** Returns what is to be said of a service that runs here. */
  of(name: string): Remark {
    const known = this.#known.get(name);
    if (known === undefined) return {};
    return known.isThere ? { has: known.artifact } : { lacks: known.problem };
  }

  /** Resolves when nothing is being prepared. */
  async idle(): Promise<void> {
    await this.#busy;
  }

  #run(work: Promise<void>): void {
    this.#busy = work.finally(() => {
      this.#busy = undefined;
    });
  }

  async #prepare({ name, artifact = "", running }: Wanted, signal: AbortSignal): Promise<void> {
    const before = this.#known.get(name);
    const failures = before?.failures ?? 0;
    const known = { artifact, isThere: false, problem: before?.problem ?? "it is being fetched", failures, dueMs: 0 };
    this.#known.set(name, known);
    try {
      await this.#options.prepare(name, artifact, running, signal);
      Object.assign(known, { isThere: true, problem: "" });
    } catch (error) {
      if (signal.aborted) return;
      const isWrong = error instanceof Fault && error.code === "invalid_input";
      const waitMs = backoffMs(failures + 1, isWrong ? WRONG : AGAIN);
      const problem = printableLine(reasonOf(error)).slice(0, MAX_PREPARED_REASON);
      Object.assign(known, { problem, failures: failures + 1, dueMs: this.#options.nowMs() + waitMs });
    }
    this.#options.onNews();
  }
}

function thereIs(artifact: string): Known {
  return { artifact, isThere: true, problem: "", failures: 0, dueMs: 0 };
}

/** What members have said of what they run; on the leader. */
export class Remarks {
  /** By start; as many as there are copies. */
  readonly #said = new Map<string, Remark>();

  /** Notes what was said of a start. */
  note(row: ServiceRow, { has, lacks, waits }: Remark): void {
    this.#said.set(startText(row), { has, lacks, waits });
  }

  /** Returns what was said last; {}: nothing. */
  of(row: ServiceRow): Remark {
    return this.#said.get(startText(row)) ?? {};
  }

  /** Forgets all starts but those of these rows. */
  keepOnly(rows: readonly ServiceRow[]): void {
    const starts = new Set(rows.map(startText));
    for (const start of this.#said.keys()) if (!starts.has(start)) this.#said.delete(start);
  }
}
