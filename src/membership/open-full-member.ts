// Opens the membership of a full member in a start: resumes it or joins first, and stops the node where the data folder
// is a copy.

import type { Access } from "../access/access.ts";
import type { Members } from "../fleet/index.ts";
import type { RaftLog } from "../log/engine/raft/index.ts";
import { logFor } from "../observe/logging.ts";
import type { PeerServer } from "../peer/server.ts";
import type { Store } from "../store/store.ts";
import type { RaftHost } from "../tailnet/index.ts";
import { CopiedFolderCheck } from "./copied-folder.ts";
import { joinFault, stopAfterLeaving } from "./exit-faults.ts";
import type { MemberStart, RunningMember } from "./fleet-view.ts";
import { FullMember } from "./full-member.ts";
import { joinAsMember } from "./join.ts";
import type { PeerConnection } from "./peer-connection.ts";
import { type JoinTarget, plannedRole } from "./plan.ts";

/** The parts of a full member that its membership works on. */
export interface FullMemberParts {
  store: Store;
  log: RaftLog;
  access: Access;
  members: Members;
  link: PeerConnection;
  peerServer: PeerServer;
  /** Returns the names of backups in this node's folder that were made before the change `seq`, newest first. */
  backupsBefore: (seq: number) => readonly string[];
  /** Returns the name of the newest backup of this node; "": none. */
  lastBackup: () => string;
}

export interface FullMemberStart extends MemberStart {
  parts: FullMemberParts;
  host: RaftHost;
  /** Where the Go half makes raft.sock. */
  socketPath: string;
}

/** Opens the member. From now on it answers its peers; joining begins once the tailnet serves. */
export function openFullMember(start: FullMemberStart): RunningMember {
  return new RunningFullMember(start);
}

class RunningFullMember implements RunningMember {
  readonly fleet: FullMember;
  readonly #start: FullMemberStart;
  readonly #copiedFolder: CopiedFolderCheck;
  readonly #stop = new AbortController();
  #joining: Promise<void> | undefined;

  constructor(start: FullMemberStart) {
    const { loaded, plan, parts, tailnet, node, onFatal } = start;
    const { settings } = loaded;
    const dataDir = settings.data;
    const peers = () => tailnet.peers();
    this.#start = start;
    this.#copiedFolder = new CopiedFolderCheck({ dataDir, file: plan.file, node, peers, onFatal });
    this.fleet = new FullMember({
      ...start,
      ...parts,
      settings,
      peers,
      line: logFor("fleet"),
      role: plannedRole(plan, settings.role),
      knownMembers: plan.file?.members ?? [],
      onLeft: (name) => stopAfterLeaving(dataDir, name, onFatal),
      onCopied: (member) => void this.#copiedFolder.stop(member),
    });
    this.fleet.serve();
    if (plan.joinTarget === undefined) this.fleet.start();
  }

  up(): void {
    const { joinTarget } = this.#start.plan;
    if (this.#copiedFolder.check()) return;
    if (joinTarget !== undefined) {
      this.#joining ??= this.#join(joinTarget);
      return;
    }
    this.fleet.up();
    this.fleet.scan();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await Promise.all([this.fleet.stop(), this.#joining]);
  }

  async #join(target: JoinTarget): Promise<void> {
    const { loaded, parts, tailnet, conditions, onFatal } = this.#start;
    try {
      await joinAsMember({
        ...this.#start,
        target,
        dataDir: loaded.settings.data,
        link: parts.link,
        peers: () => tailnet.peers(),
        log: parts.log,
        signal: this.#stop.signal,
      });
      this.fleet.start();
      this.fleet.up();
    } catch (error) {
      if (!this.#stop.signal.aborted) onFatal(joinFault(error, conditions));
    }
  }
}
