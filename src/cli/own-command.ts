// How this executable is started again, for units and clients' configurations: its own path, or Bun and the source when run from source.

import { realpathSync } from "node:fs";
import { dirname, join } from "node:path";

/** The words that run `cairn` by absolute path, whatever the PATH is. */
export function ownCommand(): string[] {
  const isCompiled = import.meta.path.startsWith("/$bunfs/");
  if (isCompiled) return [realpathSync(process.execPath)];
  return [realpathSync(process.execPath), join(dirname(import.meta.dir), "main.ts")];
}

/** The same as a person would type it: `cairn` where that name leads here. */
export function shortCommand(): string[] {
  const own = ownCommand();
  const found = Bun.which("cairn");
  return own.length === 1 && found !== null && realpathSync(found) === own[0] ? ["cairn"] : own;
}
