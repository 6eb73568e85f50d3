// lease_wait: returns when a claim in line is granted, or a lease is free. It follows the changes of its own node.

import { z } from "zod";
import { spaceOf } from "../../access/space.ts";
import { timeOf } from "../../lib/time-of.ts";
import type { Cursor } from "../../log/changes.ts";
import { DEFAULT_WAIT_SECONDS, read } from "../../operation/define.ts";
import type { Fence } from "../../operation/fence.ts";
import { FENCE_LEVEL } from "../../operation/fence.ts";
import { refuseBelowLevel } from "../../operation/versions.ts";
import { positionArgument, timeoutSeconds } from "../../operation/wait-arguments.ts";
import type { Reader } from "../../store/store.ts";
import { claimOf, holderShape, leaseName, nameAliases, ownFence } from "./arguments.ts";
import { epochNumber } from "./claims.ts";
import { isSameClaim, leaseOf, placeOf, shownHolder, waiterOf } from "./rows.ts";

/** Changes that are read at once. */
const BATCH = 512;
const STATES = ["granted", "waiting", "gone", "held", "free"] as const;

const output = z.object({
  name: z.string(),
  state: z
    .enum(STATES)
    .describe("With a fence: granted, waiting, or gone (the claim ended: acquire again). Without one: held or free."),
  place: z.number().int().optional().describe("Place in the line of a claim that waits, from 1."),
  place_until: z.string().optional().describe("Until when it is kept: acquire with the fence to keep it for longer."),
  held_by: holderShape.optional(),
  position: z.string().describe("Pass it as since of the next call."),
  timed_out: z.boolean(),
});

/** Waits for a lease. */
export const leaseWait = read({
  name: "lease_wait",
  title: "Wait for a lease",
  search: "wait for a lock, until free, my turn",
  description:
    "With the fence of a claim in line: waits until it is granted to you; then call lease_renew before you begin. Without a fence: waits until the lease is free. Returns after timeout_seconds in any case; call it again to go on.",
  input: z.object({
    name: leaseName,
    fence: ownFence.optional(),
    since: positionArgument.optional().describe("A position: the state is read at least at that one."),
    timeout_seconds: timeoutSeconds,
  }),
  example: { name: "team-a/repo/src/main.ts", timeout_seconds: 1 },
  samples: { fence: "team-a/repo/src/main.ts@1-57", since: "1f3a9c0b22-7" },
  output,
  access: { verb: "read", spaces: ({ name }) => [spaceOf(name)] },
  waits: true,
  aliases: { ...nameAliases, timeout: "timeout_seconds", position: "since" },
  async run(reader, { name, fence, since, timeout_seconds = DEFAULT_WAIT_SECONDS }, context) {
    refuseBelowLevel(reader, FENCE_LEVEL, "lease_wait");
    const claim = fence === undefined ? undefined : claimOf(name, fence);
    const waits = context.holdWait();
    try {
      if (since !== undefined) await context.reach(since);
      // A claim that this node has not applied yet is not gone.
      const isAhead = claim?.n === epochNumber(reader) && claim.seq > context.position().seq;
      if (isAhead) await context.reach(context.positionAt(claim.seq));
      const cursor = context.changes.cursor(context.position().seq);
      const deadline = AbortSignal.timeout(timeout_seconds * 1000);
      const signal = AbortSignal.any([context.signal, waits.signal]);
      for (;;) {
        const { seq } = context.position();
        const state = stateOf(reader, name, claim);
        const isOver = state.state !== "waiting" && state.state !== "held";
        if (isOver || deadline.aborted)
          return { name, ...state, position: context.positionAt(seq), timed_out: !isOver };
        await changeOf(name, cursor, signal, deadline);
      }
    } finally {
      waits.release();
    }
  },
});

type State = Omit<z.infer<typeof output>, "name" | "position" | "timed_out">;

function stateOf(reader: Reader, name: string, claim: Fence | undefined): State {
  const lease = leaseOf(reader, name);
  const holder = lease === undefined ? {} : { held_by: shownHolder(lease) };
  if (claim === undefined) return { state: lease === undefined ? "free" : "held", ...holder };
  if (lease !== undefined && isSameClaim(lease, claim)) return { state: "granted", ...holder };
  const waiter = waiterOf(reader, claim);
  if (waiter === undefined) return { state: "gone", ...holder };
  return { state: "waiting", place: placeOf(reader, claim), place_until: timeOf(waiter.expires_at), ...holder };
}

/** Resolves after the next change of a lease, or at the deadline. Rejects when the signal aborts. */
async function changeOf(name: string, cursor: Cursor, signal: AbortSignal, deadline: AbortSignal): Promise<void> {
  for (;;) {
    const batch = cursor.next(BATCH);
    signal.throwIfAborted();
    if (deadline.aborted || batch.some(({ target }) => target === name)) return;
    if (batch.length < BATCH) await cursor.wait(signal, deadline);
  }
}
