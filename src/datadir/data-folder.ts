// The data folder itself, before anything in it is opened: makes it, or checks it and closes it to other users
// (security.md 21).

import { chmodSync, readdirSync, statSync } from "node:fs";
import { Fault } from "../lib/fault.ts";
import { ensurePrivateFolder } from "../lib/private-folder.ts";
import { fileReason } from "../lib/reason-of.ts";

/** What may be in a folder that no node has used yet, without it being the folder of something else. */
const BEFORE_FIRST_USE = new Set(["cairn.toml", "lost+found"]);

/**
 * Makes the data folder, or takes the rights of other users from it. Returns the line that says so; undefined where the
 * folder was private. Fault `data_unsafe`: it belongs to someone else or can be written by others, or it is open and
 * holds files of something else, which a change of mode could break.
 */
export function prepareDataFolder(path: string): string | undefined {
  ensurePrivateFolder(path);
  const mode = statSync(path).mode & 0o777;
  if ((mode & 0o077) === 0) return undefined;
  const shown = mode.toString(8);
  const names = readdirSync(path);
  if (!names.includes("cairn.lock") && names.some((name) => !BEFORE_FIRST_USE.has(name))) {
    throw new Fault("data_unsafe", `Others can read the folder ${path} (mode ${shown}), and it holds other files`, {
      hint: `Name a folder for the node alone with --data, or close this one with chmod 700 ${path}.`,
    });
  }
  try {
    chmodSync(path, 0o700);
  } catch (cause) {
    throw new Fault("data_unsafe", `Others can read the data folder ${path} (mode ${shown}): ${fileReason(cause)}`, {
      hint: "Choose a place with --data where this user may close a folder to others.",
      cause,
    });
  }
  return `the data folder ${path} was open to other users (mode ${shown}); it has mode 700 now`;
}
