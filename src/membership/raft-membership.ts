// Between a full member and its raft half: who is let in and which timing it keeps go there, its state comes back. What changes in raft's configuration is the steward's.

import { fleetValue, type Member, type Members, PROFILES, type Profile } from "../fleet/index.ts";
import type { LogLine } from "../observe/logging.ts";
import type { Store } from "../store/store.ts";
import type { RaftHost, RaftState } from "../tailnet/index.ts";
import { raftMembersOf } from "./views.ts";

/** With which timing raft begins: what the fleet says, else the setting. */
export function profileOf({ reader }: Store, setting: Profile): Profile {
  const found = fleetValue(reader, "fleet_profile");
  return PROFILES.find((profile) => profile === found) ?? setting;
}

export interface RaftMembershipOptions {
  host: RaftHost;
  members: Members;
  /** Members as this node was told when it was let in, until its store has them. */
  knownMembers: readonly Member[];
  /** The timing that the fleet keeps now. */
  profile: () => Profile;
  line: LogLine;
}

export class RaftMembership {
  readonly #options: RaftMembershipOptions;
  #state: RaftState | undefined;
  #membersTold: Promise<void> = Promise.resolve();
  /** The timing it was told last; "" makes it be told again. */
  #profileTold: string;

  constructor(options: RaftMembershipOptions) {
    this.#options = options;
    this.#profileTold = options.profile();
  }

  /** As it was when last looked at; undefined before. */
  state(): RaftState | undefined {
    return this.#state;
  }

  /** Answers what raft said; undefined where it says nothing, as before the log is connected. */
  async refresh(): Promise<RaftState | undefined> {
    const found = await this.#options.host.raftState().catch(() => undefined);
    if (found !== undefined) this.#state = found;
    return found;
  }

  /** Resolves when it knows the members that it was told last. */
  membersSent(): Promise<void> {
    return this.#membersTold;
  }

  /** One after the other, so that it never ends with an older list. */
  sendMembers(): void {
    const { host, members, line, knownMembers } = this.#options;
    const list = members.list().length === 0 ? knownMembers : members.list();
    this.#membersTold = this.#membersTold
      .then(() => host.raftMembers(raftMembersOf(list)))
      .catch((error: unknown) => line("warning", `telling raft who the members are: ${String(error)}`));
  }

  /** Where the fleet's timing is no longer the one it was told. */
  sendProfile(): void {
    const { host, line } = this.#options;
    const profile = this.#options.profile();
    if (profile === this.#profileTold) return;
    this.#profileTold = profile;
    host.raftChange({ do: "profile", profile }).catch((error: unknown) => {
      this.#profileTold = "";
      line("warning", `setting raft's profile: ${String(error)}`);
    });
  }
}
