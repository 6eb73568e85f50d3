// Variables that Bun, which is inside the executable, takes options from before a line of ours runs: code to load, a
// debugger's port, headers with secrets printed. A start with one is refused. BUN_BE_BUN=1 cannot be: with it Bun runs
// in place of Cairn.

import { Fault } from "../lib/fault.ts";
import type { Environment } from "./environment.ts";

/** Each with what it makes Bun do. */
const REFUSED: Readonly<Record<string, string>> = {
  BUN_OPTIONS: "gives Bun options, such as code to load",
  BUN_INSPECT: "opens Bun's debugger",
  BUN_CONFIG_VERBOSE_FETCH: "makes Bun print requests with their secrets",
};

/** The names of all such variables, for what starts Cairn with an environment of its own. */
export const ENGINE_VARIABLES: readonly string[] = [...Object.keys(REFUSED), "BUN_BE_BUN"];

/** Throws Fault `config_invalid` where the environment steers the engine. */
export function refuseEngineVariables(env: Environment): void {
  const found = Object.entries(REFUSED).find(([name]) => env[name]);
  if (found === undefined) return;
  const [name, does] = found;
  throw new Fault("config_invalid", `The variable ${name} is set, which ${does} inside the cairn executable`, {
    hint: `Start it without: env -u ${name} cairn …`,
  });
}
