// Decides how this node's raft member starts, and starts it: as a fleet of one, as the member that the folders belong
// to, or as a member that was admitted and has no data yet. Folders that do not belong together are refused before
// anything is changed.

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { appliedState, quarantine, type RaftLog } from "../log/engine/raft/index.ts";
import { fleetOf } from "../log/history.ts";
import type { Log } from "../log/log.ts";
import { isAlone } from "../log/meta.ts";
import type { Reader } from "../store/store.ts";
import type { RaftHost, RaftMember, RaftProfile } from "../tailnet/index.ts";

/**
 * How long a start waits for the leadership of a fleet of one, in ms without progress. It takes milliseconds, or as
 * long as reading the log; a member that never leads refuses writes instead of hanging the start.
 */
const LEAD_MS = 3_000;

/** The fleet of a member, and whether the member begins it. */
export interface EnginePlan {
  /** Fleet id. */
  fleet: string;
  epoch: string;
  bootstrap: boolean;
  /** There is no other member: it leads as soon as it runs. */
  alone: boolean;
}

const admissionShape = z.object({ fleetId: z.string(), epoch: z.string() });

/**
 * Refuses a raft folder without its store, since a start would make an empty store, unless another member can send a
 * copy (`mayGetCopy`). Fault `data_corrupt`.
 */
export function refuseLostStore(dataDir: string, mayGetCopy: boolean): void {
  const store = join(dataDir, "store");
  const record = join(dataDir, "raft", "snapshot.json");
  if (mayGetCopy || existsSync(join(store, "CURRENT")) || !existsSync(record)) return;
  throw quarantine("store_lost", `${store} is not there, and ${join(dataDir, "raft")} is of a member that had one`);
}

/**
 * Reads from the data folder how to start. Fault `data_corrupt`, as a quarantine, if store and raft folder belong to
 * different members.
 */
export function planEngine(dataDir: string, reader: Reader): EnginePlan {
  const folder = join(dataDir, "raft");
  const { server, index } = appliedState(reader);
  if (server === "") {
    const admission = join(folder, "fleet.json");
    if (existsSync(admission)) {
      // It has not received the fleet's store yet, or it gave its own up and keeps its vote (replication.md 14).
      const { fleetId, epoch } = admissionShape.parse(JSON.parse(readFileSync(admission, "utf8")));
      return { fleet: fleetId, epoch, bootstrap: false, alone: false };
    }
    if (existsSync(join(folder, "snapshot.json"))) {
      throw quarantine("other_server", `${folder} is of a member, and the store beside it was never in a fleet`);
    }
    return { ...fleetOf(reader), bootstrap: true, alone: true };
  }
  const found = serverOf(folder);
  if (found === undefined) {
    throw quarantine("raft_lost", `${folder} is not there, and the store beside it is of server ${server}`);
  }
  if (found !== server) {
    throw quarantine("other_store", `${folder} is of server ${found}, and the store beside it of ${server}`);
  }
  const alone = isAlone(reader);
  // A node that ended while it began its fleet begins it again; nothing has been written in it.
  return { ...fleetOf(reader), bootstrap: alone && index <= 1, alone };
}

function serverOf(folder: string): string | undefined {
  const path = join(folder, "server");
  return existsSync(path) ? readFileSync(path, "utf8").trim() : undefined;
}

export interface EngineStart {
  log: RaftLog;
  host: RaftHost;
  plan: EnginePlan;
  dataDir: string;
  /** Where the Go half makes raft.sock. */
  socketPath: string;
  profile: RaftProfile;
  /** Who is admitted on the raft port from the first moment; none for a fleet of one. */
  members: readonly RaftMember[];
  /** Aborts the wait for the start. */
  signal: AbortSignal;
}

/** Starts the member. Resolves when it runs; a fleet of one leads by then. */
export async function startEngine({ log, host, plan, dataDir, socketPath, profile, members, signal }: EngineStart) {
  const { fleet, epoch, bootstrap, alone } = plan;
  const folder = join(dataDir, "raft");
  await host.raftOpen({ folder, socket: socketPath, fleet, epoch, profile, bootstrap, members });
  await log.start({ socketPath, fleet, epoch, signal });
  if (alone) await leads(log, signal);
}

function leads(log: Log, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    let last = log.position().seq;
    const watch = setInterval(() => {
      const { seq } = log.position();
      if (seq === last) done();
      last = seq;
    }, LEAD_MS);
    const done = () => {
      clearInterval(watch);
      signal.removeEventListener("abort", done);
      resolve();
    };
    signal.addEventListener("abort", done, { once: true });
    const stop = log.onLeading(() => {
      // If this node leads already, the listener is called at once, before `stop` is assigned.
      queueMicrotask(() => stop());
      done();
    });
  });
}
