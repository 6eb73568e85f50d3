// dead_letter_list, dead_letter_redrive, dead_letter_purge: events that a target did not take.

import { z } from "zod";
import { timeOf } from "../../../lib/time-of.ts";
import { LOOK_AT_ROW, SHOW_ROW, WRITE_ROW } from "../../../lib/work.ts";
import { read, write } from "../../../operation/define.ts";
import { refuseBelowLevel } from "../../../operation/versions.ts";
import type { Reader, Writer } from "../../../store/store.ts";
import { logNameOf } from "../cursor.ts";
import { shown, shownEvent } from "../shown.ts";
import { ofItsSpace, presentSubscription, subscriptionChange, subscriptionId } from "./arguments.ts";
import { type DeadRow, deadSum, eventOfDead, SUBSCRIPTION_LEVEL } from "./rows.ts";

const MAX_PAGE = 100;
const MAX_OFFSETS = 1000;
const EXAMPLE = { id: "team-a/alerts" };

const offsets = z
  .array(z.number().int().min(1))
  .min(1)
  .max(MAX_OFFSETS)
  .optional()
  .describe("Only these, by the offsets of the list; left out: all.");
const dry = z.boolean().optional().describe("True: nothing is done; the answer says how many it would be.");
/** As many rows as there may be, each with its event. */
const work = () => 40 * WRITE_ROW;

/** Lists dead letters. */
export const deadLetterList = read({
  name: "dead_letter_list",
  isTool: false,
  title: "List dead letters",
  search: "failed deliveries, undelivered events",
  description: "Lists the events that the target of a subscription did not take, the oldest first, with what it said.",
  input: z.object({
    id: subscriptionId,
    after: z.number().int().min(0).optional().describe("Those after this offset, for the next page."),
    limit: z.number().int().min(1).max(MAX_PAGE).optional().describe("At most this many (default 20)."),
  }),
  example: EXAMPLE,
  samples: { after: 42, limit: 10 },
  output: z.object({
    total: z.number().int(),
    bytes: z.number().int(),
    letters: z.array(
      z.object({
        offset: z.number().int(),
        state: z.enum(["dead", "sent_again"]),
        attempts: z.number().int(),
        status: z.number().int().describe("Of the last response; 0: there was none."),
        detail: z.string(),
        at: z.string(),
        event: shownEvent,
      }),
    ),
  }),
  access: { verb: "read", spaces: ofItsSpace },
  run(reader, { id, after = 0, limit = 20 }, context) {
    refuseBelowLevel(reader, SUBSCRIPTION_LEVEL, "dead_letter_list");
    presentSubscription(reader, id);
    const rows = reader.all<DeadRow>(
      "SELECT * FROM dead_letters WHERE subscription = ? AND offset > ? ORDER BY offset LIMIT +?",
      ...[id, after, limit],
    );
    const { count: total, bytes } = deadSum(reader, id);
    context.spend(LOOK_AT_ROW * total + SHOW_ROW * rows.length);
    const epoch = logNameOf(reader);
    return { total, bytes, letters: rows.map((row) => shownLetter(row, epoch)) };
  },
});

function shownLetter(row: DeadRow, epoch: string) {
  const { offset, attempts, status, detail, at } = row;
  const state = row.again === 1 ? ("sent_again" as const) : ("dead" as const);
  return { offset, state, attempts, status, detail, at: timeOf(at), event: shown(eventOfDead(row), epoch) };
}

/** Sends dead letters again. */
export const deadLetterRedrive = write({
  name: "dead_letter_redrive",
  v: 1,
  level: SUBSCRIPTION_LEVEL,
  isTool: false,
  title: "Send dead letters again",
  search: "retry failed deliveries",
  description:
    "Sends dead letters again, once each, under the same message id and beside newer events. One that is taken leaves the list. With dry it only counts.",
  input: z.object({ id: subscriptionId, offsets, dry }),
  example: EXAMPLE,
  samples: { offsets: [42], dry: true },
  output: z.object({ letters: z.number().int() }),
  access: { verb: "write", spaces: ofItsSpace },
  hints: { idempotent: true },
  target: "id",
  work,
  prepare: (input) => input,
  apply: (tx, input) =>
    changeLetters(tx, input, {
      sql: "UPDATE dead_letters SET again = 1 WHERE subscription = ? AND offset = ?",
      outcome: "letters_sent_again",
    }),
});

/** Removes dead letters. */
export const deadLetterPurge = write({
  name: "dead_letter_purge",
  v: 1,
  level: SUBSCRIPTION_LEVEL,
  isTool: false,
  title: "Remove dead letters",
  description: "Removes dead letters for good. With dry it only counts.",
  input: z.object({ id: subscriptionId, offsets, dry }),
  example: { ...EXAMPLE, dry: true },
  samples: { offsets: [42] },
  output: z.object({ letters: z.number().int() }),
  access: { verb: "write", spaces: ofItsSpace },
  hints: { idempotent: true, destructive: true },
  target: "id",
  work,
  prepare: (input) => input,
  apply: (tx, input) =>
    changeLetters(tx, input, {
      sql: "DELETE FROM dead_letters WHERE subscription = ? AND offset = ?",
      outcome: "letters_removed",
    }),
});

interface ChosenLetters {
  id: string;
  offsets?: number[] | undefined;
  dry?: boolean | undefined;
}

/** Runs a statement for each chosen letter; a dry run only counts them. */
function changeLetters(
  tx: Writer,
  { id, offsets: chosen, dry: isDry = false }: ChosenLetters,
  { sql, outcome }: { sql: string; outcome: string },
) {
  presentSubscription(tx, id);
  const found = chosenOf(tx, id, chosen);
  const output = { letters: found.length };
  if (isDry || found.length === 0) return { output, changes: [] };
  for (const offset of found) tx.run(sql, id, offset);
  return { output, changes: [subscriptionChange(id, outcome, found)] };
}

function chosenOf(reader: Reader, id: string, chosen: readonly number[] | undefined): number[] {
  const all = reader.all<{ offset: number }>(
    "SELECT offset FROM dead_letters WHERE subscription = ? ORDER BY offset",
    id,
  );
  const wanted = chosen === undefined ? undefined : new Set(chosen);
  return all.map(({ offset }) => offset).filter((offset) => wanted === undefined || wanted.has(offset));
}
