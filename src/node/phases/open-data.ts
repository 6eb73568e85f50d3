// First phase of a start: takes the data folder, decides what to do about fleets, makes the sockets' folder, and begins
// to load the Go half.

import { rmSync } from "node:fs";
import { join } from "node:path";
import { type SocketPaths, socketPaths } from "../../config/paths.ts";
import {
  prepareDataFolder,
  prepareSockets,
  refuseBrokenRecovery,
  refuseBrokenRestore,
  refuseLostStore,
} from "../../datadir/index.ts";
import { type FleetPlan, mayGetCopy, planFleet } from "../../membership/index.ts";
import { logFor } from "../../observe/logging.ts";
import { lockDataFolder } from "../../store/lock.ts";
import type { RaftHost, Tailnet } from "../../tailnet/index.ts";
import type { StartContext } from "../start-context.ts";
import { loadGoHalf } from "../tailnet/go-half.ts";

/** The sockets of a node: those of its folder, and those between its two halves. */
export interface NodeSockets extends SocketPaths {
  /** Requests of peers, from the Go half. */
  peers: string;
  /** Requests to peers and to the host's network, to the Go half. */
  egress: string;
  /** Entries of the replicated log. */
  raft: string;
}

/** What the first phase hands on. */
export interface OpenedData {
  /** What to do about fleets; undefined on a node without a tailnet. */
  plan: FleetPlan | undefined;
  sockets: NodeSockets;
  /** Mode and group of the local socket. */
  access: { mode: number; gid: number | undefined };
  /** The Go half, loading in parallel with the next phase; undefined where neither log nor tailnet needs it. */
  goHalf: Promise<Tailnet & RaftHost> | undefined;
}

/** Opens the data folder. Faults `data_unsafe`, `data_locked`, `data_corrupt`, `data_exists`, `config_invalid`. */
export function openData(start: StartContext): OpenedData {
  const { options, settings, closers, log } = start;
  // Before anything is written, so that nothing is readable by others.
  process.umask(0o077);
  for (const warning of options.loaded.warnings) log("warning", warning);
  for (const note of options.loaded.notes) log("info", note);
  const mended = prepareDataFolder(settings.data);
  if (mended !== undefined) log("warning", mended);
  refuseBrokenRestore(settings.data);
  const lock = lockDataFolder(settings.data);
  closers.add("data lock", () => lock.release());
  refuseBrokenRecovery(settings.data);
  const plan = start.ownTailnet ? planFleet(options.loaded, options.secrets, start.nowMs) : undefined;
  for (const text of plan?.lines ?? []) options.report({ event: "fleet", text });
  refuseLostStore(settings.data, mayGetCopy(settings.data));

  const paths = socketPaths(settings.data, options.env);
  const access = prepareSockets(paths, settings["cli.group"]);
  closers.add("sockets", () => rmSync(paths.folder, { recursive: true, force: true }));
  const internal = (name: string): string => join(paths.internal, name);
  const sockets = {
    ...paths,
    peers: internal("peer.sock"),
    egress: internal("egress.sock"),
    raft: internal("raft.sock"),
  };
  return { plan, sockets, access, goHalf: beginGoHalf(start, paths.internal) };
}

function beginGoHalf(start: StartContext, runtimeDir: string): OpenedData["goHalf"] {
  const { settings, closers, failure } = start;
  if (start.engine !== "raft" && !start.ownTailnet) return undefined;
  return loadGoHalf({
    settings,
    runtimeDir,
    log: logFor("tailnet"),
    closers,
    onFatal: (fault) => failure.report(fault),
  });
}
