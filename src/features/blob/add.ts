// The internal writes of blobs: a blob whose bytes enough members hold becomes known, and the list of its holders
// changes. The leader proposes them.

import { z } from "zod";
import { Fault } from "../../lib/fault.ts";
import { WRITE_ROW } from "../../lib/work.ts";
import { BLOB_LEVEL, isReferenced, noteFree } from "../../operation/blob-references.ts";
import { write } from "../../operation/define.ts";
import { ROW_BYTES } from "../../operation/usage.ts";
import { type BlobRow, blobChange, blobOf, countBytes, isKnown, refuseQuota } from "./rows.ts";

/** Most members that one command names. */
const MAX_HOLDERS = 64;
/** Most blobs of which one command changes the holders. */
export const MAX_HELD = 256;

const member = z.string().max(200);
const sha256 = z.string();

/** Makes a blob known in a space. Where it is known there, it only keeps it for longer. */
export const blobAdd = write({
  name: "blob_add",
  v: 1,
  level: BLOB_LEVEL,
  internal: true,
  title: "Add a blob",
  description: "Makes a blob known whose bytes enough members hold.",
  input: z.object({
    space: z.string(),
    sha256,
    bytes: z.number().int(),
    content_type: z.string(),
    copies: z.number().int(),
    agent: z.string(),
    holders: z.array(member).max(MAX_HOLDERS),
    /** Whether the put sent no bytes, because the space had the blob. */
    is_known: z.boolean(),
    keep_ms: z.number().int(),
    caller_bytes: z.number().int(),
    space_bytes: z.number().int(),
  }),
  output: z.object({ created: z.boolean() }),
  access: { verb: "write", spaces: ({ space }) => [space] },
  work: () => 8 * WRITE_ROW,
  prepare: (input) => input,
  apply(tx, { holders, is_known, caller_bytes, space_bytes, ...command }, stamp) {
    const before = blobOf(tx, command.space, command.sha256);
    if (before === undefined && (is_known || holders.length === 0)) throw removedMeanwhile(command);
    const row: BlobRow = {
      ...{ ...command, author: stamp.caller, seq: stamp.seq, created_at: stamp.timeMs },
      check_at: stamp.timeMs + command.keep_ms,
    };
    for (const each of holders)
      tx.run("INSERT OR IGNORE INTO blob_holders (sha256, member) VALUES (?,?)", row.sha256, each);
    if (before !== undefined) {
      tx.run(
        "UPDATE blobs SET copies = max(copies, ?), keep_ms = max(keep_ms, ?), check_at = max(check_at, ?) WHERE space = ? AND sha256 = ?",
        ...[row.copies, row.keep_ms, row.check_at, row.space, row.sha256],
      );
      return { output: { created: false }, changes: [] };
    }
    refuseQuota(tx, row, { caller_bytes, space_bytes });
    tx.run(
      "INSERT INTO blobs (space, sha256, bytes, content_type, copies, author, agent, seq, created_at, keep_ms, check_at) VALUES (?,?,?,?,?,?,?,?,?,?,?)",
      ...[row.space, row.sha256, row.bytes, row.content_type, row.copies, row.author, row.agent],
      ...[row.seq, row.created_at, row.keep_ms, row.check_at],
    );
    countBytes(tx, row, row.bytes + ROW_BYTES);
    if (!isReferenced(tx, row.space, row.sha256)) noteFree(tx, row.space, row.sha256, stamp.timeMs);
    return { output: { created: true }, changes: [blobChange(row, "added")] };
  },
});

/** The bytes may be going at this moment: a row would promise what no member has. */
function removedMeanwhile({ space, sha256 }: { space: string; sha256: string }): Fault {
  return new Fault("not_found", `The blob ${sha256} was removed from the space ${JSON.stringify(space)} meanwhile`, {
    hint: "Send all its bytes.",
  });
}

const held = z.object({ sha256, member });
type Held = z.output<typeof held>;

/** Says which members were found to hold blobs, and which do not any more. */
export const blobHolders = write({
  name: "blob_holders",
  v: 1,
  level: BLOB_LEVEL,
  internal: true,
  title: "Change the holders of blobs",
  description: "Says which members were found to hold blobs, and which do not any more.",
  input: z.object({ found: z.array(held).max(MAX_HELD), lost: z.array(held).max(MAX_HELD) }),
  output: z.object({ changed: z.number().int() }),
  access: { verb: "admin", spaces: ["fleet"] },
  work: ({ found, lost }) => (found.length + lost.length) * WRITE_ROW,
  prepare: ({ found, lost }): { found: Held[]; lost: Held[] } => ({ found, lost }),
  apply(tx, { found, lost }) {
    let changed = 0;
    // What was lost may have been copied back to the same member.
    for (const each of lost)
      changed += tx.run("DELETE FROM blob_holders WHERE sha256 = ? AND member = ?", each.sha256, each.member).changes;
    for (const each of found)
      if (isKnown(tx, each.sha256))
        changed += tx.run(
          "INSERT OR IGNORE INTO blob_holders (sha256, member) VALUES (?,?)",
          each.sha256,
          each.member,
        ).changes;
    return { output: { changed }, changes: [] };
  },
});
