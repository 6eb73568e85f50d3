// event_replay_count and event_replay: a range of kept events is sent again, by a subscription that ends with it. What
// it would send is counted first.

import { z } from "zod";
import { spaceOf } from "../../../access/space.ts";
import { Fault } from "../../../lib/fault.ts";
import { ShortTurns } from "../../../lib/short-turns.ts";
import { LOOK_AT_ROW, READ_BYTE } from "../../../lib/work.ts";
import { type CallContext, macro, type Operation, type ReadOperation, read } from "../../../operation/define.ts";
import type { Services } from "../../../operation/services.ts";
import { refuseBelowLevel } from "../../../operation/versions.ts";
import type { Reader } from "../../../store/store.ts";
import { cursorArgument, spaceArgument, timeArgument } from "../arguments.ts";
import { cursorText } from "../cursor.ts";
import { EVENT_LOG, type EventLog } from "../event-log.ts";
import { Effort, type Rule, RuleSet, rules } from "../rules/index.ts";
import { ofItsSpace, shownSubscription, subscriptionId, targetName } from "./arguments.ts";
import { queuedRow } from "./events.ts";
import { SUBSCRIPTION_LEVEL } from "./rows.ts";
import {
  DEFAULT_REPLAY_RATE,
  refuseNew,
  replayRate,
  requiredPlaceOf,
  subscriptionCreate,
} from "./subscription-operations.ts";
import { contextTarget } from "./targets/declared.ts";

/** Most events that are looked at for a count. */
const MAX_COUNTED = 100_000;
const STEP = 64;
/** Units of evaluating rules on one event, beside its bytes and what they take (rules/effort.ts). */
const EVALUATE = 10_000;

const range = {
  since: cursorArgument.optional().describe("The events after this cursor, or oldest."),
  time: timeArgument.optional().describe("In place of since: the events that were ordered at this time or later."),
  until: cursorArgument.optional().describe("Up to this cursor; left out: to the newest event there is now."),
  until_time: timeArgument.optional().describe("In place of until: the events that were ordered before this time."),
  rules: rules.optional().describe("Which of them, and what is made of them, as in subscription_create."),
};
const counted = {
  since: z.string(),
  until: z.string(),
  events: z.number().int().describe("So many events would be sent; tags of senders are not known to rules here."),
  left_out: z.number().int().describe("So many of the space would not, by the rules."),
  bytes: z.number().int().describe("Of the events that would be sent, as they were published."),
  complete: z.boolean().describe(`False: the range is longer than ${MAX_COUNTED} events, and only those are counted.`),
};
const where = {
  target: targetName.optional().describe("A declared target that is open to the space."),
  context: contextTarget.optional().describe("Or a document of this fleet, written as you."),
};
const countInput = z.object({
  space: spaceArgument.describe("Space of the events."),
  ...range,
  ...where,
  id: subscriptionId
    .optional()
    .describe(
      "Also judges, with target or context, whether you may create that subscription, and refuses as it would.",
    ),
});

const countOutput = z.object(counted);
const COUNT = "event_replay_count";

/** Returns the operation that counts a replay. */
export function eventReplayCount(node: Services): ReadOperation<typeof countInput, typeof countOutput> {
  return read({
    name: COUNT,
    isTool: false,
    title: "Count what a replay would send",
    search: "dry run, how many events",
    description: "Counts the kept events of a range that rules would send, without sending anything.",
    input: countInput,
    example: { space: "team-a", since: "oldest" },
    samples: {
      ...{ time: "2026-11-29T16:31:00Z", until: "1f3a9c0b22-e9", until_time: "2026-11-29T17:00:00Z" },
      rules: [{ id: "all" }],
      ...{ id: "team-a/again", target: "ops", context: { kind: "context", mode: "append", id: "team-a/again" } },
    },
    maxInputBytes: 262_144,
    output: countOutput,
    access: { verb: "read", spaces: ({ space }) => [space] },
    async run(reader, { space, rules: list = [], id, target, context: document, ...places }, context) {
      refuseBelowLevel(reader, SUBSCRIPTION_LEVEL, COUNT);
      if (document !== undefined) refuseDocument(document, context);
      if (id !== undefined) refuseSubscription(reader, id, target, context);
      const log = node.get(EVENT_LOG);
      const [from, to] = await rangeOf(log, places);
      const epoch = log.name();
      const counts = await countOf(log, { space, list, from, to, epoch }, context);
      return { since: cursorText(epoch, from), until: cursorText(epoch, to), ...counts };
    },
  });
}

/** Throws Fault `forbidden` where the caller may not write a document that events are to go into. */
function refuseDocument({ id, mode }: z.output<typeof contextTarget>, { rights }: Pick<CallContext, "rights">): void {
  for (const operation of mode === "put" ? ["context_put"] : ["context_patch", "context_put"])
    refuseWithout(rights, operation, spaceOf(id));
}

/** Throws the Fault that subscription_create would have: of rights, of the id, of its target, or of their number. */
function refuseSubscription(
  reader: Reader,
  id: string,
  target: string | undefined,
  { rights, author }: Pick<CallContext, "rights" | "author">,
): void {
  refuseWithout(rights, subscriptionCreate.name, spaceOf(id));
  refuseNew(reader, { id, target: target ?? "" }, author);
}

