// subscription_test: what rules would have done to the newest events of a space, without sending anything.

import { z } from "zod";
import { ShortTurns } from "../../../lib/short-turns.ts";
import { LOOK_AT_ROW, READ_BYTE, SHOW_ROW } from "../../../lib/work.ts";
import { type CallContext, type ReadOperation, read } from "../../../operation/define.ts";
import type { Services } from "../../../operation/services.ts";
import { refuseBelowLevel } from "../../../operation/versions.ts";
import { spaceArgument } from "../arguments.ts";
import { cursorText } from "../cursor.ts";
import { EVENT_LOG, type EventLog } from "../event-log.ts";
import type { EventRow } from "../rows.ts";
import { Effort, RuleSet, rules, type Verdict } from "../rules/index.ts";
import { queuedRow } from "./events.ts";
import { SUBSCRIPTION_LEVEL } from "./rows.ts";

const MAX_EVENTS = 1000;
const DEFAULT_EVENTS = 100;
/** Newest events of the log among which those of the space are looked for; read at once. */
const MAX_LOOKED_AT = 20_000;
const STEP = 256;
/** Events that are shown as they would be sent, and bytes of them. */
const MAX_SHOWN = 20;
const MAX_SHOWN_BYTES = 65_536;
/** Units of evaluating rules on one event, beside its bytes and what they take (rules/effort.ts). */
const EVALUATE = 50_000;

const line = z.object({
  cursor: z.string(),
  id: z.string(),
  type: z.string(),
  outcome: z.enum(["forward", "drop", "limited", "none"]),
  rule: z.string().optional(),
  problems: z.array(z.object({ rule: z.string(), reason: z.string() })).optional(),
  event: z.record(z.string(), z.unknown()).optional().describe("As it would be sent; of the newest 20 alone."),
});

const input = z.object({
  space: spaceArgument.describe("Space of the events."),
  rules,
  last: z.number().int().min(1).max(MAX_EVENTS).optional().describe(`So many events, ${DEFAULT_EVENTS} by default.`),
});
const output = z.object({
  counts: z.object({ forward: z.number(), drop: z.number(), limited: z.number(), none: z.number() }),
  events: z.array(line).describe("The oldest first."),
});

/** Returns the operation that tries rules. */
export function subscriptionTest(node: Services): ReadOperation<typeof input, typeof output> {
  return read({
    name: "subscription_test",
    isTool: false,
    title: "Try the rules of a subscription",
    search: "test rules, dry run, filter events",
    description:
      "Shows what rules would have done to the newest events of a space: which rule decides, why one failed, and what would be sent. Nothing is sent. Tags of senders are not known here.",
    input,
    example: { space: "team-a", rules: [{ id: "all", match: { cel: 'event.type.startsWith("build.")' } }] },
    samples: { last: 10 },
    maxInputBytes: 262_144,
    output,
    access: { verb: "read", spaces: ({ space }) => [space] },
    async run(reader, { space, rules: list, last = DEFAULT_EVENTS }, context) {
      refuseBelowLevel(reader, SUBSCRIPTION_LEVEL, "subscription_test");
      const set = new RuleSet(list);
      const log = node.get(EVENT_LOG);
      const epoch = log.name();
      const counts = { forward: 0, drop: 0, limited: 0, none: 0 };
      const events: z.output<typeof line>[] = [];
      let left = MAX_SHOWN_BYTES;
      for await (const row of newestOf(log, space, last, context)) {
        const { record, sender } = queuedRow(row, epoch);
        const effort = new Effort();
        const verdict = set.decide(record, sender, () => true, effort);
        context.spend(EVALUATE + effort.spent + SHOW_ROW + READ_BYTE * row.size);
        counts[verdict.outcome] += 1;
        const shownEvent = counts.forward <= MAX_SHOWN ? sentOf(verdict, left) : undefined;
        left -= shownEvent?.bytes ?? 0;
        events.push(lineOf(row, verdict, shownEvent?.event, epoch));
      }
      return { counts, events: events.reverse() };
    },
  });
}

/** Returns the newest events of a space, the newest first, in steps between other work. */
async function* newestOf(
  log: EventLog,
  space: string,
  max: number,
  { spend, signal }: Pick<CallContext, "spend" | "signal">,
): AsyncGenerator<EventRow> {
  const turns = new ShortTurns();
  let left = max;
  let at = Number.MAX_SAFE_INTEGER;
  for (let looked = 0; left > 0 && looked < MAX_LOOKED_AT; ) {
    const rows = await log.before(at, STEP);
    if (rows.length === 0) return;
    looked += rows.length;
    at = rows.at(-1)?.offset ?? 0;
    spend(LOOK_AT_ROW * rows.length);
    for (const row of rows) {
      if (row.space !== space || left === 0) continue;
      left -= 1;
      yield row;
      if (turns.isOver) await turns.give();
      signal.throwIfAborted();
    }
    await turns.give();
  }
}

function sentOf(verdict: Verdict, left: number): { event: Record<string, unknown>; bytes: number } | undefined {
  if (verdict.outcome !== "forward") return undefined;
  const text = JSON.stringify(verdict.record);
  return text.length > left ? undefined : { event: { ...verdict.record }, bytes: text.length };
}

function lineOf(
  { offset, id, type }: EventRow,
  verdict: Verdict,
  event: Record<string, unknown> | undefined,
  epoch: string,
): z.output<typeof line> {
  const rule = "rule" in verdict ? verdict.rule : undefined;
  return {
    ...{ cursor: cursorText(epoch, offset), id, type, outcome: verdict.outcome },
    ...(rule === undefined ? {} : { rule }),
    ...(verdict.problems.length === 0 ? {} : { problems: [...verdict.problems] }),
    ...(event === undefined ? {} : { event }),
  };
}
