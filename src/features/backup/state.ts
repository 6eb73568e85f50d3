// What a node remembers of its backups, in `<data>/backups.json`: who it is as a maker, the last good one and the last failure. Lost or damaged, it begins anew as another maker: its backups of before stay, until a person removes them.

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

/** The last good backup. */
export type Made = z.infer<typeof made>;

const shape = z.object({
  format: z.literal(1),
  maker: z.string().regex(/^[0-9a-f]{8}$/),
  /** When this data folder was first looked after. */
  since_ms: z.number(),
  made: made.nullable(),
  /** Name of the newest one that is in the bucket, and when it got there. */
  sent: z.object({ name: z.string(), at_ms: z.number() }).nullable(),
  failed: z.object({ reason: z.string(), at_ms: z.number(), times: z.number().int() }).nullable(),
});

/** What is remembered. */
export type State = z.infer<typeof shape>;

/** Reads the state of a data folder, or begins one. */
export function readState(dataDir: string, nowMs: number): State {
  try {
    return shape.parse(JSON.parse(readFileSync(pathOf(dataDir), "utf8")));
  } catch {
    const maker = randomBytes(4).toString("hex");
    const fresh: State = { format: 1, maker, since_ms: nowMs, made: null, sent: null, failed: null };
    writeState(dataDir, fresh);
    return fresh;
  }
}

/** Writes the state, whole or not at all. */
export function writeState(dataDir: string, state: State): void {
  writeAtomic(pathOf(dataDir), `${JSON.stringify(state, null, 2)}\n`);
}

function pathOf(dataDir: string): string {
  return join(dataDir, "backups.json");
}
