// event_stats: what was published in a range of time, by type, source, space, sender and interval; how rules would
// class it; how deliveries go.

import { z } from "zod";
import { timeOf } from "../../../lib/time-of.ts";
import { READ_BYTE, SHOW_ROW } from "../../../lib/work.ts";
import { type CallContext, type ReadOperation, read } from "../../../operation/define.ts";
import { NODE } from "../../../operation/node-parts.ts";
import type { Services } from "../../../operation/services.ts";
import { refuseBelowLevel } from "../../../operation/versions.ts";
import { chosen, chosenAliases, timeArgument } from "../arguments.ts";
import { type Chosen, chooser } from "../chosen.ts";
import { EVENT_LOG, type EventLog, type EventOutline, type Range } from "../event-log.ts";
import { EVENT_LEVEL, type EventRow } from "../rows.ts";
import { Effort, type Rule, RuleSet, rules } from "../rules/index.ts";
import { queuedRow } from "../subscription/events.ts";
import { OUTBOX } from "../subscription/open-outbox.ts";
import { deliveriesOf, deliveryReport } from "./deliveries.ts";
import { scanDown, wholeEvents } from "./scan.ts";
import { bucketSeconds, type Share, Tally } from "./tally.ts";

/** Most events that one call counts, and that it asks rules about. */
export const MAX_COUNTED = 100_000;
const MAX_CLASSED = 2_000;
const HOUR_MS = 3_600_000;
/** Units of evaluating rules on one event, beside its bytes and what they take (rules/effort.ts). */
const EVALUATE = 50_000;

const share = z.array(z.object({ name: z.string(), events: z.number().int(), bytes: z.number().int() }));

const input = z.object({
  ...chosen,
  after: timeArgument.optional().describe("Events that were ordered at this time or later (default: an hour ago)."),
  until_time: timeArgument.optional().describe("Events that were ordered before this time (default: now)."),
  bucket_seconds: z.number().int().min(1).max(86_400).optional().describe("Length of intervals (default 60)."),
  top: z.number().int().min(1).max(100).optional().describe("So many names of each kind (default 10)."),
  rules: rules.optional().describe("Classes as rules: each event is of the first that takes it."),
});

const output = z.object({
  from: z.string().describe("Events since then were counted."),
  to: z.string(),
  complete: z.boolean().describe(`false: there are more than ${MAX_COUNTED} events; counted are the newest.`),
  events: z.number().int(),
  bytes: z.number().int(),
  types: share.describe("Those with the most events, as of all lists here."),
  sources: share,
  spaces: share,
  senders: share.describe("Verified callers, with the agent as which they acted."),
  bucket_seconds: z.number().int(),
  buckets: z.array(z.object({ at: z.string(), events: z.number().int() })).describe("Intervals that have events."),
  classes: z
    .object({
      looked_at: z.number().int().describe(`The newest events, ${MAX_CLASSED} at most.`),
      by_rule: z.array(z.object({ rule: z.string(), events: z.number().int(), failed: z.number().int() })),
      none: z.number().int().describe("Events that no rule takes."),
    })
    .optional(),
  deliveries: z.array(deliveryReport).describe("Of the subscriptions of the spaces that are counted."),
});

