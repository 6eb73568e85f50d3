// The state of a job as a pill, and what a queued one waits for in words.
/** @jsxImportSource hono/jsx */

import type { z } from "zod";
import type { shownJob } from "../rows.ts";

/** A job as callers see it. */
export type ShownJob = z.infer<typeof shownJob>;

const CLASSES: Readonly<Record<ShownJob["state"], string>> = {
  queued: "role",
  claimed: "role",
  running: "role",
  succeeded: "ok",
  failed: "failing",
  cancelled: "warning",
  dead: "failing",
};
const WAITS = { time: "for its time", key: "for another job with its key", worker: "for a worker" } as const;

export function StatePill({ job: { state, waits_for: waits, cancelling } }: { job: ShownJob }) {
  return (
    <>
      <span class={`pill ${CLASSES[state]}`}>{cancelling === true ? "cancelling" : state}</span>
      {waits === undefined ? null : <span class="quiet about"> {WAITS[waits]}</span>}
    </>
  );
}
