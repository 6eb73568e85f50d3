// subscription_list and subscription_get: what is subscribed, and how its deliveries go.

import { z } from "zod";
import { timeOf } from "../../../lib/time-of.ts";
import { READ_BYTE, SHOW_ROW } from "../../../lib/work.ts";
import { type ReadOperation, read } from "../../../operation/define.ts";
import { listCursor, parseListCursor } from "../../../operation/page-cursor.ts";
import type { Services } from "../../../operation/services.ts";
import { refuseBelowLevel } from "../../../operation/versions.ts";
import { spaceArgument } from "../arguments.ts";
import { cursorText, logNameOf } from "../cursor.ts";
import { EVENT_LOG } from "../event-log.ts";
import { ofItsSpace, presentSubscription, shownOf, shownSubscription, subscriptionId } from "./arguments.ts";
import { OUTBOX } from "./open-outbox.ts";
import { deadSum, endOf, failingRow, SUBSCRIPTION_LEVEL, type SubscriptionRow, subscriptionRow } from "./rows.ts";

const attempt = z.object({
  at: z.string(),
  offset: z.number().int(),
  attempt: z.number().int(),
  result: z.enum(["delivered", "skipped", "failed", "refused", "ended"]),
  status: z.number().int().describe("0: there was no response."),
  duration_ms: z.number(),
  detail: z.string().describe("The first 512 bytes of the response, or what failed."),
});

const MAX_PAGE = 500;
const DEFAULT_PAGE = 100;
/** Longest cursor: the longest id in base64, with room. */
const MAX_CURSOR = 512;
/** What a cursor of the list has. */
const place = z.tuple([subscriptionId]);

/** Lists subscriptions. */
export const subscriptionList = read({
  name: "subscription_list",
  isTool: false,
  title: "List subscriptions",
  description: "Lists the subscriptions of the spaces that you may read, ordered by id.",
  input: z.object({
    space: spaceArgument.optional().describe("Only those of this space."),
    limit: z.number().int().min(1).max(MAX_PAGE).optional().describe(`At most this many (default ${DEFAULT_PAGE}).`),
    cursor: z.string().min(1).max(MAX_CURSOR).optional().describe("The cursor of the previous page."),
  }),
  example: {},
  samples: { space: "team-a", limit: 20, cursor: listCursor(["team-a/alerts"]) },
  output: z.object({
    subscriptions: z.array(shownSubscription),
    cursor: z.string().optional().describe("Pass it back for the next page; absent on the last."),
  }),
  access: { verb: "read", spaces: ({ space }) => (space === undefined ? "visible" : [space]) },
  run(reader, { space, limit = DEFAULT_PAGE, cursor }, context) {
    const [after] = cursor === undefined ? [""] : parseListCursor(cursor, place, "subscription_list");
    refuseBelowLevel(reader, SUBSCRIPTION_LEVEL, "subscription_list");
    const found = reader
      .all<Pick<SubscriptionRow, "id" | "space">>("SELECT id, space FROM subscriptions WHERE id > ? ORDER BY id", after)
      .filter((row) => (space === undefined || row.space === space) && context.visible(row.space));
    const rows = found.slice(0, limit).flatMap(({ id }) => subscriptionRow(reader, id) ?? []);
    const bytes = rows.reduce((sum, { rules, config }) => sum + rules.length + config.length, 0);
    context.spend(SHOW_ROW * rows.length + READ_BYTE * bytes);
    const last = rows.at(-1);
    return {
      subscriptions: rows.map((row) => shownOf(reader, row)),
      ...(found.length > limit && last !== undefined ? { cursor: listCursor([last.id]) } : {}),
    };
  },
});

const getInput = z.object({ id: subscriptionId });
const getOutput = z.object({
  subscription: shownSubscription,
  behind: z
    .number()
    .int()
    .describe("Events of the log after its place, those of other spaces included; of a replay up to its end."),
  dead_letters: z.number().int(),
  failing: z
    .object({
      offset: z.number().int(),
      attempts: z.number().int(),
      next: z.string(),
      status: z.number().int(),
      detail: z.string(),
    })
    .optional()
    .describe("The event that the target does not take now."),
  attempts: z.array(attempt).describe("The newest, since this leader leads."),
  counts: z
    .record(z.string(), z.number().int())
    .describe(
      "Since this leader leads, or the subscription was changed: delivered, failed, dropped by rules, limited, dead, rule_problems.",
    ),
  rule_problem: z.object({ rule: z.string(), reason: z.string() }).optional().describe("Why a rule failed last."),
  at: z.string().describe("Every event up to this cursor is done with now."),
});

/** Returns the operation that shows one subscription. */
export function subscriptionGet(node: Services): ReadOperation<typeof getInput, typeof getOutput> {
  return read({
    name: "subscription_get",
    atLeader: true,
    isTool: false,
    title: "Show a subscription",
    search: "delivery status, webhook attempts",
    description: "Shows one subscription and how its deliveries go: place, attempts, what fails now, dead letters.",
    input: getInput,
    example: { id: "team-a/alerts" },
    output: getOutput,
    access: { verb: "read", spaces: ofItsSpace },
    hints: { idempotent: true },
    run(reader, { id }, context) {
      refuseBelowLevel(reader, SUBSCRIPTION_LEVEL, "subscription_get");
      const row = presentSubscription(reader, id);
      const queue = node.find(OUTBOX)?.queue(id);
      const failing = failingRow(reader, id);
      const dead = deadSum(reader, id).count;
      context.spend(SHOW_ROW);
      const at = Math.max(row.cursor, queue?.at ?? 0);
      return {
        subscription: shownOf(reader, row),
        behind: Math.max(0, endOf(node.get(EVENT_LOG).head(), row) - at),
        dead_letters: dead,
        ...(failing === undefined ? {} : { failing: shownFailing(failing) }),
        attempts: (queue?.attempts ?? []).map(({ at: ms, ...rest }) => ({ at: timeOf(ms), ...rest })),
        counts: { ...queue?.counts },
        ...(queue?.lastRuleProblem === undefined ? {} : { rule_problem: queue.lastRuleProblem }),
        at: cursorText(logNameOf(reader), at),
      };
    },
  });
}

function shownFailing({ offset, attempts, next_at, status, detail }: NonNullable<ReturnType<typeof failingRow>>) {
  return { offset, attempts, next: timeOf(next_at), status, detail };
}
