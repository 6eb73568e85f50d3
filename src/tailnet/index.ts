// The entry point of tailnet/: `openTailnet` starts the Go half (library or sidecar), `LoopbackTailnet` needs none.

import { join } from "node:path";
import { type Artifact, type Engine, nativeArtifact } from "./embedded.ts";
import { openLibrary } from "./native.ts";
import type { RaftHost } from "./raft-host.ts";
import { openSidecar } from "./sidecar.ts";
import type { Tailnet, TailnetLog } from "./tailnet.ts";

export type { Artifact, Engine } from "./embedded.ts";
export { LoopbackTailnet } from "./loopback.ts";
export type { CallerWire, LogLevel, Peer, RaftState, Status, UpParams } from "./protocol.ts";
export { caller } from "./protocol.ts";
export type { RaftChange, RaftHost, RaftMember, RaftOpenParams, RaftProfile } from "./raft-host.ts";
export type { ListenOptions, Tailnet, TailnetEvents, TailnetLog } from "./tailnet.ts";

export interface OpenTailnetOptions {
  /** Default: the engine that this executable carries; from source the library. */
  engine?: Engine;
  /** The node's data folder; the native file goes to `<dataDir>/lib/<sha256>.so`. */
  dataDir: string;
  /** Tried as `<runtimeDir>/lib` where nothing may be executed in the data folder. */
  runtimeDir?: string;
  /** Another native file, for tests. */
  artifact?: Artifact;
  log: TailnetLog;
}

/**
 * Starts the Go half and waits for its greeting. It is a tailnet node once `up` is called, and can run a raft member
 * without it. Fault `library_failed` with a hint. Add listeners before `up`.
 */
export async function openTailnet(options: OpenTailnetOptions): Promise<Tailnet & RaftHost> {
  const artifact = options.artifact ?? (await nativeArtifact(options.engine));
  const folders = [options.dataDir, ...(options.runtimeDir === undefined ? [] : [options.runtimeDir])];
  const open = artifact.engine === "library" ? openLibrary : openSidecar;
  return open(
    artifact,
    folders.map((folder) => join(folder, "lib")),
    options.log,
  );
}
