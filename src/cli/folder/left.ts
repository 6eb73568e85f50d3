// Says what a sync or an import has left as it was: each with what to do, the first ones in full.

import type { Left } from "../../folder/index.ts";
import { say } from "../output.ts";

const MAX_SAID = 50;

/** Says it on stderr. */
export function sayLeft(left: readonly Left[]): void {
  for (const { place, why, hint } of left.slice(0, MAX_SAID)) say(`left ${place}: ${why}\n  try: ${hint}`);
  if (left.length > MAX_SAID) say(`and ${left.length - MAX_SAID} more were left; --json has all of them`);
}
