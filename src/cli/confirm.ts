// Asks before something that cannot be undone: a person types its name, a script gives --yes.

import { createInterface } from "node:readline/promises";
import { Fault } from "../lib/fault.ts";
import { printableLine } from "../lib/printable.ts";
import { type Invocation, isSet, type Option } from "./command.ts";

/** For a command that may ask. */
export const YES: Option = { flags: "--yes", help: "do not ask for confirmation" };

/**
 * Returns once a person has typed `name`, or at once with `--yes`. Fault `cancelled` for another answer,
 * `invalid_input` where there is no terminal.
 */
export async function confirmed(invocation: Invocation, warning: string, name: string): Promise<void> {
  if (isSet(invocation, "yes")) return;
  if (process.stdin.isTTY !== true || process.stderr.isTTY !== true) {
    throw new Fault("invalid_input", `${warning}, and there is no terminal to confirm it on`, {
      hint: "Give --yes if you mean it.",
    });
  }
  const dialog = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const typed = await dialog.question(`${printableLine(warning)}. Type ${printableLine(name)} to go on: `);
    if (typed.trim() !== name) throw new Fault("cancelled", "Nothing was done");
  } finally {
    dialog.close();
  }
}
