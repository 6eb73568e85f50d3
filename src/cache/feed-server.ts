// The feed as a full node serves it to edges (replication.md 26): changes of the spaces that the member is enrolled for, in whole entries, held until there are some or a second has passed.

import { setImmediate as nextTurn } from "node:timers/promises";
import { spaceAmong, spaceOf } from "../access/space.ts";
import type { Member } from "../fleet/index.ts";
import { Fault } from "../lib/fault.ts";
import { sha256Hex } from "../lib/sha256.ts";
import type { Change, Changes } from "../log/changes.ts";
import type { Log } from "../log/log.ts";
import { formatPosition, parsePosition } from "../log/position.ts";
import type { EdgeMode } from "../operation/edge-modes.ts";
import type { Reader } from "../store/store.ts";
import type { FeedAnswer, FeedRequest, FeedTerms } from "./frames.ts";

/** Changes of one answer, about; an entry is never cut while it is smaller than MAX_ENTRY_CHANGES. */
const ANSWER_CHANGES = 1000;
const MAX_ENTRY_CHANGES = 4000;
/** Changes looked at in one call; what none of them is for this edge must not hold the event loop. */
const MAX_LOOKED_AT = 20_000;

export interface FeedServerOptions {
  log: Log;
  reader: Reader;
  /** Spaces that a member is enrolled for; undefined when it is no member any more. */
  enrolled: (node: string) => readonly string[] | undefined;
  members: () => readonly Member[];
  /** Spaces with another mode than `fresh`. */
  modes: () => readonly (readonly [string, EdgeMode])[];
  fleet: () => string;
  /** How old the state of this node may be, in ms: 0 where it orders writes, infinite while that is not known. */
  ageMs: () => number;
  /** A clock that counts sleep, in ms. */
  nowMs: () => number;
}

/** Whether an edge may hold a space: it is enrolled for it, and wanted it. */
export function isKept(
  { spaces, wanted }: { spaces: readonly string[]; wanted: readonly string[] },
  space: string,
): boolean {
  return spaceAmong(spaces, space) && spaceAmong(wanted, space);
}

/** Answers feed calls; each is judged by the membership of the moment of its answer. */
export class FeedServer {
  readonly #options: FeedServerOptions;

  constructor(options: FeedServerOptions) {
    this.#options = options;
  }

  /** Faults: `not_a_member`, `history_forked`, `below_floor`, `unavailable` (details.behind: not yet as far as the edge). */
  async answer(node: string, request: FeedRequest, signal: AbortSignal): Promise<FeedAnswer> {
    const { log, nowMs } = this.#options;
    const startMs = nowMs();
    const deadline = AbortSignal.timeout(request.holdMs);
    let at = request.since === null ? log.changes.head().seq : this.#placeOf(request.since);
    const items: Change[] = [];
    let looked = 0;
    for (;;) {
      // In this order: what was held says how new the state is at least that is looked at behind it.
      const heldMs = nowMs() - startMs;
      const terms = this.#terms(node, request.spaces);
      const behind = log.changes.head().seq < at;
      const step = behind ? undefined : wholeEntries(log.changes, at, ANSWER_CHANGES);
      if (step !== undefined) {
        at = step.upTo;
        looked += step.changes.length;
        items.push(...step.changes.filter(({ target }) => isKept(terms, spaceOf(target))));
      }
      const more = step?.more === true;
      const late = deadline.aborted || heldMs >= request.holdMs;
      if (behind && late) throw this.#behind(at);
      if (!behind && (late || items.length > 0 || terms.id !== request.terms || request.since === null)) {
        if (!more || items.length >= ANSWER_CHANGES || looked >= MAX_LOOKED_AT)
          return this.#answerOf(request, { at, items, more, heldMs, terms });
      }
      if (more) await nextTurn();
      else await log.changes.cursor().wait(signal, deadline);
      signal.throwIfAborted();
    }
  }

  #answerOf(
    request: FeedRequest,
    found: { at: number; items: Change[]; more: boolean; heldMs: number; terms: FeedTerms },
  ): FeedAnswer {
    const { log } = this.#options;
    const ageMs = this.#options.ageMs();
    const { epoch } = log.changes.head();
    return {
      epoch,
      position: formatPosition(log.positionAt(found.at)),
      items: found.items,
      more: found.more,
      heldMs: found.heldMs,
      ageMs: Number.isFinite(ageMs) ? ageMs : null,
      epochs: request.epoch === epoch ? null : this.#epochs(),
      terms: request.terms === found.terms.id ? null : found.terms,
    };
  }

  #placeOf(since: string): number {
    const { log } = this.#options;
    const position = parsePosition(since);
    if (log.sameHistory(position)) return position.seq;
    throw new Fault("history_forked", `The position ${since} is of another history than this store's`, {
      hint: "Forget what was kept, and follow from the position of now.",
    });
  }

  /** A node never serves below what it is shown: it may have been restarted, or lag behind the node that was followed before. */
  #behind(seq: number): Fault {
    return new Fault("unavailable", `This node has applied ${this.#options.log.changes.head().seq}, not yet ${seq}`, {
      hint: "Follow another full node.",
      details: { retryAfterSeconds: 1, behind: true },
    });
  }

  #terms(node: string, wanted: readonly string[]): FeedTerms {
    const spaces = this.#options.enrolled(node);
    if (spaces === undefined) {
      throw new Fault("not_a_member", `The device ${node} is no member of this fleet`, { hint: "Let it join again." });
    }
    const terms = {
      fleet: this.#options.fleet(),
      spaces: [...spaces],
      wanted: [...wanted],
      modes: this.#options
        .modes()
        .filter(([space]) => isKept({ spaces, wanted }, space))
        .map(([space, mode]): [string, EdgeMode] => [space, mode]),
      members: [...this.#options.members()],
    };
    return { id: sha256Hex(JSON.stringify(terms)).slice(0, 16), ...terms };
  }

  #epochs(): NonNullable<FeedAnswer["epochs"]> {
    return this.#options.reader.all("SELECT n, id, parent, fork_seq AS forkSeq FROM epochs ORDER BY n");
  }
}

/** Changes after a seq, `max` about, cut only where an entry may end: all changes of one entry have one log time. The head always is such a place. */
export function wholeEntries(
  changes: Changes,
  after: number,
  max: number,
): { changes: Change[]; upTo: number; more: boolean } {
  const found = changes.cursor(after).next(max);
  if (found.length < max) return { changes: found, upTo: Math.max(after, changes.head().seq), more: false };
  const last = found.at(-1);
  const cut = found.findLastIndex(({ timeMs }) => timeMs !== last?.timeMs);
  const end = found[cut];
  if (end !== undefined) return { changes: found.slice(0, cut + 1), upTo: end.seq, more: true };
  // Only a log time that stands still (a clock that was set back) makes so many changes look like one entry.
  if (max >= MAX_ENTRY_CHANGES) return { changes: found, upTo: last?.seq ?? after, more: true };
  return wholeEntries(changes, after, 2 * max);
}
