// audit_query: lists the change rows (who changed what and when) and the calls that this node refused.

import { setImmediate as nextTurn } from "node:timers/promises";
import { z } from "zod";
import { MAX_CALLER_NAME } from "../../lib/caller-name.ts";
import { Fault } from "../../lib/fault.ts";
import { timeOf } from "../../lib/time-of.ts";
import { LOOK_AT_ROW, SHOW_ROW } from "../../lib/work.ts";
import { type ChangeRow, changeOf } from "../../log/change-row.ts";
import { type CallContext, type ReadOperation, read } from "../../operation/define.ts";
import { REFUSALS } from "../../operation/node-parts.ts";
import { parseNumberCursor } from "../../operation/page-cursor.ts";
import type { Services } from "../../operation/services.ts";
import type { Reader } from "../../store/store.ts";
import { idPrefix } from "./context-id.ts";
import { matchesFilter } from "./public-change.ts";
import { agentActed, clientSaid } from "./rows.ts";

const MAX_PAGE = 500;
/** Rows read before other work gets a turn. */
const STEP = 2000;
/** Most steps of a call: where few rows match, it returns a short page with a cursor. */
const MAX_STEPS = 25;

const input = z.object({
  caller: z.string().min(1).max(MAX_CALLER_NAME).optional().describe("Only by this caller, as whoami writes it."),
  operation: z.string().min(1).max(64).optional().describe("Only by this operation."),
  prefix: idPrefix.optional().describe("Only targets that start with this text."),
  since: z.string().min(1).max(64).optional().describe("From this time on (ISO 8601), or after this position."),
  until: z.string().min(1).max(64).optional().describe("Up to this time (ISO 8601) or position."),
  limit: z.number().int().min(1).max(MAX_PAGE).optional().describe("At most this many rows (default 100)."),
  cursor: z.string().min(1).max(32).optional().describe("The cursor of the previous page."),
});

const output = z.object({
  rows: z
    .array(
      z.object({
        position: z.string(),
        time: z.string(),
        caller: z.string(),
        via: z.string(),
        client: clientSaid,
        agent: agentActed,
        operation: z.string(),
        target: z.string(),
        version: z.number().int(),
        content_hash: z.string(),
        outcome: z.string(),
        hash: z.string().describe("Hash of the chain up to this row."),
      }),
    )
    .describe("Newest first."),
  refusals: z
    .array(
      z.object({
        time: z.string().describe("The minute."),
        caller: z.string(),
        client: clientSaid,
        verb: z.string(),
        space: z.string(),
        operation: z.string(),
        count: z.number().int(),
      }),
    )
    .describe("Calls that this node refused, newest first; on the first page only."),
  cursor: z.string().optional().describe("Pass it back for older rows; absent on the last page."),
});

type Input = z.output<typeof input>;

/** Makes the operation over the parts of a node, which hold the calls that it refused. */
export function auditQuery(node: Services): ReadOperation<typeof input, typeof output> {
  return read({
    name: "audit_query",
    title: "Query the audit",
    search: "audit log, who changed what and when, refused calls",
    description:
      "Lists who changed what and when, newest first, with the chain hash of each change, and the calls that this node refused (counted by minute). Filter by caller, operation, prefix or time. Reads are not audited.",
    input,
    example: { prefix: "team-a/", limit: 20 },
    samples: {
      caller: "user:ann@example.com",
      operation: "context_put",
      since: "2026-01-31T12:00:00Z",
      until: "2026-02-01T12:00:00Z",
      cursor: "7",
    },
    output,
    access: { verb: "operate", spaces: "visible" },
    async run(reader, query, context) {
      const since = await boundOf(query.since, context);
      const until = await boundOf(query.until, context);
      const page = await rowsOf(reader, query, context, { since, until });
      const refused =
        query.cursor === undefined
          ? node.get(REFUSALS).list(since.timeMs ?? 0, until.timeMs ?? MAX_TIME, MAX_PAGE)
          : [];
      return {
        ...page,
        refusals: refused
          .filter((row) => query.caller === undefined || row.caller === query.caller)
          .filter((row) => query.operation === undefined || row.operation === query.operation)
          .filter((row) => context.visible(row.space))
          .map(({ minute, ...row }) => ({ time: timeOf(minute), ...row })),
      };
    },
  });
}

const MAX_TIME = Number.MAX_SAFE_INTEGER;

interface Bound {
  timeMs?: number;
  seq?: number;
}

async function boundOf(text: string | undefined, context: CallContext): Promise<Bound> {
  if (text === undefined) return {};
  if (/^[0-9a-f]{10}-[0-9]+$/.test(text)) return { seq: await context.reach(text) };
  const time = z.iso.datetime({ offset: true }).safeParse(text);
  if (time.success) return { timeMs: Date.parse(text) };
  throw new Fault("invalid_input", `${JSON.stringify(text)} is neither a time nor a position`, {
    hint: "Give a time such as 2026-01-31T12:00:00Z, or a position from an earlier response.",
  });
}

type FullRow = ChangeRow & { hash: Uint8Array };

async function rowsOf(
  reader: Reader,
  query: Input,
  context: CallContext,
  { since, until }: { since: Bound; until: Bound },
): Promise<Pick<z.output<typeof output>, "rows" | "cursor">> {
  const limit = query.limit ?? 100;
  const rows: FullRow[] = [];
  const page = (cursor?: number) => {
    context.spend(SHOW_ROW * rows.length);
    return { rows: rows.map(auditRowFor(context)), ...(cursor === undefined ? {} : { cursor: String(cursor) }) };
  };
  let below = Math.min(
    query.cursor === undefined ? MAX_TIME : parseNumberCursor(query.cursor, "the audit"),
    (until.seq ?? MAX_TIME - 1) + 1,
  );
  for (let step = 0; step < MAX_STEPS; step++) {
    const found = reader.all<FullRow>(
      "SELECT * FROM changes WHERE seq < ? AND seq > ? ORDER BY seq DESC LIMIT +?",
      below,
      since.seq ?? 0,
      STEP,
    );
    context.spend(LOOK_AT_ROW * found.length);
    for (const row of found) {
      if (row.log_time < (since.timeMs ?? 0)) return page();
      below = row.seq;
      if (matches(row, query, context, until)) rows.push(row);
      if (rows.length === limit) return page(below);
    }
    if (found.length < STEP) return page();
    await nextTurn();
    context.signal.throwIfAborted();
  }
  return page(below);
}

function matches(row: FullRow, query: Input, context: CallContext, until: Bound): boolean {
  return (
    row.log_time <= (until.timeMs ?? MAX_TIME) &&
    (query.caller === undefined || row.caller === query.caller) &&
    (query.operation === undefined || row.operation === query.operation) &&
    matchesFilter(changeOf(row), { prefix: query.prefix, maySee: context.maySee })
  );
}

function auditRowFor(context: CallContext) {
  return (row: FullRow) => ({
    position: context.positionAt(row.seq),
    time: timeOf(row.log_time),
    caller: row.caller,
    via: row.via,
    ...(row.client ? { client: row.client } : {}),
    ...(row.agent ? { agent: row.agent } : {}),
    operation: row.operation,
    target: row.target,
    version: row.version,
    content_hash: row.content_hash,
    outcome: row.outcome,
    hash: Buffer.from(row.hash).toString("hex"),
  });
}
