// The raft member in the Go half, as the channel controls it (native/PROTOCOL.md). Usable before `up`. Entries travel
// over raft.sock, not here.

import type { RaftState } from "./protocol.ts";

/** Timing profile of a fleet (replication.md 23). */
export type RaftProfile = "lan" | "home" | "wan";

/** A full member: raft server, StableNodeID of its device, and whether it may order entries. */
export interface RaftMember {
  server: string;
  node: string;
  voter: boolean;
}

export interface RaftOpenParams {
  /** The raft folder, made 0700 where it is missing. */
  folder: string;
  /** Where raft.sock is made (0600), in a folder with mode 0700; at most 103 bytes. */
  socket: string;
  /** The fleet's id and epoch; members of other fleets are refused. */
  fleet: string;
  epoch: string;
  profile: RaftProfile;
  /** Begin a fleet of one, unless the folder holds a fleet already. */
  bootstrap: boolean;
  /** Who is admitted; a joiner gives the voters that admitted it. */
  members: readonly RaftMember[];
}

/**
 * `previous` is `configuration` of the state that the change was decided upon; a transfer without `server` goes to the
 * most current voter. `refuse` names the servers whose calls are refused from now on, votes included.
 */
export type RaftChange =
  | { do: "add" | "promote" | "demote" | "remove"; server: string; previous: number }
  | { do: "transfer"; server?: string }
  | { do: "profile"; profile: RaftProfile }
  | { do: "refuse"; servers: readonly string[] };

/**
 * Runs at most one raft member. Calls reject with a Fault whose `details.tailnetCode` is the channel's code:
 * `not_leader`, `changed`, `not_up`.
 */
export interface RaftHost {
  /**
   * Makes the socket and returns the server id of this folder. The member starts when the log connects to the socket.
   */
  raftOpen(params: RaftOpenParams): Promise<{ server: string }>;
  /** Replaces the list of members; connections of former members end. */
  raftMembers(members: readonly RaftMember[]): Promise<void>;
  /** Returns the member's state. Refused as `unavailable` (`not_up`) until the log is connected. */
  raftState(): Promise<RaftState>;
  /** Makes one change. Resolves when it is committed; only a leader can, except for `profile` and `refuse`. */
  raftChange(change: RaftChange): Promise<void>;
  /** Ends the member; a leader hands over first. Safe to call when none is open. */
  raftClose(): Promise<void>;
}
