// The command line that starts this executable again, for service units and the configuration of MCP clients: its own
// path, or Bun and the source file when run from source.

import { realpathSync } from "node:fs";
import { dirname, join } from "node:path";

/** Returns the words that run `cairn` by absolute path. */
export function ownCommand(): string[] {
  const isCompiled = import.meta.path.startsWith("/$bunfs/");
  if (isCompiled) return [realpathSync(process.execPath)];
  return [realpathSync(process.execPath), join(dirname(import.meta.dir), "main.ts")];
}

/** Returns the words as a person types them: `cairn` where the PATH leads to this executable. */
export function shortCommand(): string[] {
  const own = ownCommand();
  const found = Bun.which("cairn");
  return own.length === 1 && found !== null && realpathSync(found) === own[0] ? ["cairn"] : own;
}
