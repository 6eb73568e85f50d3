// Recomputes the chain of change rows (replication.md 3) in small steps between other work, and reports where it first
// breaks.

import { setImmediate as nextTurn } from "node:timers/promises";
import type { Reader } from "../store/store.ts";
import { chainHash } from "./chain.ts";
import { type ChangeRow, changeOf } from "./change-row.ts";

const STEP = 500;

export interface ChainReport {
  /** Number of rows whose hash was recomputed. */
  checked: number;
  /** The first problem, if there is one. */
  problem?: string;
}

/**
 * Checks the rows from the floor up to `head`, which this process remembers, and calls `visit` for each. Finds an edit,
 * a gap, a cut tail and a rewrite of all rows.
 */
export async function verifyChain(
  reader: Reader,
  head: { seq: number; hash: Uint8Array },
  signal: AbortSignal,
  visit: (row: ChangeRow) => void = () => {},
): Promise<ChainReport> {
  const kept = reader.get<{ seq: number; hash: Uint8Array; floor: number; floor_hash: Uint8Array }>(
    "SELECT seq, hash, floor, floor_hash FROM head",
  );
  if (kept === undefined) return { checked: 0, problem: "the row of the head is missing" };
  if (kept.seq < head.seq)
    return { checked: 0, problem: `the store says it ends at ${kept.seq}, and it had ${head.seq}` };
  let { floor: seq, floor_hash: hash } = kept;
  let checked = 0;
  while (seq < head.seq) {
    signal.throwIfAborted();
    const rows = reader.all<ChangeRow & { hash: Uint8Array }>(
      "SELECT * FROM changes WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT +?",
      seq,
      head.seq,
      STEP,
    );
    const problem = checkRows(rows, seq, hash);
    if (problem !== undefined) {
      const now = floorOf(reader);
      // Compaction ran meanwhile, so the rows below the new floor are gone for a good reason.
      if (rows[0]?.seq !== seq + 1 && now.floor > seq) {
        ({ floor: seq, floor_hash: hash } = now);
        continue;
      }
      return { checked, problem };
    }
    for (const row of rows) visit(row);
    checked += rows.length;
    const last = rows.at(-1);
    if (last === undefined) break;
    seq = last.seq;
    hash = last.hash;
    await nextTurn();
  }
  if (Buffer.compare(hash, head.hash) !== 0)
    return {
      checked,
      problem: `change ${head.seq} has another hash than this process remembers: the history was rewritten`,
    };
  return { checked };
}

function floorOf(reader: Reader): { floor: number; floor_hash: Uint8Array } {
  const row = reader.get<{ floor: number; floor_hash: Uint8Array }>("SELECT floor, floor_hash FROM head");
  return row ?? { floor: 0, floor_hash: new Uint8Array(32) };
}

function checkRows(
  rows: readonly (ChangeRow & { hash: Uint8Array })[],
  after: number,
  hashBefore: Uint8Array,
): string | undefined {
  let seq = after;
  let hash = hashBefore;
  if (rows.length === 0) return `the changes after ${after} are missing`;
  for (const row of rows) {
    if (row.seq !== seq + 1) return `change ${seq + 1} is missing`;
    hash = chainHash(hash, changeOf(row), row.state_hash ?? "");
    if (Buffer.compare(hash, row.hash) !== 0) return `change ${row.seq} does not match its hash: it was edited`;
    seq = row.seq;
  }
  return undefined;
}
