// Asks before what cannot be undone: by typing its name on a terminal, by --yes otherwise.

import { createInterface } from "node:readline/promises";
import { Fault } from "../lib/fault.ts";
import { printableLine } from "../lib/printable.ts";
import type { Invocation } from "./command.ts";

/** Returns once a person has typed `name`, or `--yes` was given; Fault `cancelled` or `invalid_input` otherwise. */
export async function confirmed(invocation: Invocation, warning: string, name: string): Promise<void> {
  if (invocation.options["yes"] === true) return;
  if (process.stdin.isTTY !== true || process.stderr.isTTY !== true) {
    throw new Fault("invalid_input", `${warning}, and nobody can be asked here`, {
      hint: "Give --yes if you mean it.",
    });
  }
  const asking = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const typed = await asking.question(`${printableLine(warning)}. Type ${printableLine(name)} to go on: `);
    if (typed.trim() !== name) throw new Fault("cancelled", "Nothing was done");
  } finally {
    asking.close();
  }
}
