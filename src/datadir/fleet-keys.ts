// The keys that verify backups: read from the store of a data folder, and as a file for another machine.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { writeAtomic } from "../lib/atomic-file.ts";
import { Fault } from "../lib/fault.ts";
import { readBounded } from "../lib/read-file.ts";
import { fileReason } from "../lib/reason-of.ts";
import { type FleetKeys, fleetKeys } from "../log/fleet-key.ts";
import { dataExists } from "../store/backup.ts";
import { readStore } from "../store/inspect.ts";

const fileShape = z.object({
  cairn_backup_keys: z.record(z.string().regex(/^[0-9a-f]{32}$/), z.string().regex(/^[0-9a-f]{64}$/)),
});

const MAX_KEY_FILE_BYTES = 1024 * 1024;

/**
 * Returns the keys in the store of a data folder. None where there is no store, or one that cannot be read: a restore
 * must work there too.
 */
export function keysOfFolder(dataDir: string): FleetKeys {
  try {
    return readStore(join(dataDir, "store"), fleetKeys) ?? new Map();
  } catch (error) {
    if (error instanceof Fault) return new Map();
    throw error;
  }
}

/** Writes the keys of a data folder to a new file that only this user can read. Faults `not_found`, `data_exists`. */
export function writeKeyFile(dataDir: string, path: string): void {
  if (existsSync(path)) throw dataExists(path, "Name a file that is not there yet.");
  const keys = keysOfFolder(dataDir);
  if (keys.size === 0)
    throw new Fault("not_found", `There is no store with a key in ${dataDir}`, {
      hint: "Name the data folder of a full member with --data.",
    });
  writeAtomic(path, `${JSON.stringify({ cairn_backup_keys: Object.fromEntries(keys) }, null, 2)}\n`);
}

const NAME_A_KEY_FILE = "Name a file that `cairn backup key FILE` wrote on a full member of the fleet.";

/** Reads a key file. Fault `invalid_input`. */
export function readKeyFile(path: string): FleetKeys {
  let text: string;
  try {
    text = readBounded(path, MAX_KEY_FILE_BYTES).toString();
  } catch (cause) {
    throw new Fault("invalid_input", `Cannot read ${path}: ${fileReason(cause)}`, { hint: NAME_A_KEY_FILE, cause });
  }
  try {
    return new Map(Object.entries(fileShape.parse(JSON.parse(text)).cairn_backup_keys));
  } catch (cause) {
    throw new Fault("invalid_input", `${path} is not a key file of cairn backup key`, {
      hint: NAME_A_KEY_FILE,
      cause,
    });
  }
}
