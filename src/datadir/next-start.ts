// Requests to the next start, the only moment at which nothing of the data is open: to join a fleet (`join.json`) and
// to give data up (`set-aside.json`). Written atomically, removed once done.

import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { ROLES } from "../fleet/index.ts";
import { flush, writeAtomic } from "../lib/atomic-file.ts";
import { Fault } from "../lib/fault.ts";
import { DATA_FOLDERS, quarantineData } from "./quarantine.ts";
import { retireData } from "./retire.ts";

const joinRequestShape = z.object({
  place: z.string().min(1).max(256),
  fleet: z.string().optional(),
  fleetId: z.string().optional(),
  role: z.enum(ROLES).optional(),
  ticket: z.string().optional(),
  discard: z.boolean().optional(),
});

/** Written by `cairn join`, and by a node that has to come back as a new server. */
export type JoinRequest = z.infer<typeof joinRequestShape>;

const quarantineShape = z.object({
  why: z.string(),
  rejoin: joinRequestShape.optional(),
  /** Only the store is given up: the member keeps its raft folder and waits for a copy. */
  storeOnly: z.boolean().optional(),
});

const JOIN_FILE = "join.json";
const QUARANTINE_FILE = "set-aside.json";

/** Returns the requested join, if there is one. Fault `data_corrupt` for an unreadable file. */
export function readJoinRequest(dataDir: string): JoinRequest | undefined {
  return readJson(join(dataDir, JOIN_FILE), joinRequestShape);
}

/** Requests a join; replaces an earlier request. */
export function writeJoinRequest(dataDir: string, request: JoinRequest): void {
  writeJson(join(dataDir, JOIN_FILE), request);
}

/** Removes the request, once the node is a member. */
export function clearJoinRequest(dataDir: string): void {
  rmSync(join(dataDir, JOIN_FILE), { force: true });
}

/** Removes all requests: they were about the data before a restore or a recovery. */
export function clearRequests(dataDir: string): void {
  for (const name of [JOIN_FILE, QUARANTINE_FILE]) rmSync(join(dataDir, name), { force: true });
}

/**
 * Requests that the next start moves store and raft folder to aside/; with `rejoin` that it retires them (retire.ts)
 * and joins again.
 */
export function requestQuarantine(dataDir: string, why: string, rejoin?: JoinRequest): void {
  writeJson(join(dataDir, QUARANTINE_FILE), { why, ...(rejoin === undefined ? {} : { rejoin }) });
}

/** Requests that the next start retires the store: the member keeps its vote and waits for a copy. */
export function requestStoreDrop(dataDir: string, why: string): void {
  writeJson(join(dataDir, QUARANTINE_FILE), { why, storeOnly: true });
}

/**
 * Does what `requestQuarantine` or `requestStoreDrop` asked for. The data folder is locked and nothing in it is open.
 * Returns lines for the terminal.
 */
export function runRequestedQuarantine(data: string, nowMs: () => number): string[] {
  const asked = readJson(join(data, QUARANTINE_FILE), quarantineShape);
  if (asked === undefined) return [];
  // The join is requested first, so that a start that ends in between requests it again.
  if (asked.rejoin !== undefined) writeJoinRequest(data, asked.rejoin);
  const kept = moveData(data, asked, nowMs());
  rmSync(join(data, QUARANTINE_FILE), { force: true });
  // After a loss of power the request must not come back and move what is made from now on.
  flush(data);
  return kept === undefined ? [] : [`${asked.why}; what this node held is kept in ${kept}`];
}

function moveData(
  data: string,
  { why, rejoin, storeOnly }: z.infer<typeof quarantineShape>,
  nowMs: number,
): string | undefined {
  if (storeOnly === true) return retireData(data, why, ["store"]);
  return rejoin === undefined ? quarantineData(data, why, nowMs) : retireData(data, why, DATA_FOLDERS);
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
