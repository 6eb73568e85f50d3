// Makes or checks a folder that only this uid may use (security.md 21): mode 0700, owned by this uid, on a path that no
// other user can change.

import { lstatSync, mkdirSync } from "node:fs";
import { Fault } from "./fault.ts";
import { reasonOf } from "./reason-of.ts";

/** Ensures that `path` is a folder of this uid that others cannot write. Throws Fault `data_unsafe` otherwise. */
export function ensurePrivateFolder(path: string): void {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw new Fault("data_unsafe", `Cannot make the folder ${path}: ${reasonOf(cause)}`, {
      hint: "Choose another place with --data, or mend its permissions.",
      cause,
    });
  }
  const found = lstatSync(path);
  if (!found.isDirectory()) {
    throw new Fault("data_unsafe", `${path} is not a folder (a symbolic link is not followed)`, {
      hint: "Name the real folder.",
    });
  }
  const uid = process.getuid?.();
  if (uid !== undefined && found.uid !== uid) {
    throw new Fault(
      "data_unsafe",
      `The folder ${path} belongs to uid ${found.uid}, and this process runs as uid ${uid}`,
      {
        hint: `Run as its owner, or change the owner with chown -R ${uid} ${path}.`,
      },
    );
  }
  if ((found.mode & 0o022) !== 0) {
    throw new Fault("data_unsafe", `Others can write the folder ${path} (mode ${(found.mode & 0o777).toString(8)})`, {
      hint: `Close it with chmod 700 ${path}.`,
    });
  }
}
