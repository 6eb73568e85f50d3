// Decides what the leader changes next in raft's configuration so that it follows the members table: one step at a
// time, from facts alone, without a clock (replication.md 19).

import type { RaftState } from "../../tailnet/index.ts";
import type { Member } from "../rows.ts";

/** What the leader knows of a server besides the table. */
export interface ServerFacts {
  /** It responded within the last seconds. */
  alive: boolean;
  /** It has not responded for so long that it may be replaced. */
  lost: boolean;
  /** Consecutive checks at which it had applied what was committed at the check before. */
  keptUp: number;
  /** Index of the newest raft configuration that it has. */
  configuration: number;
}

export interface Situation {
  state: RaftState;
  members: readonly Member[];
  facts: (server: string) => ServerFacts;
}

/** One step of the leader. */
export type Step =
  | { do: "add" | "promote" | "demote" | "remove"; server: string; why: string }
  | { do: "transfer"; server: string; why: string }
  | { do: "forget"; node: string; server: string; why: string };

/** Maximum number of voters (replication.md 25). */
const MAX_VOTERS = 5;
/** Checks at which a joiner must have kept up before it votes. */
const KEPT_UP = 3;

/** Returns the next step; undefined if raft matches the table, or nothing is safe to do now. */
export function nextStep(situation: Situation): Step | undefined {
  return added(situation) ?? demoted(situation) ?? promoted(situation) ?? removed(situation) ?? forgotten(situation);
}

/** Returns the largest odd number that is at most the number of centrals and at most five. */
export function voterCount(centrals: number): number {
  const most = Math.min(MAX_VOTERS, centrals);
  return most % 2 === 1 ? most : Math.max(most - 1, 0);
}

/** Returns the servers that should vote: present voters first, lost ones after standbys that keep up. */
export function wantedVoters({ state, members, facts }: Situation): readonly string[] {
  const voters = new Set(votersOf(state));
  const centrals = members.filter(
    ({ role, state: row, server }) =>
      // A central that does not vote and is lost does not count: the others would wait for it with an even number of
      // voters.
      role === "central" && row === "active" && server !== "" && (voters.has(server) || !facts(server).lost),
  );
  // Before a fleet of one has written its founder's row, nothing is changed.
  if (centrals.length === 0) return [...voters];
  const rank = ({ server }: Member): number => {
    // A leader that may vote stays a voter: each change of the leader is a pause.
    if (server === state.server && voters.has(server)) return -1;
    const { lost, alive, keptUp } = facts(server);
    if (voters.has(server) && !lost) return 0;
    if (alive && keptUp >= KEPT_UP) return 1;
    return voters.has(server) ? 2 : 3;
  };
  return centrals
    .map((member, index) => ({ server: member.server, rank: rank(member), index }))
    .sort((one, other) => one.rank - other.rank || one.index - other.index)
    .slice(0, voterCount(centrals.length))
    .map(({ server }) => server);
}

function added({ state, members }: Situation): Step | undefined {
  const known = new Set(state.members.map(({ server }) => server));
  const missing = members.find(({ server, state: row }) => server !== "" && row === "active" && !known.has(server));
  if (missing === undefined) return undefined;
  return { do: "add", server: missing.server, why: `${missing.name} joined` };
}

function demoted(situation: Situation): Step | undefined {
  const { state, facts, members } = situation;
  const wanted = wantedVoters(situation);
  const voters = votersOf(state);
  const extra = voters.filter((server) => !wanted.includes(server));
  // The next leader continues with the other voters.
  const next = voters.find((server) => wanted.includes(server) && server !== state.server && facts(server).alive);
  if (extra.includes(state.server) && next !== undefined)
    return { do: "transfer", server: next, why: "this node is not to vote any more" };
  const isActive = (server: string) => members.some((each) => each.server === server && each.state === "active");
  // First those that are gone or leaving, then those that are too many.
  const order = (server: string): number => (facts(server).alive && isActive(server) ? 1 : 0);
  for (const server of extra.sort((one, other) => order(one) - order(other))) {
    const rest = voters.filter((each) => each !== server);
    if (server === state.server || !mostAlive(rest, facts)) continue;
    return { do: "demote", server, why: whyNot(server, members, facts) };
  }
  return undefined;
}

function promoted(situation: Situation): Step | undefined {
  const { state, facts } = situation;
  const wanted = wantedVoters(situation);
  const voters = votersOf(state);
  const ready = state.members
    .filter(({ server, voter }) => !voter && wanted.includes(server))
    .map(({ server }) => server)
    .filter((server) => facts(server).alive && facts(server).keptUp >= KEPT_UP);
  const [first] = ready;
  const staying = voters.filter((server) => wanted.includes(server));
  // An even number of voters tolerates no more failures than one voter less. Promote only if the final number is odd.
  const reached = voterCount(staying.length + ready.length);
  if (first === undefined || reached <= staying.length) return undefined;
  // A voter that still knows the candidate as a non-voter would refuse it its vote, so all have the newest
  // configuration first. A long-lost voter gives no vote anyway.
  const everyone = [...voters.filter((server) => server !== state.server && !facts(server).lost), first];
  if (everyone.some((server) => facts(server).configuration < state.configuration)) return undefined;
  return { do: "promote", server: first, why: "it kept up" };
}

function removed({ state, members }: Situation): Step | undefined {
  const active = new Set(members.filter((member) => member.state === "active").map(({ server }) => server));
  const gone = state.members.find(({ server, voter }) => !voter && !active.has(server) && server !== state.server);
  return gone === undefined ? undefined : { do: "remove", server: gone.server, why: "it is no member any more" };
}

function forgotten({ state, members }: Situation): Step | undefined {
  const known = new Set(state.members.map(({ server }) => server));
  const left = members.find((member) => member.state === "leaving" && !known.has(member.server));
  if (left === undefined) return undefined;
  return { do: "forget", node: left.node, server: left.server, why: `${left.name} has left` };
}

function votersOf(state: RaftState): string[] {
  return state.members.filter(({ voter }) => voter).map(({ server }) => server);
}

function mostAlive(servers: readonly string[], facts: Situation["facts"]): boolean {
  return servers.filter((server) => facts(server).alive).length > servers.length / 2;
}

function whyNot(server: string, members: readonly Member[], facts: Situation["facts"]): string {
  const member = members.find((each) => each.server === server);
  if (member === undefined) return "it is no member any more";
  if (member.state === "leaving") return `${member.name} is leaving`;
  return facts(server).lost ? `${member.name} has not responded for ten minutes` : "the number of voters stays odd";
}
