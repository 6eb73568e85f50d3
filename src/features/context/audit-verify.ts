// audit_verify: recomputes the hash chain of the changes and compares every kept version, every context and the heads
// that other members reported with it. Finds edits, cut tails and rewrites.

import { setImmediate as nextTurn } from "node:timers/promises";
import { z } from "zod";
import { reasonOf } from "../../lib/reason-of.ts";
import type { ChangeRow } from "../../log/changes.ts";
import { verifyChain } from "../../log/verify.ts";
import { read } from "../../operation/define.ts";
import { ServiceKey, type Services } from "../../operation/services.ts";
import type { Reader } from "../../store/store.ts";
import { EMPTY_HASH } from "./append-version.ts";
import { type ContextRow, STORED_COLUMNS, type StoredVersion, textOf, VERSION_FACTS } from "./rows.ts";
import { type ReportedHead, verifyHeads } from "./verify-heads.ts";

/** Rows checked before other work gets a turn; their texts may be large. */
const STEP = 50;

/** Heads that other members reported and this node had too. A node outside a fleet provides none. */
export const REPORTED_HEADS: ServiceKey<() => readonly ReportedHead[]> = new ServiceKey(
  "the heads that members reported",
);

/** Makes the operation over the parts of a node, which may hold heads that other members reported. */
export const auditVerify = (node: Services) =>
  read({
    name: "audit_verify",
    title: "Verify the audit",
    description:
      "Recomputes the hash chain over all kept changes and compares every kept version and the newest state of each context with it. If ok is false, problem is the first mismatch: the store was changed from outside, or the disk is failing.",
    input: z.object({}),
    output: z.object({
      ok: z.boolean(),
      checked: z.number().int().describe("Changes whose hash was recomputed."),
      versions: z.number().int().describe("Versions whose text was hashed again."),
      heads: z.number().int().describe("Heads reported by other members that were compared with this history."),
      head: z.object({ position: z.string(), hash: z.string() }),
      problem: z.string().optional(),
    }),
    access: { verb: "operate", spaces: "visible" },
    hints: { idempotent: true },
    async run(reader, _input, context) {
      const head = context.head();
      const chain = await verifyChain(reader, head, context.signal);
      const versions =
        chain.problem === undefined ? await verifyVersions(reader, head.seq, context.signal) : { versions: 0 };
      const against = verifyHeads(reader, node.find(REPORTED_HEADS)?.() ?? [], head);
      const problem =
        chain.problem ?? against.problem ?? versions.problem ?? (await verifyContexts(reader, context.signal));
      return {
        ok: problem === undefined,
        checked: chain.checked,
        versions: versions.versions,
        heads: against.heads,
        head: { position: context.positionAt(head.seq), hash: Buffer.from(head.hash).toString("hex") },
        ...(problem === undefined ? {} : { problem }),
      };
    },
  });

interface VersionsReport {
  versions: number;
  problem?: string;
}

type Row = StoredVersion & { rowid: number; id: string };

async function verifyVersions(reader: Reader, upToSeq: number, signal: AbortSignal): Promise<VersionsReport> {
  let after = 0;
  let versions = 0;
  for (;;) {
    signal.throwIfAborted();
    const rows = reader.all<Row>(
      `SELECT rowid, id, ${STORED_COLUMNS} FROM versions WHERE rowid > ? ORDER BY rowid LIMIT ?`,
      after,
      STEP,
    );
    for (const row of rows) {
      const problem =
        row.seq > upToSeq ? undefined : (textProblem(row) ?? chainProblem(reader, row) ?? headProblem(reader, row));
      // The change is named and not the id: a caller who may verify need not be allowed to see every id.
      if (problem !== undefined) return { versions, problem: `the version written by change ${row.seq} ${problem}` };
      versions += 1;
    }
    const last = rows.at(-1);
    if (last === undefined) return { versions };
    after = last.rowid;
    await nextTurn();
  }
}

function textProblem(row: Row): string | undefined {
  if (row.purged !== 0) return row.content.byteLength === 0 ? undefined : "is purged but still has a text";
  try {
    textOf(row);
    return undefined;
  } catch (error) {
    return `cannot be read: ${reasonOf(error)}`;
  }
}

function chainProblem(reader: Reader, row: Row): string | undefined {
  const change = reader.get<ChangeRow>("SELECT * FROM changes WHERE seq = ?", row.seq);
  // Below the floor of the changes there is no row to compare with.
  if (change === undefined) return undefined;
  const hash = row.deleted !== 0 ? EMPTY_HASH : row.hash;
  const same = change.target === row.id && change.version === row.version && change.content_hash === hash;
  if (!same) return "is not the one that the change names";
  // An imported version has the author and time of its origin.
  const isBy = change.caller === row.author && change.via === row.via && change.log_time === row.log_time;
  return isBy || change.outcome === "imported" ? undefined : "has a different author or time than the change";
}

function headProblem(reader: Reader, row: Row): string | undefined {
  const head = reader.get<ContextRow>("SELECT * FROM contexts WHERE id = ?", row.id);
  if (head === undefined) return "belongs to no context";
  if (head.version !== row.version) return head.version > row.version ? undefined : "is newer than its context";
  const isSame = VERSION_FACTS.every((column) => head[column] === row[column]) && head.updated_at === row.log_time;
  return isSame ? undefined : "differs from the state of its context";
}

/**
 * Returns the first context that lacks its newest version, or one between the oldest and the newest: history limits
 * remove only the oldest ones.
 */
async function verifyContexts(reader: Reader, signal: AbortSignal): Promise<string | undefined> {
  let after = "";
  for (;;) {
    signal.throwIfAborted();
    const rows = reader.all<{ id: string; version: number; oldest: number | null; newest: number; kept: number }>(
      `SELECT c.id AS id, c.version AS version, MIN(v.version) AS oldest, MAX(v.version) AS newest, COUNT(v.version) AS kept
         FROM (SELECT id, version FROM contexts WHERE id > ? ORDER BY id LIMIT ?) c LEFT JOIN versions v ON v.id = c.id GROUP BY c.id ORDER BY c.id`,
      after,
      STEP,
    );
    for (const { version, oldest, newest, kept } of rows) {
      if (oldest === null || newest !== version) return `the newest version of a context, ${version}, is missing`;
      if (kept !== newest - oldest + 1) return `a version of a context between ${oldest} and ${newest} is missing`;
    }
    const last = rows.at(-1);
    if (last === undefined) return undefined;
    after = last.id;
    await nextTurn();
  }
}
