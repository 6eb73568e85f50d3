// The last results of a probe as bars, and the same in words; and the state of a probe as a pill.
/** @jsxImportSource hono/jsx */

import type { z } from "zod";
import { counted } from "../../../lib/counted.ts";
import type { PROBE_GET } from "../get.ts";
import type { shownProbe } from "../list.ts";

/** A probe as lists show it. */
export type ShownProbe = z.infer<typeof shownProbe>;
/** One result of a member. */
export type Result = z.infer<typeof PROBE_GET.output>["results"][number];

const BARS = 40;
/** Width of a bar and of what is between two, in pixels. */
const BAR = { width: 5, gap: 2, height: 22 };

/** The newest results of one member, oldest first. */
export function Strip({ results }: { results: readonly Result[] }) {
  const shown = results.slice(-BARS);
  const step = BAR.width + BAR.gap;
  const empty = BARS - shown.length;
  const good = shown.filter((each) => each.good).length;
  return (
    <>
      <svg
        class="strip"
        aria-hidden="true"
        focusable="false"
        viewBox={`0 0 ${BARS * step} ${BAR.height}`}
        width={BARS * step}
      >
        {Array.from({ length: BARS }, (_, at) => {
          const result = shown[at - empty];
          const kind = result === undefined ? "none" : result.good ? undefined : "bad";
          return <rect x={at * step} y="0" width={BAR.width} height={BAR.height} rx="1.5" class={kind} />;
        })}
      </svg>
      <span class="hidden">
        {shown.length === 0 ? "no results yet" : `${good} of the last ${counted(shown.length, "check")} good`}
      </span>
    </>
  );
}

const CLASSES: Readonly<Record<ShownProbe["state"], string>> = {
  up: "ok",
  suspect: "warning",
  down: "failing",
  unknown: "warning",
  starting: "role",
  paused: "role",
};

export function ProbePill({ state, isMuted = false }: { state: ShownProbe["state"]; isMuted?: boolean }) {
  return (
    <>
      <span class={`pill ${CLASSES[state]}`}>{state}</span>
      {isMuted ? <span class="tag">muted</span> : null}
    </>
  );
}
