// Probes the candidates of a fleet and ranks the live ones: the fleet's own before others, those in the history that
// the agent has seen, not busy, of the preferred kind, near.

import { rejectOnAbort } from "../../lib/pause.ts";
import { connectionReason } from "../../lib/reason-of.ts";
import { RefusedError } from "../errors.ts";
import type { Candidate, Candidates } from "./candidates.ts";
import { type ProbeResult, probe } from "./probe.ts";

/** Once the first node of the preferred kind has responded, nearer ones are waited for this long, in ms. */
const NEARER_MS = 100;

/** A candidate that responded. */
export interface LiveNode {
  candidate: Candidate;
  result: ProbeResult;
}

/** What a search needs. */
export interface SearchOptions {
  candidates: Candidates;
  /** Prefers edges to full members. */
  preferEdges: boolean;
  /** Time limit of a probe, in ms. */
  probeMs: number;
  /** Reports whether a node is in the history that the agent has seen. */
  isInHistory: (result: ProbeResult) => boolean;
  signal: AbortSignal;
}

/**
 * Returns the live nodes, best first. Returns soon after the first one of the preferred kind. Without `all`, nodes that
 * failed a moment ago are not asked.
 */
export async function searchLiveNodes(options: SearchOptions, all: boolean): Promise<LiveNode[]> {
  const { candidates, signal, preferEdges, probeMs, isInHistory } = options;
  const live: LiveNode[] = [];
  const enough = Promise.withResolvers<void>();
  const bound = AbortSignal.any([signal, AbortSignal.timeout(probeMs)]);
  const probes = candidates.toProbe(all).map(async (candidate) => {
    try {
      const result = await Promise.race([probe(candidate.send, bound), rejectOnAbort(bound)]);
      candidates.probed(candidate.name, result);
      live.push({ candidate, result });
      if (result.isEdge === preferEdges && isInHistory(result)) setTimeout(enough.resolve, NEARER_MS);
    } catch (error) {
      const why = bound.aborted ? `no answer within ${probeMs} ms` : connectionReason(error);
      candidates.failed(candidate.name, error instanceof RefusedError ? "refused" : "gone", why);
    }
  });
  await Promise.race([Promise.all(probes), enough.promise]);
  return rank([...live], options);
}

function rank(live: LiveNode[], { candidates, preferEdges, isInHistory }: SearchOptions): LiveNode[] {
  const keysOf = ({ candidate, result }: LiveNode): number[] => [
    Number(!candidates.isOfFleet(candidate, result)),
    Number(!isInHistory(result)),
    Number(candidates.isBusy(candidate.name)),
    Number(result.isEdge !== preferEdges),
    result.roundTripMs,
  ];
  return live
    .filter(({ candidate, result }) => candidates.mayUse(candidate, result))
    .map((node) => ({ node, keys: keysOf(node) }))
    .sort((a, b) => compareKeys(a.keys, b.keys))
    .map(({ node }) => node);
}

function compareKeys(a: readonly number[], b: readonly number[]): number {
  for (const [at, value] of a.entries()) if (value !== b[at]) return value - (b[at] ?? 0);
  return 0;
}
