// Makes or checks a folder that only this uid may use (security.md 21): mode 0700, owned by this uid, on a path that no
// other user can change.

import { lstatSync, mkdirSync, type Stats } from "node:fs";
import { dirname, resolve } from "node:path";
import { asOwner, nameOfUid } from "./accounts.ts";
import { flush } from "./atomic-file.ts";
import { Fault } from "./fault.ts";
import { fileReason } from "./reason-of.ts";

/**
 * Ensures that `path` is a folder of this uid that others cannot write. `choice` is what chooses another place, for
 * hints. Throws Fault `data_unsafe` otherwise.
 */
export function ensurePrivateFolder(path: string, choice = "--data"): void {
  try {
    makeDurably(path);
  } catch (cause) {
    throw new Fault("data_unsafe", `Cannot make the folder ${path}: ${fileReason(cause)}`, {
      hint: `Choose another place with ${choice}, or mend the permissions of this one.`,
      cause,
    });
  }
  const found = lstatSync(path);
  if (!found.isDirectory()) {
    throw new Fault("data_unsafe", `${path} is not a folder (a symbolic link is not followed)`, {
      hint: `Name the real folder with ${choice}.`,
    });
  }
  refuseOtherOwner(path, found, choice);
  if ((found.mode & 0o022) !== 0) {
    throw new Fault("data_unsafe", `Others can write the folder ${path} (mode ${(found.mode & 0o777).toString(8)})`, {
      hint: `Close it with chmod 700 ${path}.`,
    });
  }
}

/**
 * Throws Fault `data_unsafe` where this process does not run as the owner of a folder. Root is refused too: files that
 * it makes there would be closed to the owner.
 */
export function refuseOtherOwner(path: string, { uid: owner }: Pick<Stats, "uid">, choice = "--data"): void {
  const uid = process.getuid?.();
  if (uid === undefined || owner === uid) return;
  throw new Fault("data_unsafe", `The folder ${path} belongs to ${nameOfUid(owner)}, not to ${nameOfUid(uid)}`, {
    hint: `Run this as its owner (${asOwner(owner)}), or choose another place with ${choice}.`,
  });
}

/** Makes a folder and those above it, with their names on the disk when it returns. */
function makeDurably(path: string): void {
  const first = mkdirSync(path, { recursive: true, mode: 0o700 });
  if (first === undefined) return;
  const top = dirname(resolve(first));
  for (let above = dirname(resolve(path)); above.length >= top.length; above = dirname(above)) {
    flush(above);
    if (above === top) return;
  }
}
