// Decides when a leader hands over to another voter: it has no room for writes (replication.md 5), its clock is far off
// the voters' (replication.md 7), or its disk is much slower than theirs (replication.md 25).

/** A voter as the leader sees it; the leader is one of them. */
export interface Candidate {
  server: string;
  /** It responds and has applied what is committed. */
  fit: boolean;
  /** Its wall clock against the leader's, in ms; 0 for the leader. */
  skewMs: number;
  /** 99 of 100 writes to its log took at most so long, of the last `fsyncSamples`. */
  fsyncP99Ms: number;
  fsyncSamples: number;
  /** Its disk has room for writes. */
  hasRoom: boolean;
}

/** A node whose clock is further off the voters' median does not lead. */
export const MAX_SKEW_MS = 60_000;
const SLOWER = 4;
/** A leader with a faster disk than this never hands over because of it. */
const FAST_MS = 50;
/** With fewer, one slow write among them would decide. */
const MIN_SAMPLES = 200;

export interface Handover {
  server: string;
  reason: "room" | "clock" | "disk";
  why: string;
}

/** Returns to whom the leader `self` should hand over, and why; undefined if it may stay. */
export function handover(self: string, voters: readonly Candidate[]): Handover | undefined {
  const own = voters.find(({ server }) => server === self);
  const others = voters.filter(({ server, fit, hasRoom }) => server !== self && fit && hasRoom);
  if (own === undefined || others.length === 0) return undefined;
  return byRoom(own, others) ?? byClock(voters, others) ?? byDisk(own, others);
}

/** A leader without room refuses writes, and there is a voter that need not. */
function byRoom(own: Candidate, others: readonly Candidate[]): Handover | undefined {
  const next = nearest(others, 0);
  if (own.hasRoom || next === undefined) return undefined;
  return { server: next.server, reason: "room", why: "the disk of this node has no room for writes" };
}

/** Of two clocks the wrong one cannot be known. */
function byClock(voters: readonly Candidate[], others: readonly Candidate[]): Handover | undefined {
  const known = voters.filter((voter) => voter.fit || voter.skewMs === 0);
  if (known.length < 3) return undefined;
  const median = medianOf(known.map(({ skewMs }) => skewMs));
  if (Math.abs(median) <= MAX_SKEW_MS) return undefined;
  const best = nearest(others, median);
  if (best === undefined || Math.abs(best.skewMs - median) > MAX_SKEW_MS) return undefined;
  return {
    server: best.server,
    reason: "clock",
    why: `the clock of this node is ${Math.round(Math.abs(median) / 1000)} s off that of the voters`,
  };
}

function byDisk(own: Candidate, others: readonly Candidate[]): Handover | undefined {
  const [best] = others.filter(isMeasured).sort((one, other) => one.fsyncP99Ms - other.fsyncP99Ms);
  if (best === undefined || !isMeasured(own) || own.fsyncP99Ms <= Math.max(FAST_MS, SLOWER * best.fsyncP99Ms))
    return undefined;
  return {
    server: best.server,
    reason: "disk",
    why: `syncing takes ${Math.round(own.fsyncP99Ms)} ms here and ${Math.round(best.fsyncP99Ms)} ms there`,
  };
}

function isMeasured({ fsyncSamples }: Candidate): boolean {
  return fsyncSamples >= MIN_SAMPLES;
}

/** Returns the median; of an even number of values the lower middle one. */
export function medianOf(values: readonly number[]): number {
  const sorted = [...values].sort((one, other) => one - other);
  return sorted[Math.floor((sorted.length - 1) / 2)] ?? 0;
}

function nearest(candidates: readonly Candidate[], skewMs: number): Candidate | undefined {
  return [...candidates].sort((one, other) => Math.abs(one.skewMs - skewMs) - Math.abs(other.skewMs - skewMs))[0];
}