/** Returns the operation. */
export function eventStats(node: Services): ReadOperation<typeof input, typeof output> {
  return read({
    name: "event_stats",
    atLeader: true,
    isTool: false,
    title: "Count events",
    search: "event statistics, rates, top talkers, error rate, lag, analytics",
    description:
      "Counts the events of a range of time that you may read: by type, source, space, sender and interval, and by classes that you give as rules. Shows lag and error rate of subscriptions.",
    input,
    example: { space: "team-a", top: 5 },
    samples: {
      ...{ after: "2026-11-29T16:00:00Z", until_time: "2026-11-29T17:00:00Z", bucket_seconds: 60 },
      ...{ types: ["build.*"], source: "user:ann@example.com/*", subject: "main" },
      rules: [{ id: "failed", match: { cel: 'event.type == "build.failed"' } }],
    },
    maxInputBytes: 262_144,
    output,
    access: { verb: "read", spaces: ({ space }) => (space === undefined ? "visible" : [space]) },
    hints: { idempotent: true },
    aliases: chosenAliases,
    async run(reader, { after, until_time: until, bucket_seconds = 60, top = 10, rules: classes, ...wanted }, context) {
      refuseBelowLevel(reader, EVENT_LEVEL, "event_stats");
      const nowMs = node.get(NODE).nowMs();
      const toMs = until === undefined ? nowMs : Date.parse(until);
      const fromMs = after === undefined ? toMs - HOUR_MS : Date.parse(after);
      const log = node.get(EVENT_LOG);
      const range = await rangeOf(log, fromMs, until === undefined ? undefined : toMs);
      const seconds = bucketSeconds(bucket_seconds, toMs - fromMs);
      const { tally, isWhole, oldestMs } = await count(log, range, { seconds, toMs }, wanted, context);
      const found = classes && (await classify(log, range, classes, wanted, context));
      const isVisible = (space: string) =>
        (wanted.space === undefined || wanted.space === space) && context.visible(space);
      const names = (from: { top(max: number): Share[] }) => from.top(top);
      return {
        ...{ from: timeOf(isWhole ? fromMs : oldestMs), to: timeOf(toMs), complete: isWhole },
        ...{ events: tally.events, bytes: tally.bytes },
        ...{ types: names(tally.types), sources: names(tally.sources) },
        ...{ spaces: names(tally.spaces), senders: names(tally.senders) },
        ...{ bucket_seconds: seconds, buckets: shownBuckets(tally) },
        ...(found === undefined ? {} : { classes: found }),
        deliveries: await deliveriesOf(
          { reader, log, outbox: node.find(OUTBOX), isLogAsked: true },
          { nowMs, isVisible },
          context,
        ),
      };
    },
  });
}

function shownBuckets(tally: Tally): { at: string; events: number }[] {
  return tally.buckets().map(({ atMs, events }) => ({ at: timeOf(atMs), events }));
}

async function rangeOf(log: EventLog, fromMs: number, toMs: number | undefined): Promise<Range> {
  const upTo = await (toMs === undefined ? log.head().tail : log.offsetBefore(toMs));
  return { after: await log.offsetBefore(fromMs), upTo };
}

async function count(
  log: EventLog,
  range: Range,
  { seconds, toMs }: { seconds: number; toMs: number },
  wanted: Chosen,
  context: CallContext,
): Promise<{ tally: Tally; isWhole: boolean; oldestMs: number }> {
  const tally = new Tally(seconds * 1000);
  const isChosen = chooser(wanted, context);
  // Of what the caller may see: the time of another event is not told either.
  let oldestMs = toMs;
  const look = (row: EventOutline) => {
    if (!isChosen(row)) return;
    oldestMs = row.log_time;
    tally.add(row);
  };
  const at = await scanDown({ range, max: MAX_COUNTED, read: log.outlines.bind(log) }, look, context);
  return { tally, isWhole: at <= range.after, oldestMs };
}

/** Tags of senders are not known here, as in subscription_test. */
async function classify(
  log: EventLog,
  range: Range,
  list: readonly Rule[],
  wanted: Chosen,
  context: CallContext,
): Promise<NonNullable<z.output<typeof output>["classes"]>> {
  const set = new RuleSet(list);
  const epoch = log.name();
  const isChosen = chooser(wanted, context);
  const byRule = new Map(list.map(({ id }) => [id, { rule: id, events: 0, failed: 0 }]));
  const sums = { looked_at: 0, none: 0 };
  const look = (row: EventRow) => {
    if (!isChosen(row)) return;
    sums.looked_at += 1;
    const { record, sender } = queuedRow(row, epoch);
    const effort = new Effort();
    const verdict = set.decide(record, sender, () => true, effort);
    context.spend(EVALUATE + effort.spent + SHOW_ROW + READ_BYTE * row.size);
    const taken = "rule" in verdict && verdict.rule !== undefined ? byRule.get(verdict.rule) : undefined;
    if (taken === undefined) sums.none += 1;
    else taken.events += 1;
    for (const { rule } of verdict.problems) {
      const failed = byRule.get(rule);
      if (failed !== undefined) failed.failed += 1;
    }
  };
  await scanDown({ range, max: MAX_CLASSED, step: 16, read: wholeEvents(log) }, look, context);
  return { ...sums, by_rule: [...byRule.values()] };
}
