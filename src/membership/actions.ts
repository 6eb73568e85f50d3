// Actions of an admin on a running member: transfer the lead, leave the fleet. Each retries until it is done, refused
// or too late.

import { type Member, type Members, notTheLeader, voterCount } from "../fleet/index.ts";
import { counted } from "../lib/counted.ts";
import { Fault } from "../lib/fault.ts";
import { pause } from "../lib/pause.ts";
import { reasonOf } from "../lib/reason-of.ts";
import type { Log } from "../log/log.ts";
import { Attempts } from "../operation/attempts.ts";
import type { RaftHost } from "../tailnet/index.ts";
import type { PeerConnection } from "./peer-connection.ts";

const TRANSFER_MS = 10_000;
const LEAVE_MS = 60_000;
const ASK_MS = 10_000;
const STEP_MS = 250;

interface Transfer {
  members: Members;
  log: Log;
  host: Pick<RaftHost, "raftChange" | "raftState">;
  leader: () => Member | undefined;
}

/**
 * Transfers the lead to a member, or to the most current voter. Resolves when another member leads. Faults:
 * `not_leader`, `not_found`, `invalid_input` if the member does not vote, `unavailable`.
 */
export async function transferLead(
  { members, log, host, leader }: Transfer,
  node: string | undefined,
  signal: AbortSignal,
): Promise<{ node: string; name: string }> {
  if (!log.leadership().leading) throw notTheLeader(leader(), "Handing the lead over");
  const own = log.leadership().server;
  const target = node === undefined ? undefined : requireFullMember(members, node);
  if (target?.server === own) return { node: target.node, name: target.name };
  await handOver(host, target, { own, members });
  const deadline = AbortSignal.timeout(TRANSFER_MS);
  for (;;) {
    const { server } = log.leadership();
    const next = leader();
    if (server !== "" && server !== own && next !== undefined) return { node: next.node, name: next.name };
    if (deadline.aborted) {
      throw new Fault("unavailable", `No other member led within ${TRANSFER_MS / 1000} s`, {
        hint: "See cairn status: a voter that keeps up is needed.",
        facts: { outcome: "unknown" },
      });
    }
    if (signal.aborted) throw leftUnknown(signal.reason);
    await pause(20);
  }
}

function requireFullMember(members: Members, node: string): Member {
  const member = members.get(node);
  if (member !== undefined && member.server !== "") return member;
  throw new Fault("not_found", `${node} is no full member of this fleet`, { hint: "See cairn members." });
}

/** Asks raft to transfer the lead; without a target to the most current voter. */
async function handOver(
  host: Transfer["host"],
  target: Member | undefined,
  { own, members }: { own: string; members: Members },
): Promise<void> {
  const voters = (await host.raftState()).members.filter(({ voter }) => voter).map(({ server }) => server);
  const others = members.list().filter(({ server }) => server !== own && voters.includes(server));
  if (target !== undefined && !voters.includes(target.server)) {
    const instead = others.length === 0 ? "" : ` These vote now: ${others.map(({ name }) => name).join(", ")}.`;
    throw new Fault("invalid_input", `${target.name} does not vote, and only voters lead`, {
      hint: `${wayToVote(target, members)}${instead}`,
    });
  }
  if (target === undefined && voters.every((server) => server === own)) {
    throw new Fault("invalid_input", "No other member votes, and only voters lead", {
      hint: wayToVote(undefined, members),
    });
  }
  try {
    await host.raftChange({ do: "transfer", ...(target === undefined ? {} : { server: target.server }) });
  } catch (error) {
    // Raft has asked the other member by then, which may still stand for election.
    const took = target === undefined ? "No other voter took" : `${target.name} did not take`;
    throw new Fault("unavailable", `${took} the lead in time: ${reasonOf(error)}`, {
      hint: "It must be up, vote and keep up: see in cairn status who leads, then try again.",
      facts: { outcome: "unknown" },
      cause: error,
    });
  }
}

