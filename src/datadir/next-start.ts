// What is asked of the next start, since only a start holds nothing open: to join a fleet (`join.json`), to set its data aside (`set-aside.json`). Written whole, and removed once it is done.

import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { ROLES } from "../fleet/index.ts";
import { flush, writeAtomic } from "../lib/atomic-file.ts";
import { Fault } from "../lib/fault.ts";
import { quarantineData } from "./quarantine.ts";

const joinRequestShape = z.object({
  place: z.string().min(1).max(256),
  fleet: z.string().optional(),
  fleetId: z.string().optional(),
  role: z.enum(ROLES).optional(),
  ticket: z.string().optional(),
  discard: z.boolean().optional(),
});

/** What `cairn join` leaves for the next start, and what a node leaves that has to come back as a new server. */
export type JoinRequest = z.infer<typeof joinRequestShape>;

const quarantineShape = z.object({ why: z.string(), rejoin: joinRequestShape.optional() });

const JOIN_FILE = "join.json";
const QUARANTINE_FILE = "set-aside.json";

/** The join that was asked for, if one was. Fault `data_corrupt` for a file that cannot be read. */
export function readJoinRequest(dataDir: string): JoinRequest | undefined {
  return readJson(join(dataDir, JOIN_FILE), joinRequestShape);
}

/** Asks the next start to join; what is there is replaced. */
export function writeJoinRequest(dataDir: string, request: JoinRequest): void {
  writeJson(join(dataDir, JOIN_FILE), request);
}

/** The node is a member now. */
export function clearJoinRequest(dataDir: string): void {
  rmSync(join(dataDir, JOIN_FILE), { force: true });
}

/** What was asked of the next start was asked of other data than it will find: of those before a restore or a recovery. */
export function clearRequests(dataDir: string): void {
  for (const name of [JOIN_FILE, QUARANTINE_FILE]) rmSync(join(dataDir, name), { force: true });
}

/** Asks the next start to set store and raft folder aside, and perhaps to join again. */
export function requestQuarantine(dataDir: string, why: string, rejoin?: JoinRequest): void {
  writeJson(join(dataDir, QUARANTINE_FILE), { why, ...(rejoin === undefined ? {} : { rejoin }) });
}

/** Does what `requestAside` asked for; the data folder is locked and nothing of it is open. Answers lines for the terminal. */
export function runRequestedQuarantine(data: string, nowMs: () => number): string[] {
  const asked = readJson(join(data, QUARANTINE_FILE), quarantineShape);
  if (asked === undefined) return [];
  // Asked for first, so that a start which ends in between asks again.
  if (asked.rejoin !== undefined) writeJoinRequest(data, asked.rejoin);
  const kept = quarantineData(data, asked.why, nowMs());
  rmSync(join(data, QUARANTINE_FILE), { force: true });
  // What is made from now on must not be set aside by a request that comes back after a loss of power.
  flush(data);
  return kept === undefined ? [] : [`${asked.why}; what this node held is kept in ${kept}`];
}

function readJson<T>(path: string, shape: z.ZodType<T>): T | undefined {
  if (!existsSync(path)) return undefined;
  try {
    return shape.parse(JSON.parse(readFileSync(path, "utf8")));
  } catch (cause) {
    throw new Fault("data_corrupt", `${path} cannot be read`, { hint: "Remove it, then start again.", cause });
  }
}

function writeJson(path: string, value: unknown): void {
  writeAtomic(path, `${JSON.stringify(value, null, 2)}\n`);
}
