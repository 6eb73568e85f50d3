// Serves the feed of a full member to edges (replication.md 26): changes of the spaces that the member is enrolled for,
// in whole entries. A call is held until there are some or its time is over.

import { setImmediate as nextTurn } from "node:timers/promises";
import { spaceAmong, spaceOf } from "../access/space.ts";
import type { Member } from "../fleet/index.ts";
import { Fault } from "../lib/fault.ts";
import { sha256Hex } from "../lib/sha256.ts";
import type { Change, Changes } from "../log/changes.ts";
import { AGENT_LEVEL, CLIENT_LEVEL } from "../log/level.ts";
import type { Log } from "../log/log.ts";
import { formatPosition, parsePosition } from "../log/position.ts";
import type { EdgeMode } from "../operation/edge-modes.ts";
import type { Reader } from "../store/store.ts";
import type { FeedAnswer, FeedRequest, FeedTerms } from "./feed-frames.ts";

/** Approximate number of changes in one answer. An entry is not cut unless it has more than MAX_ENTRY_CHANGES. */
const ANSWER_CHANGES = 1000;
const MAX_ENTRY_CHANGES = 4000;
/** Most changes read for one answer: those of other spaces must not occupy the event loop. */
const MAX_READ_CHANGES = 20_000;

export interface FeedServerOptions {
  log: Log;
  reader: Reader;
  /** Returns the spaces that a member is enrolled for; undefined: it is no member any more. */
  enrolled: (node: string) => readonly string[] | undefined;
  /** Reports whether everyone who may read the space of a change may see it: nothing else goes to an edge. */
  isPublic: (change: Change) => boolean;
  /** Returns the newest level that the build of a member knows. */
  levelOf: (node: string) => number;
  members: () => readonly Member[];
  /** Returns the spaces whose mode is not `fresh`. */
  modes: () => readonly (readonly [string, EdgeMode])[];
  fleet: () => string;
  /** Returns how old the state of this node may be, in ms: 0 on the leader, infinite while it is unknown. */
  ageMs: () => number;
  /** Reads a clock that counts sleep, in ms. */
  nowMs: () => number;
}

/** Reports whether an edge follows a space: it is enrolled for the space, and wants it. */
export function isWanted(
  { spaces, wanted }: { spaces: readonly string[]; wanted: readonly string[] },
  space: string,
): boolean {
  return spaceAmong(spaces, space) && spaceAmong(wanted, space);
}

/** Serves feed calls. Each is judged by the membership at the time of its answer. */
export class FeedServer {
  readonly #options: FeedServerOptions;

  constructor(options: FeedServerOptions) {
    this.#options = options;
  }

  /**
   * Returns the answer to a call. Rejects with Fault `not_a_member`, `history_forked`, `below_floor`, or `unavailable`
   * if this node is behind the edge (details.behind).
   */
  async serve(node: string, request: FeedRequest, signal: AbortSignal): Promise<FeedAnswer> {
    const { log, nowMs } = this.#options;
    const startMs = nowMs();
    const deadline = AbortSignal.timeout(request.holdMs);
    const batch = new Batch(log.changes, request.since === null ? log.changes.head().seq : this.#seqOf(request.since));
    for (;;) {
      // Read before the state: the state that is read after it is at least this new.
      const heldMs = nowMs() - startMs;
      const terms = this.#terms(node, request.spaces);
      const isLate = deadline.aborted || heldMs >= request.holdMs;
      if (batch.isBehind()) {
        if (isLate) throw this.#behind(batch.seq);
      } else {
        batch.read((change) => isWanted(terms, spaceOf(change.target)) && this.#options.isPublic(change));
        if (batch.isComplete && (isLate || hasNews(request, batch, terms)))
          return this.#answerOf(request, batch, terms, { heldMs, level: this.#options.levelOf(node) });
      }
      if (batch.hasMore) await nextTurn();
      else if (batch.isBehind()) await log.changes.reached(batch.seq, signal, deadline);
      else await log.changes.cursor().wait(signal, deadline);
      signal.throwIfAborted();
    }
  }

  #answerOf(
    request: FeedRequest,
    { seq, items, hasMore }: Batch,
    terms: FeedTerms,
    { heldMs, level }: { heldMs: number; level: number },
  ): FeedAnswer {
    const { log } = this.#options;
    const ageMs = this.#options.ageMs();
    const { epoch } = log.changes.head();
    return {
      epoch,
      position: formatPosition(log.positionAt(seq)),
      items: items.map((change) => itemFor(level, change)),
      more: hasMore,
      heldMs,
      ageMs: Number.isFinite(ageMs) ? ageMs : null,
      epochs: request.epoch === epoch ? null : this.#epochs(),
      terms: request.terms === terms.id ? null : terms,
    };
  }

  #seqOf(since: string): number {
    const { log } = this.#options;
    const position = parsePosition(since);
    if (log.sameHistory(position)) return position.seq;
    throw new Fault("history_forked", `The position ${since} belongs to another history than this store's`, {
      hint: "Discard what was cached, and follow from the current position.",
    });
  }

