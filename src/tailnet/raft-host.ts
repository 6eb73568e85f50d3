// The raft member in the Go half, as the channel drives it (native/PROTOCOL.md): usable before `up`. Entries do not cross here but over raft.sock.

import type { RaftState } from "./protocol.ts";

/** Timing of a fleet (replication.md 23). */
export type RaftProfile = "lan" | "home" | "wan";

/** A member of the fleet: raft server, StableNodeID of its device, and whether it may order entries. */
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
  /** The fleet's id and the epoch: members of others are refused. */
  fleet: string;
  epoch: string;
  profile: RaftProfile;
  /** Begin a fleet of one, unless the folder has one. */
  bootstrap: boolean;
  /** Who is let in; a joiner gives the voters that admitted it. */
  members: readonly RaftMember[];
}

/** `previous` is `configuration` of the state that the change was decided upon; a transfer without `server` goes to the most current voter. */
export type RaftChange =
  | { do: "add" | "promote" | "demote" | "remove"; server: string; previous: number }
  | { do: "transfer"; server?: string }
  | { do: "profile"; profile: RaftProfile };

/** Runs at most one raft member. Calls reject with a Fault whose `details.tailnetCode` is the channel's code: `not_leader`, `changed`, `not_up`. */
export interface RaftHost {
  /** Makes the socket and answers this folder's server id; the member starts when the log connects there. */
  raftOpen(params: RaftOpenParams): Promise<{ server: string }>;
  /** Replaces the list of members; connections of those who left it end. */
  raftMembers(members: readonly RaftMember[]): Promise<void>;
  /** Refused as `unavailable` (`not_up`) until the log is connected. */
  raftState(): Promise<RaftState>;
  /** One change, done when it is committed; only a leader can, except for `profile`. */
  raftChange(change: RaftChange): Promise<void>;
  /** Ends the member, a leader after it handed over. Safe to call when none is open. */
  raftClose(): Promise<void>;
}
