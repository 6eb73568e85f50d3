// declaration_settle: the leader's judgement about a version of a declaring context. It is in the log, so what is in
// force follows from the log alone, whatever a build thinks of the text.

import { z } from "zod";
import type { Changed } from "../../log/log.ts";
import { stateHash } from "../../log/state-hash.ts";
import { DECLARE_LEVEL, type DeclaredRow, declaredRow } from "../../operation/declared-rows.ts";
import { write } from "../../operation/define.ts";
import type { Writer } from "../../store/store.ts";
import { MAX_DECLARED_BYTES } from "./judge.ts";

const settled = z.object({
  id: z.string().startsWith("fleet/").max(512),
  /** The newest version; 0: the context is gone, or not for all readers of its space. */
  version: z.number().int().min(0),
  hash: z.string().max(64),
  /** "": it comes into force. */
  problem: z.string().max(500),
  text: z.string().max(MAX_DECLARED_BYTES),
});

/** What the leader found out about one context. */
export type Settled = z.output<typeof settled>;

/** Most judgements of one command, and most characters of their texts together. */
export const MAX_SETTLED = 64;
export const MAX_SETTLED_TEXT = 512 * 1024;

/** Keeps judgements. What is so already changes nothing. */
export const declarationSettle = write({
  name: "declaration_settle",
  v: 1,
  level: DECLARE_LEVEL,
  internal: true,
  title: "Settle declarations",
  description: "Notes which versions of declarations are in force, and what is wrong with newer ones.",
  input: z.object({ settled: z.array(settled).min(1).max(MAX_SETTLED) }),
  output: z.object({ changed: z.number().int() }),
  access: { verb: "admin", spaces: ["fleet"] },
  prepare: (input) => input,
  apply(tx, command, stamp) {
    const changes: Changed[] = [];
    for (const each of command.settled) {
      const change = settle(tx, each, { seq: stamp.seq + changes.length, timeMs: stamp.timeMs });
      if (change !== undefined) changes.push(change);
    }
    return { output: { changed: changes.length }, changes };
  },
});

/** Writes one judgement. Returns its change; undefined where it changes nothing. */
function settle(tx: Writer, judged: Settled, stamp: { seq: number; timeMs: number }): Changed | undefined {
  const { id, version, hash, problem, text } = judged;
  const before = declaredRow(tx, id);
  if (version === 0) {
    if (before === undefined) return undefined;
    tx.run("DELETE FROM declarations WHERE id = ?", id);
    return {
      target: settledTarget(id),
      version: 0,
      contentHash: "",
      outcome: "removed",
      state: settledState(undefined),
    };
  }
  if (before?.judged === version && before.judged_hash === hash && before.problem === problem) return undefined;
  const inForce =
    problem === ""
      ? { version, hash, text, since: stamp.timeMs }
      : { version: 0, hash: "", text: "", since: 0, ...(before && inForceOf(before)) };
  const row: DeclaredRow = { id, ...inForce, judged: version, judged_hash: hash, problem, seq: stamp.seq };
  const { version: good, hash: goodHash, text: goodText, since } = row;
  tx.run(
    "INSERT OR REPLACE INTO declarations (id, version, hash, text, since, judged, judged_hash, problem, seq) VALUES (?,?,?,?,?,?,?,?,?)",
    ...[id, good, goodHash, goodText, since, version, hash, problem, stamp.seq],
  );
  const outcome = problem === "" ? "accepted" : "refused";
  return { target: settledTarget(id), version, contentHash: hash, outcome, state: settledState(row) };
}

function inForceOf({
  version,
  hash,
  text,
  since,
}: DeclaredRow): Pick<DeclaredRow, "version" | "hash" | "text" | "since"> {
  return { version, hash, text, since };
}

/** Returns the target of changes about a context. */
export function settledTarget(id: string): string {
  return `fleet/declared/${id.slice("fleet/".length)}`;
}

/** Returns the state hash of a row. */
export function settledState(row: DeclaredRow | undefined): string {
  if (row === undefined) return stateHash(["none"]);
  const { id, version, hash, since, judged, judged_hash, problem } = row;
  return stateHash([id, version, hash, since, judged, judged_hash, problem]);
}