  /** A node never serves below the position that it is shown: it may lag behind the node that was followed before. */
  #behind(seq: number): Fault {
    return new Fault("unavailable", `This node has applied ${this.#options.log.changes.head().seq}, not yet ${seq}`, {
      hint: "Follow another full node.",
      details: { retryAfterSeconds: 1, behind: true },
    });
  }

  #terms(node: string, wanted: readonly string[]): FeedTerms {
    const spaces = this.#options.enrolled(node);
    if (spaces === undefined) {
      throw new Fault("not_a_member", `The device ${node} is not a member of this fleet`, {
        hint: "Let it join again.",
      });
    }
    const terms = {
      fleet: this.#options.fleet(),
      spaces: [...spaces],
      wanted: [...wanted],
      modes: this.#options
        .modes()
        .filter(([space]) => isWanted({ spaces, wanted }, space))
        .map(([space, mode]): [string, EdgeMode] => [space, mode]),
      members: [...this.#options.members()],
    };
    return { id: sha256Hex(JSON.stringify(terms)).slice(0, 16), ...terms };
  }

  #epochs(): NonNullable<FeedAnswer["epochs"]> {
    return this.#options.reader.all("SELECT n, id, parent, fork_seq AS forkSeq FROM epochs ORDER BY n");
  }
}

/** Returns a change as a build that knows levels up to this one reads it. */
function itemFor(level: number, { client, agent, ...change }: Change): Change {
  return {
    ...change,
    ...(level >= CLIENT_LEVEL && client !== undefined ? { client } : {}),
    ...(level >= AGENT_LEVEL && agent !== undefined ? { agent } : {}),
  };
}

/** Reports whether an answer tells the edge something that it does not know. */
function hasNews(request: FeedRequest, { items }: Batch, terms: FeedTerms): boolean {
  return items.length > 0 || terms.id !== request.terms || request.since === null;
}

/** The changes collected for one answer. */
class Batch {
  readonly items: Change[] = [];
  /** The batch includes everything up to this seq. */
  seq: number;
  /** Whether there were more changes after the last step. */
  hasMore = false;
  readonly #changes: Changes;
  #readChanges = 0;

  constructor(changes: Changes, seq: number) {
    this.#changes = changes;
    this.seq = seq;
  }

  /** Reports whether this node has not applied the position of the batch. */
  isBehind(): boolean {
    return this.#changes.head().seq < this.seq;
  }

  /** Reads one step of whole entries, and keeps the changes that are wanted. */
  read(isWantedChange: (change: Change) => boolean): void {
    const step = wholeEntries(this.#changes, this.seq, ANSWER_CHANGES);
    this.seq = step.upTo;
    this.hasMore = step.more;
    this.#readChanges += step.changes.length;
    this.items.push(...step.changes.filter(isWantedChange));
  }

  /** Whether there is nothing more to read, or enough was read. */
  get isComplete(): boolean {
    return !this.hasMore || this.items.length >= ANSWER_CHANGES || this.#readChanges >= MAX_READ_CHANGES;
  }
}

/**
 * Returns about `max` changes after a seq, cut only where an entry may end: all changes of an entry have the same log
 * time. The head is always such a place.
 */
export function wholeEntries(
  changes: Changes,
  after: number,
  max: number,
): { changes: Change[]; upTo: number; more: boolean } {
  const cursor = changes.cursor(after);
  const found = cursor.next(max);
  if (found.length < max && !cursor.isBehind()) return { changes: found, upTo: cursor.seq, more: false };
  if (found.length === 0) return { changes: found, upTo: cursor.seq, more: true };
  const last = found.at(-1);
  const cut = found.findLastIndex(({ timeMs }) => timeMs !== last?.timeMs);
  const end = found[cut];
  if (end !== undefined) return { changes: found.slice(0, cut + 1), upTo: end.seq, more: true };
  // Only a log time that does not advance (a clock that was set back) makes so many changes look like one entry.
  if (max >= MAX_ENTRY_CHANGES) return { changes: found, upTo: last?.seq ?? after, more: true };
  return wholeEntries(changes, after, 2 * max);
}
