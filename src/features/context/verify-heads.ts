// Compares this node's history with heads that were noted outside the store: those that other members reported and this
// node had too, and its own. Finds a history that was cut or rewritten as a whole: its own chain is consistent, but not
// with those heads.

import type { Reader } from "../../store/store.ts";

/** A head that this node had at one moment. */
export interface ReportedHead {
  /** The member that reported it; "": this node noted it. */
  name: string;
  epoch: string;
  seq: number;
  /** Chain hash of the change, as hex. */
  hash: string;
  at_ms: number;
}

/** Compares the heads that belong to this history above its floor. Returns their number, and the first difference. */
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
    // The head of another fleet, or of a history that a restore or recovery left.
    if (end === undefined || seq > end || seq <= floor) continue;
    const time = new Date(at_ms).toISOString();
    const report =
      name === ""
        ? `this node noted change ${seq} on ${time}`
        : `${name} reported change ${seq} on ${time}, and this node had it`;
    const row = reader.get<{ hash: Uint8Array }>("SELECT hash FROM changes WHERE seq = ?", seq);
    if (seq > own.seq || row === undefined)
      return { heads: compared, problem: `${report}; the history now ends at ${own.seq}` };
    if (Buffer.from(row.hash).toString("hex") !== hash)
      return { heads: compared, problem: `${report}; its hash is different now: the history was rewritten` };
    compared += 1;
  }
  return { heads: compared };
}

/** Returns the last seq of each epoch of this history; that of the newest is infinite. */
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
