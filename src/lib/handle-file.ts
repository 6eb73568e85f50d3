// Files that keep the handle of an agent for programs of this user: one agent at one node or fleet each, mode 0600 in a
// private folder.

import { lstatSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { AGENT_NAME, foldedAgentName, isHandle } from "./agent-key.ts";
import { writeAtomic } from "./atomic-file.ts";
import { Fault } from "./fault.ts";
import { ensurePrivateFolder } from "./private-folder.ts";
import { sha256Hex } from "./sha256.ts";

const MAX_FILE_BYTES = 128;

/**
 * Returns the file of an agent in a data folder. `where` names the node or fleet to which the name belongs, and
 * the way in where that makes another caller. Throws Fault `invalid_input` for what is no name.
 */
export function handleFile(dataDir: string, where: readonly string[], name: string): string {
  if (!AGENT_NAME.test(name)) {
    throw new Fault("invalid_input", `${JSON.stringify(name.slice(0, 80))} is not the name of an agent`, {
      hint: "A name has 1 to 64 letters, digits, dots, underscores or hyphens, the first a letter or digit.",
    });
  }
  const place = sha256Hex(JSON.stringify(where)).slice(0, 12);
  return join(dataDir, "agents", `${foldedAgentName(name)}-${place}`);
}

/** Returns the handle in a file; undefined where there is no file. Throws Fault `data_unsafe`, without its content. */
export function readHandle(path: string): string | undefined {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return undefined;
  if (
    !found.isFile() ||
    found.size > MAX_FILE_BYTES ||
    found.uid !== process.getuid?.() ||
    (found.mode & 0o077) !== 0
  ) {
    throw new Fault("data_unsafe", `${path} is no small file that this user alone can read`, {
      hint: `Close it with chmod 600 ${path}, or remove it and register the agent again.`,
    });
  }
  const text = readFileSync(path, "utf8").trim();
  if (isHandle(text)) return text;
  throw new Fault("data_unsafe", `${path} does not hold the handle of an agent`, {
    hint: "Remove it and register the agent again.",
  });
}

/** Makes the folder of a file, so that a handle that is about to be registered can be kept. Throws `data_unsafe`. */
export function prepareHandleFile(path: string): void {
  ensurePrivateFolder(dirname(path));
}

/** Writes a handle in place of an earlier one. Throws Fault `data_unsafe`. */
export function writeHandle(path: string, handle: string): void {
  prepareHandleFile(path);
  writeAtomic(path, `${handle}\n`, { shared: true });
}
