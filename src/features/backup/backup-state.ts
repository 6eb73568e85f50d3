// What a node remembers of its backups, in `<data>/backups.json`: its maker id, the last good backup and the last
// failure. If the file is lost or damaged, the node gets a new maker id, and a person has to remove the older backups.

import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { writeAtomic } from "../../lib/atomic-file.ts";

const made = z.object({
  name: z.string(),
  at_ms: z.number(),
  position: z.string(),
  bytes: z.number().int(),
  contexts: z.number().int(),
  sha256: z.string(),
});

/** A good backup. */
export type MadeBackup = z.infer<typeof made>;

const shape = z.object({
  format: z.literal(1),
  maker: z.string().regex(/^[0-9a-f]{8}$/),
  /** When this state was created, Unix time in ms. */
  since_ms: z.number(),
  made: made.nullable(),
  /** The newest backup in the bucket, and when it was uploaded. */
  sent: z.object({ name: z.string(), at_ms: z.number() }).nullable(),
  failed: z.object({ reason: z.string(), at_ms: z.number(), times: z.number().int() }).nullable(),
});

/** The state of one data folder. */
export type BackupState = z.infer<typeof shape>;

/** Reads the state of a data folder, or creates it. */
export function readState(dataDir: string, nowMs: number): BackupState {
  try {
    return shape.parse(JSON.parse(readFileSync(pathOf(dataDir), "utf8")));
  } catch {
    const maker = randomBytes(4).toString("hex");
    const fresh: BackupState = { format: 1, maker, since_ms: nowMs, made: null, sent: null, failed: null };
    writeState(dataDir, fresh);
    return fresh;
  }
}

/** Writes the state atomically. */
export function writeState(dataDir: string, state: BackupState): void {
  writeAtomic(pathOf(dataDir), `${JSON.stringify(state, null, 2)}\n`);
}

function pathOf(dataDir: string): string {
  return join(dataDir, "backups.json");
}