/**
 * Returns what makes a member vote. Of central members an odd number votes, so promoting one alone may leave it a
 * standby, and promoting a standby changes nothing. `target` is undefined where any member will do.
 */
function wayToVote(target: Member | undefined, members: Members): string {
  const isCentral = (member: Member): boolean => member.role === "central" && member.state === "active";
  const central = members.list().filter(isCentral).length;
  const promoted = target === undefined || isCentral(target) ? central : central + 1;
  const first = target === undefined || isCentral(target) ? "" : `Make it central: cairn promote ${target.name}. `;
  const voting = voterCount(promoted);
  if (promoted % 2 === 0) {
    return (
      `${first}Of ${promoted} central members ${voting} ${voting === 1 ? "votes" : "vote"}, since their number stays ` +
      "odd: make one more member central with cairn promote, or let one join with cairn ticket --role central."
    );
  }
  if (promoted === 1) return "Make two more members central with cairn promote, so that three vote.";
  if (promoted > voting)
    return `${first}At most ${counted(voting, "member votes", "members vote")}; it votes when one of them is gone.`;
  return `${first}It votes once it has caught up: cairn status shows when.`;
}

/** Returns what a caller gets that went away while the lead was handed over. */
function leftUnknown(reason: unknown): unknown {
  const attempts = new Attempts("write");
  attempts.accepted();
  return attempts.end(reason, true);
}

interface Leave {
  members: Members;
  link: PeerConnection;
  self: () => string;
  leading: () => boolean;
  /** Returns the StableNodeID of the member that leads. */
  leader: () => string | undefined;
  /** Proposes the removal; called only where this node leads. */
  remove: () => Promise<unknown>;
  /** Reports whether this node has learnt that it was removed. */
  removed: () => boolean;
}

/**
 * Asks until the fleet has removed this node. Faults: `invalid_input` where it is the only member, `last_voter`,
 * `unavailable`.
 */
export async function leaveFleet(
  { members, link, self, leading, leader, remove, removed }: Leave,
  signal: AbortSignal,
): Promise<void> {
  if (members.list().length < 2) {
    throw new Fault("invalid_input", "This node is the only member of its fleet; there is nothing to leave", {
      hint: "Join another fleet with cairn join.",
    });
  }
  if (removed()) return;
  const attempts = new Attempts("write");
  try {
    await untilRemoved({ members, link, self, leading, leader, remove, removed }, attempts, signal);
  } catch (error) {
    throw attempts.end(error, signal.aborted);
  }
}

async function untilRemoved(
  { members, link, self, leading, leader, remove }: Leave,
  attempts: Attempts,
  signal: AbortSignal,
): Promise<void> {
  const late = AbortSignal.timeout(LEAVE_MS);
  let last = "no member leads";
  let node: string | undefined;
  while (!late.aborted) {
    signal.throwIfAborted();
    try {
      // A removed node learns of no leader any more; the one that was asked last answers that it is no member.
      node = leader() ?? node;
      if (leading()) await remove();
      else if (node !== undefined) await link.call({ node }, "leave", {}, { timeoutMs: ASK_MS, signal });
      if (leading() || node !== undefined) attempts.accepted();
      // The own members table may show the removal first: an edge is removed at once.
      if (self() !== "" && members.get(self()) === undefined) return;
    } catch (error) {
      if (error instanceof Fault && error.code === "not_a_member" && error.facts.fromPeer === true) return;
      attempts.failed(error);
      if (!(error instanceof Fault) || error.code === "last_voter" || error.code === "forbidden") throw error;
      last = error.message;
    }
    await pause(STEP_MS);
  }
  throw new Fault("unavailable", `The fleet did not remove this node within ${LEAVE_MS / 1000} s: ${last}`, {
    hint:
      "See cairn status on the leader; cairn leave can be repeated, or the leader removes it with cairn members " +
      "remove.",
    facts: { outcome: attempts.mayBeDone ? "unknown" : "not_done" },
  });
}
