// context_wait: returns when something changes after a position, so that agents need not poll. Streams use it too.

import { setImmediate as nextTurn } from "node:timers/promises";
import { z } from "zod";
import { spaceOf } from "../../access/space.ts";
import { Fault } from "../../lib/fault.ts";
import { LOOK_AT_ROW } from "../../lib/work.ts";
import type { Cursor } from "../../log/changes.ts";
import { type CallContext, DEFAULT_WAIT_SECONDS, read } from "../../operation/define.ts";
import { positionArgument, timeoutSeconds } from "../../operation/wait-arguments.ts";
import { contextId, idAliases, idPrefix } from "./context-id.ts";
import { type ChangeFilter, matchesFilter, type PublicChange, publicChange, publicChangeOf } from "./public-change.ts";

const MAX_CHANGES = 100;
/** Changes read before other work gets a turn. */
const BATCH = 512;

/** Waits for changes after a position. */
export const contextWait = read({
  name: "context_wait",
  title: "Wait for a change",
  search: "watch memory, follow notes, wait for another agent or a handoff",
  core: "daily",
  description:
    "Waits until a context (id), the contexts under a prefix, or anything you may read changes, and returns the changes; after timeout_seconds without one, none and timed_out true. To go on, call it again with the returned position as since: that costs little and misses nothing. Pass since on the first call too, the position of your last answer. Many clients give up on a call after 60 s, some after 5: then call it again with the same since and a shorter timeout_seconds.",
  input: z.object({
    id: contextId.optional().describe("Only this context, existing or not."),
    prefix: idPrefix.optional(),
    since: positionArgument.optional().describe("Changes after this position (default: from now on)."),
    timeout_seconds: timeoutSeconds,
    limit: z.number().int().min(1).max(MAX_CHANGES).optional().describe("At most this many changes (default 100)."),
  }),
  example: { prefix: "team-a/", timeout_seconds: 1 },
  samples: { id: "team-a/plan", since: "1f3a9c0b22-7" },
  output: z.object({
    changes: z.array(publicChange).describe("Oldest first, at most limit; more follow from the returned position."),
    position: z.string().describe("Pass it as since of the next call."),
    timed_out: z.boolean(),
  }),
  access: {
    verb: "read",
    spaces: ({ id, prefix }) => {
      if (id !== undefined) return [spaceOf(id)];
      return prefix?.includes("/") === true ? [spaceOf(prefix)] : "visible";
    },
  },
  waits: true,
  aliases: { ...idAliases, timeout: "timeout_seconds", position: "since" },
  async run(_reader, input, context) {
    const held = context.holdWait();
    try {
      const since = input.since === undefined ? context.position().seq : await context.reach(input.since);
      const cursor = context.changes.cursor(since);
      const deadline = AbortSignal.timeout((input.timeout_seconds ?? DEFAULT_WAIT_SECONDS) * 1000);
      const filter = { id: input.id, prefix: input.prefix, maySee: context.maySee };
      const limit = input.limit ?? MAX_CHANGES;
      const signal = AbortSignal.any([context.signal, held.signal]);
      const found = await collect(cursor, filter, { limit, deadline, signal, spend: context.spend });
      return {
        changes: found.changes,
        position: context.positionAt(found.seq ?? since),
        timed_out: found.changes.length === 0,
      };
    } finally {
      held.release();
    }
  },
  follow: ({ id, prefix, since, timeout_seconds }, { maySee }) => {
    if (timeout_seconds !== undefined)
      throw new Fault("invalid_input", "A stream has no timeout_seconds", { hint: "Leave it out." });
    const filter = { id, prefix, maySee };
    return { since, show: (change) => (matchesFilter(change, filter) ? publicChangeOf(change) : undefined) };
  },
});

interface CollectOptions {
  /** Most changes to return. */
  limit: number;
  /** When it aborts, the wait returns the changes found so far. */
  deadline: AbortSignal;
  /** Aborts when the caller disconnects, or the wait has to give way; the wait rejects with the reason. */
  signal: AbortSignal;
  spend: CallContext["spend"];
}

/** Waits for the first matching change, then adds those that exist already. `seq` is that of the last change read. */
async function collect(
  cursor: Cursor,
  filter: ChangeFilter,
  { limit, deadline, signal, spend }: CollectOptions,
): Promise<{ changes: PublicChange[]; seq: number | undefined }> {
  const changes: PublicChange[] = [];
  let seq: number | undefined;
  for (;;) {
    const batch = cursor.next(BATCH);
    // What lies behind is read because the caller asked for it; what comes while it waits is not its doing.
    if (batch.length === BATCH) spend(LOOK_AT_ROW * BATCH);
    for (const change of batch) {
      seq = change.seq;
      if (matchesFilter(change, filter)) changes.push(publicChangeOf(change));
      if (changes.length === limit) return { changes, seq };
    }
    signal.throwIfAborted();
    if (deadline.aborted || (changes.length > 0 && batch.length < BATCH)) return { changes, seq };
    if (batch.length === BATCH) await nextTurn();
    else await cursor.wait(signal, deadline);
  }
}
