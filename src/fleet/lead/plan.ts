// What the leader changes next in raft's configuration so that it becomes what the members table says: one step at a time, decided from facts alone, without a clock (replication.md 19).

import type { RaftState } from "../../tailnet/index.ts";
import type { Member } from "../rows.ts";

/** What the leader knows of a server beside the table. */
export interface ServerFacts {
  /** Heard within the last seconds. */
  alive: boolean;
  /** Not heard for so long that it may be replaced. */
  lost: boolean;
  /** Checks in a row in which it had applied what was committed at the check before. */
  keptUp: number;
  /** Entry of the newest raft configuration that it has. */
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

/** Voters at most (replication.md 25). */
const MAX_VOTERS = 5;
/** Checks that a newcomer must have kept up before it votes. */
const KEPT_UP = 3;

/** The next step, or undefined when raft is as the table says, or nothing is safe to do now. */
export function nextStep(situation: Situation): Step | undefined {
  return added(situation) ?? demoted(situation) ?? promoted(situation) ?? removed(situation) ?? forgotten(situation);
}

/** The largest odd number that is no more than this many centrals, and no more than five. */
export function voterCount(centrals: number): number {
  const most = Math.min(MAX_VOTERS, centrals);
  return most % 2 === 1 ? most : Math.max(most - 1, 0);
}

/** Servers that are to vote: those that vote already first, lost ones after standbys that keep up. */
export function wantedVoters({ state, members, facts }: Situation): readonly string[] {
  const voters = new Set(votersOf(state));
  const centrals = members.filter(
    ({ role, state: row, server }) =>
      // Who does not vote and was not heard for so long does not count: the others would wait for it with an even number of voters.
      role === "central" && row === "active" && server !== "" && (voters.has(server) || !facts(server).lost),
  );
  // Before a fleet of one has written its first row, nobody is to be touched.
  if (centrals.length === 0) return [...voters];
  const rank = ({ server }: Member): number => {
    // A leader that may stay stays: each change of the leader is a pause.
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
  // Whoever leads after this one goes on with the rest.
  const next = voters.find((server) => wanted.includes(server) && server !== state.server && facts(server).alive);
  if (extra.includes(state.server) && next !== undefined)
    return { do: "transfer", server: next, why: "this node is not to vote any more" };
  const isActive = (server: string) => members.some((each) => each.server === server && each.state === "active");
  // Those that are gone or go first, then those that are one too many.
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
  // An even number of voters survives no more than one less, and stops earlier: begin only when the end will be odd.
  const reached = voterCount(staying.length + ready.length);
  if (first === undefined || reached <= staying.length) return undefined;
  // A candidate that a voter still knows as a non-voter would not get its vote: everyone has the newest configuration first. One that was lost long gives no vote.
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
