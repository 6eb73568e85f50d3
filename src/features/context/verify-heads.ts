// Holds the own history against heads that other members told and this node had: a history that was rewritten whole fits itself, and not them.

import type { Reader } from "../../store/store.ts";

/** What a member once told, and this node had too. */
export interface ReportedHead {
  name: string;
  epoch: string;
  seq: number;
  /** Chain hash of the change, as hex. */
  hash: string;
  at_ms: number;
}

/** Compares every head that can be: of this history, above the floor. Answers how many, and the first that differs. */
export function verifyHeads(
  reader: Reader,
  heads: readonly ReportedHead[],
  own: { seq: number },
): { heads: number; problem?: string } {
  const ends = endsOf(reader);
  const floor = reader.get<{ floor: number }>("SELECT floor FROM head")?.floor ?? 0;
  let compared = 0;
  for (const { name, epoch, seq, hash, at_ms } of heads) {
    const end = ends.get(epoch);
    // Of another fleet, or of what a restore or a recovery left behind.
    if (end === undefined || seq > end || seq <= floor) continue;
    const told = `${name} told change ${seq} on ${new Date(at_ms).toISOString()}, and this node had it`;
    const row = reader.get<{ hash: Uint8Array }>("SELECT hash FROM changes WHERE seq = ?", seq);
    if (seq > own.seq || row === undefined)
      return { heads: compared, problem: `${told}; now its history ends at ${own.seq}` };
    if (Buffer.from(row.hash).toString("hex") !== hash)
      return { heads: compared, problem: `${told} with another hash: the history was rewritten` };
    compared += 1;
  }
  return { heads: compared };
}

/** The last seq of each epoch of this history; the newest has no end. */
function endsOf(reader: Reader): Map<string, number> {
  const epochs = reader.all<{ id: string; fork_seq: number }>("SELECT id, fork_seq FROM epochs ORDER BY n DESC");
  const ends = new Map<string, number>();
  let end = Number.POSITIVE_INFINITY;
  for (const { id, fork_seq } of epochs) {
    ends.set(id, end);
    end = Math.min(end, fork_seq);
  }
  return ends;
}
