// A bound on a number that a probe measures, and for how long it has been passed: what rules of several features go by.

import { z } from "zod";
import { DECLARED_NAME } from "./declared-kind.ts";

const DAY_SECONDS = 86_400;

/** The fields of a declaration that say which number counts, and when. */
export const boundFields = {
  probe: z
    .string()
    .regex(DECLARED_NAME, "takes 1 to 64 of a-z, 0-9 and . _ - (not first)")
    .describe("The probe whose number counts: one with `value`, on the leader or on one member"),
  above: z.number().optional().describe("It is so while the number is greater than this"),
  below: z.number().optional().describe("Or while it is less than this"),
  for_seconds: z
    .number()
    .int()
    .min(0)
    .max(DAY_SECONDS)
    .default(60)
    .describe("For so long every measurement must say so; 0: one is enough"),
};

/** A bound: one of the two is there (`boundProblem`). */
export interface Bound {
  above?: number | undefined;
  below?: number | undefined;
}

/** Returns what is wrong with a bound. */
export function boundProblem({ above, below }: Bound): string | undefined {
  return (above === undefined) === (below === undefined) ? "above or below: there is one of them" : undefined;
}

/** Returns a bound in words. */
export function boundText({ above, below }: Bound): string {
  return above === undefined ? `below ${below}` : `above ${above}`;
}

/** Reports whether a number is beyond a bound. */
export function isBeyond({ above, below }: Bound, value: number): boolean {
  return above === undefined ? below !== undefined && value < below : value > above;
}

/** Measurements in a row that are beyond a bound: the times of the first and the last one, in ms. */
export interface Run {
  firstMs: number;
  lastMs: number;
}

/** Returns the run after a measurement that is beyond the bound, or is not; undefined: there is none. */
export function nextRun(isSo: boolean, run: Run | undefined, atMs: number): Run | undefined {
  if (!isSo) return undefined;
  return run === undefined ? { firstMs: atMs, lastMs: atMs } : { ...run, lastMs: Math.max(run.lastMs, atMs) };
}
