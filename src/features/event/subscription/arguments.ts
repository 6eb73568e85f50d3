// Arguments that several operations on subscriptions take, and how subscriptions look.

import { z } from "zod";
import { spaceOf } from "../../../access/space.ts";
import { Fault } from "../../../lib/fault.ts";
import { timeOf } from "../../../lib/time-of.ts";
import type { Changed } from "../../../log/log.ts";
import { stateHash } from "../../../log/state-hash.ts";
import type { Reader } from "../../../store/store.ts";
import { cursorText, logNameOf } from "../cursor.ts";
import { isCallback, type SubscriptionRow, subscriptionRow } from "./rows.ts";

/** The name of a target. */
export const targetName = z.string().regex(/^[a-z0-9][a-z0-9_-]{0,63}$/, "takes 1 to 64 of a-z 0-9 _ -");

/** The id of a subscription. */
export const subscriptionId = z
  .string()
  .regex(
    /^[A-Za-z0-9._~:@-]{1,128}\/[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/,
    "takes a space, a slash and a name of 1 to 64 of A-Z a-z 0-9 _ -, such as team-a/alerts",
  )
  .describe("Its space, a slash and its name.");

/** The space that an operation on one subscription touches. */
export const ofItsSpace = ({ id }: { id: string }): string[] => [spaceOf(id)];

/** A subscription as callers see it. */
export const shownSubscription = z.object({
  id: subscriptionId,
  space: z.string(),
  target: z.string().optional().describe("The declared target; left out: a document of this fleet."),
  context: z.record(z.string(), z.unknown()).optional(),
  callback: z.string().optional().describe("The host that its client chose (MCP Events)."),
  rules: z.array(z.record(z.string(), z.unknown())),
  owner: z.string().describe("The caller with whose rights it acts."),
  state: z.enum(["active", "paused"]),
  reason: z
    .string()
    .optional()
    .describe("Why it is paused: asked, revoked, ended by the target, dead_letters, or done (a replay)."),
  cursor: z.string().describe("Every event up to here is done with, as recorded."),
  until: z.string().optional().describe("Of a replay: it is done at this cursor."),
  rate: z.number().int().optional().describe("Of a replay: most events a second."),
  missed: z.number().int().describe("Events that retention removed before they were sent."),
  created: z.string(),
  changed: z.string(),
});

/** Returns a subscription as callers see it. */
export function shownOf(reader: Reader, row: SubscriptionRow): z.output<typeof shownSubscription> {
  return {
    ...{ id: row.id, space: row.space },
    ...(row.target === "" ? { context: JSON.parse(row.config) } : { target: row.target }),
    ...(isCallback(row) ? { callback: new URL((JSON.parse(row.config) as { url: string }).url).host } : {}),
    rules: JSON.parse(row.rules),
    ...{ owner: row.caller, state: row.state },
    ...(row.reason === "" ? {} : { reason: row.reason }),
    cursor: cursorText(logNameOf(reader), row.cursor),
    ...(row.until === 0 ? {} : { until: cursorText(logNameOf(reader), row.until), rate: row.rate }),
    missed: row.missed,
    ...{ created: timeOf(row.created_at), changed: timeOf(row.changed_at) },
  };
}

/** Returns the subscription. Throws Fault `not_found`. */
export function presentSubscription(reader: Reader, id: string): SubscriptionRow {
  const row = subscriptionRow(reader, id);
  if (row !== undefined) return row;
  throw new Fault("not_found", `There is no subscription ${JSON.stringify(id)}`, {
    hint: "subscription_list has those that you may see.",
  });
}

/** The refusal of a target that is not declared. */
export function absentTarget(name: string): Fault {
  return new Fault("not_found", `There is no target ${JSON.stringify(name)}`, {
    hint: "event_target_list has those that are declared.",
  });
}

/** Returns the change that a command makes to a subscription. */
export function subscriptionChange(id: string, outcome: string, state: readonly (string | number)[] = []): Changed {
  return { target: id, version: 0, contentHash: "", outcome, state: stateHash(state) };
}
