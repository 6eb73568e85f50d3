// The state of a rule as a pill, and its bound in words.
/** @jsxImportSource hono/jsx */

import type { z } from "zod";
import { exactSpanText } from "../../../lib/span-text.ts";
import { boundText } from "../../../operation/bound.ts";
import type { RULE_LIST } from "../rule-read.ts";

/** A rule as callers see it. */
export type ShownRule = z.infer<typeof RULE_LIST.output>["rules"][number];

const CLASSES: Readonly<Record<ShownRule["state"], string>> = {
  paused: "role",
  failing: "failing",
  unknown: "warning",
  within: "ok",
  waiting: "warning",
  cooling: "warning",
  full: "warning",
  firing: "role",
};

export function RulePill({ state }: { state: ShownRule["state"] }) {
  return <span class={`pill ${CLASSES[state]}`}>{state}</span>;
}

/** Returns when it fires, such as `above 10 for 2 min`. */
export function firesText({ for_seconds: seconds, ...rule }: ShownRule): string {
  const bound = boundText(rule);
  return seconds === 0 ? bound : `${bound} for ${exactSpanText(1000 * seconds)}`;
}

/** Since when its number is beyond the bound, until when it cools down, or why neither is so. */
export function HeldText({ rule }: { rule: ShownRule }) {
  const { above, beyond_seconds: seconds, next_possible: next } = rule;
  return (
    <>
      {seconds === undefined ? null : (
        <div class="quiet about">
          {above === undefined ? "below" : "above"} for {exactSpanText(1000 * seconds)}
        </div>
      )}
      {next === undefined ? null : (
        <div class="quiet about">
          cools down until <Clock time={next} />
        </div>
      )}
    </>
  );
}

/** A time to come: the time itself, since spans are of the past. */
export function Clock({ time }: { time: string }) {
  return <time datetime={time}>{time.slice(0, 19).replace("T", " ")}</time>;
}
