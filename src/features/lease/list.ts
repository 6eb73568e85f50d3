// lease_list: the leases that are held, with their holders, filtered by the caller's rights before paging (security.md
// 5).

import { z } from "zod";
import { Fault } from "../../lib/fault.ts";
import { idSyntaxProblem } from "../../lib/id-syntax.ts";
import { timeOf } from "../../lib/time-of.ts";
import { read } from "../../operation/define.ts";
import { FENCE_LEVEL, fenceText } from "../../operation/fence.ts";
import { refuseBelowLevel } from "../../operation/versions.ts";
import type { Reader } from "../../store/store.ts";
import { holderShape, namePrefix } from "./arguments.ts";
import { holderAsking, type LeaseRow, shownHolder, type WaiterRow } from "./rows.ts";

const MAX_PAGE = 500;
const DEFAULT_PAGE = 100;
/** Claims in line that are listed of a lease. */
const SHOWN_WAITERS = 10;
/** Longest cursor: the longest name in base64. */
const MAX_CURSOR = 1024;

const listed = z.object({
  name: z.string(),
  held_by: holderShape,
  for: z.string(),
  fence: z.string(),
  since: z.string().describe("When it was granted."),
  ttl_seconds: z.number().describe("How long it lasts without a renewal; renewals are not in the list."),
  waiting: z.number().int().describe("How many wait for it."),
  line: z
    .array(holderShape.extend({ for: z.string(), place_until: z.string() }))
    .optional()
    .describe(`The first ${SHOWN_WAITERS} of these, in their order; absent where none waits.`),
});

/** Lists the leases that the caller may see, ordered by name. */
export const leaseList = read({
  name: "lease_list",
  title: "List leases",
  search: "locks, being edited, what is reserved, my leases",
  description:
    "Lists the leases that are held: name, holder, what for. Look before you change files or devices that others use. own: only those of you, with the fences that you need to renew and release them.",
  input: z.object({
    prefix: namePrefix.optional(),
    own: z.boolean().optional().describe("Only leases that you hold."),
    limit: z.number().int().min(1).max(MAX_PAGE).optional().describe(`At most this many (default ${DEFAULT_PAGE}).`),
    cursor: z.string().min(1).max(MAX_CURSOR).optional().describe("The cursor of the previous page."),
  }),
  example: { prefix: "team-a/" },
  samples: { cursor: "dGVhbS1hL3BsYW4" },
  output: z.object({
    leases: z.array(listed),
    cursor: z.string().optional().describe("Pass it back for the next page; absent on the last."),
  }),
  access: { verb: "read", spaces: "visible" },
  aliases: { mine: "own" },
  run(reader, { prefix = "", own = false, limit = DEFAULT_PAGE, cursor }, context) {
    const after = cursor === undefined ? "" : readCursor(cursor);
    refuseBelowLevel(reader, FENCE_LEVEL, "lease_list");
    const { caller, agent } = holderAsking(context);
    const rows = reader.all<LeaseRow & { waiting: number }>(
      `SELECT *, (SELECT COUNT(*) FROM lease_waiters w WHERE w.name = leases.name) AS waiting FROM leases
         WHERE name > ? AND name >= ? AND substr(name, 1, length(?)) = ? AND (? = 0 OR (caller = ? AND agent = ?))
         AND space IN (SELECT value FROM json_each(?)) ORDER BY name LIMIT +?`,
      after,
      prefix,
      prefix,
      prefix,
      own ? 1 : 0,
      caller,
      agent,
      JSON.stringify(visibleSpaces(reader, context.visible)),
      limit + 1,
    );
    const page = rows.slice(0, limit);
    const last = page.at(-1);
    return {
      leases: page.map((lease) => ({
        name: lease.name,
        held_by: shownHolder(lease),
        for: lease.purpose,
        fence: fenceText(lease),
        since: timeOf(lease.granted_at),
        ttl_seconds: lease.ttl_ms / 1000,
        waiting: lease.waiting,
        ...(lease.waiting === 0 ? {} : { line: lineOf(reader, lease.name) }),
      })),
      ...(rows.length > limit && last !== undefined ? { cursor: writeCursor(last.name) } : {}),
    };
  },
});

function lineOf(reader: Reader, name: string) {
  const sql = "SELECT * FROM lease_waiters WHERE name = ? ORDER BY n, seq LIMIT +?";
  return reader.all<WaiterRow>(sql, name, SHOWN_WAITERS).map((waiter) => ({
    ...shownHolder(waiter),
    for: waiter.purpose,
    place_until: timeOf(waiter.expires_at),
  }));
}

/** Returns the visible spaces that have leases, by one index lookup a space. */
function visibleSpaces(reader: Reader, visible: (space: string) => boolean): string[] {
  const spaces: string[] = [];
  for (let after = ""; ; ) {
    const sql = "SELECT space FROM leases WHERE space > ? ORDER BY space LIMIT 1";
    const next = reader.get<{ space: string }>(sql, after);
    if (next === undefined) return spaces;
    if (visible(next.space)) spaces.push(next.space);
    after = next.space;
  }
}

/** A cursor is the last name of a page. It gives no right: each page is filtered by the rights at its time. */
function writeCursor(name: string): string {
  return Buffer.from(name, "utf8").toString("base64url");
}

function readCursor(cursor: string): string {
  const name = Buffer.from(cursor, "base64url").toString("utf8");
  if (writeCursor(name) === cursor && idSyntaxProblem(name) === undefined) return name;
  throw new Fault("invalid_input", `${JSON.stringify(cursor.slice(0, 80))} is not a cursor of this list`, {
    hint: "Pass the cursor of the previous page unchanged, or leave it out.",
  });
}
