// Compares targets and subscriptions with the changes that made them, for audit_verify. Places, attempts and dead
// letters have no changes.

import { LOOK_AT_ROW } from "../../../lib/work.ts";
import { type ChangeRow, madeOther } from "../../../log/change-row.ts";
import { levelOf } from "../../../log/level.ts";
import { stateHash } from "../../../log/state-hash.ts";
import type { RowsCheck } from "../../../operation/feature.ts";
import type { Reader } from "../../../store/store.ts";
import { SUBSCRIPTION_LEVEL, type SubscriptionRow, stateOf, type TargetRow } from "./rows.ts";

/** What a row should be by its change. */
interface Made {
  what: string;
  seq: number;
  /** Target of the change. */
  target: string;
  state: string;
}

/** Returns the first target or subscription that is not as its change made it. */
export const subscriptionProblem: RowsCheck = (reader, { floor }, { spend }) => {
  if (levelOf(reader) < SUBSCRIPTION_LEVEL) return undefined;
  const targets = reader.all<TargetRow>("SELECT * FROM event_targets ORDER BY name").map(madeTarget);
  const subscriptions = reader.all<SubscriptionRow>("SELECT * FROM subscriptions ORDER BY id").map(madeSubscription);
  const all = [...targets, ...subscriptions];
  spend(2 * LOOK_AT_ROW * all.length);
  return all.map((made) => problemOf(reader, made, floor)).find((problem) => problem !== undefined);
};

function madeTarget({ name, config, policy, spaces, seq }: TargetRow): Made {
  const target = `fleet/event-targets/${name}`;
  return { what: "target of events", seq, target, state: stateHash([config, policy, spaces]) };
}

function madeSubscription(row: SubscriptionRow): Made {
  return { what: "subscription", seq: row.seq, target: row.id, state: stateHash(stateOf(row)) };
}

function problemOf(reader: Reader, { what, seq, target, state }: Made, floor: number): string | undefined {
  if (seq <= floor) return undefined;
  const sql = "SELECT * FROM changes WHERE seq >= ? AND target = ? ORDER BY seq LIMIT 1";
  const change = reader.get<ChangeRow>(sql, seq, target);
  if (change === undefined) return `a ${what} says that change ${seq} made it, which names another one`;
  return madeOther(change, state) ? `the ${what} of change ${change.seq} is not as that made it` : undefined;
}
