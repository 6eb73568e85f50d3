// What a node and the guard of a child tell each other, as messages of the channel between them.

import type { SleepClock } from "../../lib/sleep-clock.ts";
import type { Launch } from "./launch.ts";
import type { ProcessEnd } from "./run.ts";

/** A moment: how long it is until then, and by which reading of which clock. */
export interface Deadline {
  leftMs: number;
  atMs: number;
  since: string;
}

/** What becomes of the child when the node ends without ending it: it ends at once, or at its deadline. */
export type OnNodeGone = "end" | "deadline";

/** What the guard is told. The first message is `start`. */
export type ToGuard =
  | {
      type: "start";
      launch: Launch;
      stdio: "pipe" | "inherit";
      deadline: Deadline | undefined;
      graceMs: number;
      onNodeGone: OnNodeGone;
    }
  | { type: "renew"; deadline: Deadline }
  | { type: "signal"; signal: NodeJS.Signals }
  | { type: "stop"; graceMs: number };

/** What the guard tells. The last message is `failed` or `ended`. */
export type FromGuard =
  | { type: "started"; pid: number }
  | { type: "failed"; message: string }
  | { type: "ended"; end: ProcessEnd };

/** Returns a deadline for the other process. */
export function deadlineIn(leftMs: number, clock: SleepClock): Deadline {
  return { leftMs, atMs: clock.nowMs(), since: clock.since };
}

/**
 * Returns when a deadline of the other process is, in ms of this clock. A message may have waited while one of the two
 * was frozen: where both read the same clock that time counts, elsewhere it cannot be known.
 */
export function momentOf({ leftMs, atMs, since }: Deadline, clock: SleepClock): number {
  return (since !== "" && since === clock.since ? atMs : clock.nowMs()) + leftMs;
}
