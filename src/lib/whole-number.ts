// Parses a whole number that a person typed on a command line. Upper bounds are left to what takes it.

import { Fault } from "./fault.ts";

/**
 * Returns the whole number that was typed as `place`: a flag such as `--limit`, or an argument such as `FROM`. Fault
 * `invalid_input` for any other text, and for a number below `least`.
 */
export function wholeNumber(place: string, text: string, least = 0): number {
  if (/^\d{1,9}$/.test(text) && Number(text) >= least) return Number(text);
  const isFlag = place.startsWith("-");
  throw new Fault(
    "invalid_input",
    `${place} must be a whole number${least === 0 ? "" : ` from ${least}`}, not ${JSON.stringify(text)}`,
    {
      hint: isFlag ? `Give it as ${place} 3.` : `Give a number in place of ${place}, such as 3.`,
    },
  );
}
