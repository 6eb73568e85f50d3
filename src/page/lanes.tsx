// A picture of who did what when: a lane each, with marks for moments and bars for spans, from one time to another. The
// words beside each lane say the same; the picture itself is not read aloud.
/** @jsxImportSource hono/jsx */

import type { Child } from "hono/jsx";
import { timeOf } from "../lib/time-of.ts";
import { Ago } from "./text.tsx";

/** A moment, or a span where `untilMs` is set. */
export interface Mark {
  atMs: number;
  untilMs?: number;
  /** Where a click on it leads. */
  href?: string;
  /** One of the classes of the picture; left out: the plain one. */
  kind?: "asked" | "decided" | "quiet" | "bad";
}

/** What one did. */
export interface Lane {
  label: Child;
  marks: readonly Mark[];
}

/** Times in ms; the picture goes from one to the other. */
export interface LanesProps {
  lanes: readonly Lane[];
  fromMs: number;
  toMs: number;
  nowMs: number;
}

/** Radius of a mark, in pixels; half of one at an end is beside the lane. */
const RADIUS = 5;

/** The picture. */
export function Lanes({ lanes, fromMs, toMs, nowMs }: LanesProps) {
  const percent = (timeMs: number) => {
    const share = toMs === fromMs ? 1 : (timeMs - fromMs) / (toMs - fromMs);
    return Math.round(Math.min(1, Math.max(0, share)) * 10_000) / 100;
  };
  return (
    <div class="lanes">
      <ul>
        {lanes.map(({ label, marks }) => (
          <li>
            <p>{label}</p>
            <svg width="100%" height={2 * RADIUS + 6} aria-hidden="true" focusable="false">
              <line x1="0" x2="100%" y1={RADIUS + 3} y2={RADIUS + 3} />
              {marks.map((mark) => (
                <Shape mark={mark} percent={percent} />
              ))}
            </svg>
          </li>
        ))}
      </ul>
      <p class="axis quiet">
        <Ago time={timeOf(fromMs)} nowMs={nowMs} />
        <Ago time={timeOf(toMs)} nowMs={nowMs} />
      </p>
    </div>
  );
}

function Shape({ mark: { atMs, untilMs, href, kind }, percent }: { mark: Mark; percent: (timeMs: number) => number }) {
  const start = percent(atMs);
  const shape =
    untilMs === undefined ? (
      <circle cx={`${start}%`} cy={RADIUS + 3} r={RADIUS} class={kind} />
    ) : (
      <rect
        x={`${start}%`}
        y="3"
        width={`${Math.max(1, percent(untilMs) - start)}%`}
        height={2 * RADIUS}
        class={kind}
      />
    );
  return href === undefined ? (
    shape
  ) : (
    <a href={href} tabindex={-1}>
      {shape}
    </a>
  );
}