function refuseWithout(rights: CallContext["rights"], operation: string, space: string): void {
  if (rights.mayUse({ verb: "write", operation, space })) return;
  throw new Fault("forbidden", `You may not use ${operation} in the space ${JSON.stringify(space)}`, {
    hint: "whoami lists your grants; a replay into a document writes it as you.",
    details: { space },
  });
}

type Places = Pick<z.output<typeof countInput>, "since" | "time" | "until" | "until_time">;

/** Returns a range of offsets: after the first, up to the second. Faults of `EventLog.judge`, and `invalid_input`. */
async function rangeOf(
  log: EventLog,
  { since, time, until, until_time: untilTime }: Places,
): Promise<readonly [number, number]> {
  const { floor, tail } = log.head();
  if ((since === undefined) === (time === undefined)) throw onePlace("since", "time", "where it begins");
  if (until !== undefined && untilTime !== undefined) throw onePlace("until", "until_time", "where it ends");
  const at = (cursor: string) => (cursor === "oldest" ? floor : cursor === "now" ? tail : log.judge(cursor));
  const before = async (text: string) => Math.max(floor, await log.offsetBefore(Date.parse(text)));
  const from = since === undefined ? await before(time ?? "") : at(since);
  const to = untilTime === undefined ? at(until ?? "now") : await before(untilTime);
  if (to > from) return [from, to];
  throw new Fault("invalid_input", "The range has no events that are still kept", {
    hint: "event_list shows which are kept; until must lie after since.",
    details: { field: untilTime === undefined ? "until" : "until_time" },
  });
}

function onePlace(one: string, other: string, what: string): Fault {
  return new Fault("invalid_input", `A replay needs one of ${one} and ${other}: ${what}`, {
    hint: `For example: {"${one}": "1f3a9c0b22-e7"}.`,
    details: { field: one },
  });
}

interface Counting {
  space: string;
  list: Rule[];
  from: number;
  to: number;
  epoch: string;
}

async function countOf(
  log: EventLog,
  { space, list, from, to, epoch }: Counting,
  context: Pick<CallContext, "signal" | "spend">,
) {
  const set = new RuleSet(list);
  const counts = { events: 0, left_out: 0, bytes: 0, complete: to - from <= MAX_COUNTED };
  const last = Math.min(to, from + MAX_COUNTED);
  const turns = new ShortTurns();
  for (let at = from; at < last; ) {
    await turns.give();
    context.signal.throwIfAborted();
    const rows = await log.after(at, Math.min(STEP, last - at));
    at = rows.at(-1)?.offset ?? last;
    context.spend(LOOK_AT_ROW * rows.length);
    for (const row of rows) {
      if (row.space !== space || row.offset > last) continue;
      if (turns.isOver) await turns.give();
      const effort = new Effort();
      const { record, sender } = queuedRow(row, epoch);
      const { outcome } = set.decide(record, sender, () => true, effort);
      context.spend(EVALUATE + effort.spent + READ_BYTE * row.size);
      if (outcome === "forward") {
        counts.events += 1;
        counts.bytes += row.size;
      } else counts.left_out += 1;
    }
  }
  return counts;
}

const replayInput = z.object({
  id: subscriptionId.describe("Of the subscription that sends it: the space of the events, a slash and a new name."),
  ...where,
  ...range,
  rate: replayRate,
  dry: z.boolean().optional().describe("True (default): nothing is sent; the answer says what would be, or why not."),
});
const EXAMPLE = { id: "team-a/again", target: "ops", since: "oldest" };

/** Sends a range again. */
export const eventReplay = macro({
  name: "event_replay",
  isTool: false,
  title: "Send kept events again",
  search: "replay, resend events, backfill",
  description:
    "Sends a range of the kept events of a space again, to a target or into a document, by a subscription of its own that is done with the last of them. It is signed when it is sent, under message ids of its own. By default it only counts: call it with dry false to send. The steps are event_replay_count and subscription_create.",
  input: replayInput,
  example: EXAMPLE,
  samples: {
    ...{ time: "2026-11-29T16:31:00Z", until: "1f3a9c0b22-e9", until_time: "2026-11-29T17:00:00Z", dry: true },
    ...{ rules: [{ id: "all" }], rate: 50, context: { kind: "context", mode: "append", id: "team-a/again" } },
  },
  maxInputBytes: 262_144,
  output: z.object({
    ...counted,
    seconds: z.number().int().describe("The rate alone makes it last so long."),
    subscription: shownSubscription.optional().describe("What sends it; left out where it was only counted."),
  }),
  access: { verb: "write", spaces: ofItsSpace },
  hints: { idempotent: false },
  async run({ id, target, context, rate = DEFAULT_REPLAY_RATE, dry = true, ...asked }, { ask }) {
    requiredPlaceOf({ target, context });
    // A repetition of a call under its key must get to the subscription that the first one made.
    const judged = defined(dry ? { id, target, context } : { context });
    const found = await ask(COUNT, { space: spaceOf(id), ...defined(asked), ...judged });
    const counts = countOutput.parse(found);
    const seconds = Math.ceil(counts.events / rate);
    if (dry) return { ...counts, seconds };
    const { since, until } = counts;
    const input = { id, since, until, rate, ...defined({ target, context, rules: asked.rules }) };
    const subscription = shownSubscription.parse(await ask(subscriptionCreate.name, input));
    return { ...counts, seconds, subscription };
  },
});

function defined(values: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}

/** Returns every operation of replays. */
export function replayOperations(node: Services): readonly Operation[] {
  return [eventReplayCount(node), eventReplay];
}
