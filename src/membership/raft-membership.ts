// Adapter between the members table and the raft process in the Go half: sends the allowed members and the timing
// profile, keeps raft's newest state. Changes of raft's configuration are the steward's.

import type { Member, Members, Profile } from "../fleet/index.ts";
import type { LogLine } from "../observe/logging.ts";
import type { RaftHost, RaftState } from "../tailnet/index.ts";

export interface RaftMembershipOptions {
  host: RaftHost;
  members: Members;
  /** The members as they were at admission, used until the store has them. */
  knownMembers: readonly Member[];
  /** The fleet's timing profile now. */
  profile: () => Profile;
  line: LogLine;
}

/** One full member's connection to its raft process. */
export class RaftMembership {
  readonly #options: RaftMembershipOptions;
  #state: RaftState | undefined;
  #membersSent: Promise<void> = Promise.resolve();
  /** The profile that was sent last; "" sends it again. */
  #profileSent: string;
  /** The servers that were refused last, in one text. */
  #refusedSent = "";

  constructor(options: RaftMembershipOptions) {
    this.#options = options;
    this.#profileSent = options.profile();
  }

  /** Returns the state that was read last; undefined before the first. */
  state(): RaftState | undefined {
    return this.#state;
  }

  /** Reads the state. Resolves with undefined where raft cannot say, such as before the log is connected. */
  async refresh(): Promise<RaftState | undefined> {
    const found = await this.#options.host.raftState().catch(() => undefined);
    if (found !== undefined) this.#state = found;
    return found;
  }

  /** Resolves when raft has the newest list of members. */
  membersSent(): Promise<void> {
    return this.#membersSent;
  }

  /** Sends the members. Calls follow one another, so that an older list never overwrites a newer one. */
  sendMembers(): void {
    const { host, members, line, knownMembers } = this.#options;
    const list = members.list().length === 0 ? knownMembers : members.list();
    this.#membersSent = this.#membersSent
      .then(() => host.raftMembers(raftMembersOf(list)))
      .catch((error: unknown) => line("warning", `sending raft the list of members: ${String(error)}`));
  }

  /** Makes raft refuse every call of these servers, votes included, in place of those named before. */
  refuse(servers: readonly string[]): void {
    const { host, line } = this.#options;
    const text = servers.join();
    if (text === this.#refusedSent) return;
    this.#refusedSent = text;
    line("warning", `raft refuses ${text === "" ? "no server any more" : `the servers ${text}`}: their state is wrong`);
    host.raftChange({ do: "refuse", servers }).catch((error: unknown) => {
      this.#refusedSent = "";
      line("warning", `refusing servers: ${String(error)}`);
    });
  }

  /** Sends the profile if it has changed. */
  sendProfile(): void {
    const { host, line } = this.#options;
    const profile = this.#options.profile();
    if (profile === this.#profileSent) return;
    this.#profileSent = profile;
    host.raftChange({ do: "profile", profile }).catch((error: unknown) => {
      this.#profileSent = "";
      line("warning", `setting raft's profile: ${String(error)}`);
    });
  }
}

/** Returns the members that the Go half admits on the raft port: all that have a raft server. */
export function raftMembersOf(members: readonly Member[]): { server: string; node: string; voter: boolean }[] {
  return members
    .filter(({ server }) => server !== "")
    .map(({ server, node, role }) => ({ server, node, voter: role === "central" }));
}
