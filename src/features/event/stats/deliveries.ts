// How the deliveries of subscriptions go: place, lag, what fails, and the counts of the outbox of the leader.

import { setImmediate as nextTurn } from "node:timers/promises";
import { z } from "zod";
import { Fault } from "../../../lib/fault.ts";
import { SHOW_ROW } from "../../../lib/work.ts";
import { levelOf } from "../../../log/level.ts";
import type { CallContext } from "../../../operation/define.ts";
import type { Reader } from "../../../store/store.ts";
import type { EventLog, Range } from "../event-log.ts";
import type { Outbox } from "../subscription/outbox.ts";
import {
  deadSum,
  endOf,
  type FailingRow,
  failingRow,
  SUBSCRIPTION_LEVEL,
  type SubscriptionRow,
  targetRow,
} from "../subscription/rows.ts";

/** Subscriptions that are looked at before other work gets a turn. */
const STEP = 32;

/** How the deliveries of one subscription go. */
export const deliveryReport = z.object({
  id: z.string(),
  space: z.string(),
  target: z.string().describe("Name of the declared target; empty: a context of this fleet."),
  kind: z.string(),
  owner: z.string(),
  state: z.enum(["active", "failing", "paused"]),
  reason: z.string().optional().describe("Why it is paused."),
  rules: z.array(z.string()).describe("Ids of its rules; none: every event is sent."),
  behind: z
    .number()
    .int()
    .describe("Events of the log after its place, those of other spaces included; of a replay up to its end."),
  lag_seconds: z
    .number()
    .optional()
    .describe("Age of the oldest of them; 0: none. Left out: not known, because the log cannot be asked now."),
  delivered: z.number().int().describe("Since this leader leads, or the subscription was changed."),
  failed: z.number().int().describe("Failed attempts in that time."),
  error_rate: z.number().describe("Share of attempts that failed, 0 to 1."),
  dropped: z.number().int().describe("Left out by its rules in that time."),
  dead_letters: z.number().int(),
  problem: z.string().optional().describe("While it is failing: what the last attempt met."),
});

/** How the deliveries of one subscription go. */
export type DeliveryReport = z.output<typeof deliveryReport>;

/** What reports are made of. `outbox`: undefined where this node has none. */
interface DeliveryParts {
  reader: Reader;
  log: EventLog;
  outbox: Outbox | undefined;
  /** False: the log cannot be asked now, and lag is not known. */
  isLogAsked: boolean;
}

/** Reports whether a read failed because the log of events cannot be asked now. */
export function isAwayFault(error: unknown): boolean {
  return error instanceof Fault && error.code === "event_log_unavailable";
}

/** Returns the reports of the subscriptions whose space is visible, by id, in steps between other work. */
export async function deliveriesOf(
  parts: DeliveryParts,
  { nowMs, isVisible }: { nowMs: number; isVisible: (space: string) => boolean },
  { spend, signal }: Pick<CallContext, "spend" | "signal">,
): Promise<DeliveryReport[]> {
  const { reader } = parts;
  if (levelOf(reader) < SUBSCRIPTION_LEVEL) return [];
  const rows = reader
    .all<SubscriptionRow>("SELECT * FROM subscriptions ORDER BY id")
    .filter(({ space }) => isVisible(space));
  const reports: DeliveryReport[] = [];
  let { isLogAsked } = parts;
  for (const [index, row] of rows.entries()) {
    if (index % STEP === STEP - 1) await nextTurn();
    signal.throwIfAborted();
    spend(SHOW_ROW);
    const report = await reportOf({ ...parts, isLogAsked }, row, nowMs);
    // Others are not asked for in vain: each question has a deadline of its own.
    if (report.lag_seconds === undefined) isLogAsked = false;
    reports.push(report);
  }
  return reports;
}

async function reportOf(
  { reader, log, outbox, isLogAsked }: DeliveryParts,
  row: SubscriptionRow,
  nowMs: number,
): Promise<DeliveryReport> {
  const queue = outbox?.queue(row.id);
  const at = Math.max(row.cursor, queue?.at ?? 0);
  const { delivered = 0, failed = 0, dead = 0, dropped = 0 } = queue?.counts ?? {};
  const end = endOf(log.head(), row);
  const lag = isLogAsked ? await lagSeconds(log, { after: at, upTo: end }, nowMs) : undefined;
  const attempts = delivered + failed + dead;
  const failing = failingRow(reader, row.id);
  return {
    ...{ id: row.id, space: row.space, target: row.target, kind: kindOf(reader, row), owner: row.caller },
    state: row.state === "paused" ? "paused" : failing === undefined ? "active" : "failing",
    ...(row.reason === "" ? {} : { reason: row.reason }),
    rules: (JSON.parse(row.rules) as { id: string }[]).map(({ id }) => id),
    behind: Math.max(0, end - at),
    ...(lag === undefined ? {} : { lag_seconds: lag }),
    ...{ delivered, failed: failed + dead, dropped },
    error_rate: attempts === 0 ? 0 : Math.round(((failed + dead) / attempts) * 10_000) / 10_000,
    dead_letters: deadSum(reader, row.id).count,
    ...(failing === undefined ? {} : { problem: problemOf(failing) }),
  };
}

/** Returns the age of the oldest event of a range; 0: there is none; undefined: the log cannot be asked. */
async function lagSeconds(log: EventLog, { after, upTo }: Range, nowMs: number): Promise<number | undefined> {
  try {
    const oldestMs = await log.orderedAfter(after, upTo);
    return oldestMs === undefined ? 0 : Math.max(0, Math.round(nowMs - oldestMs) / 1000);
  } catch (error) {
    if (isAwayFault(error)) return undefined;
    throw error;
  }
}

function problemOf({ status, detail }: FailingRow): string {
  return status === 0 ? detail : `HTTP ${status} ${detail}`.trimEnd();
}

function kindOf(reader: Reader, { target, config }: SubscriptionRow): string {
  const text = target === "" ? config : targetRow(reader, target)?.config;
  return text === undefined ? "none" : (JSON.parse(text) as { kind: string }).kind;
}
