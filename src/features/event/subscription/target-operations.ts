// event_target_set, event_target_remove, event_target_list: where events may go outside of the fleet. Admins declare
// that, so that no other caller chooses an address (security.md 19); subscriptions name a target.

import { z } from "zod";
import { canonicalJson } from "../../../lib/canonical-json.ts";
import { Fault } from "../../../lib/fault.ts";
import { timeOf } from "../../../lib/time-of.ts";
import { stateHash } from "../../../log/state-hash.ts";
import { read, write } from "../../../operation/define.ts";
import { refuseBelowLevel } from "../../../operation/versions.ts";
import { targetName } from "./arguments.ts";
import { POLICIES, type PolicyName } from "./policy-names.ts";
import { SUBSCRIPTION_LEVEL, type TargetRow, targetRow } from "./rows.ts";
import { type OutwardTarget, outwardTarget } from "./targets/declared.ts";

/** Most targets of a fleet. */
const MAX_TARGETS = 200;
const MAX_CONFIG_BYTES = 16_384;
const DEFAULT_POLICIES: Readonly<Partial<Record<OutwardTarget["kind"], PolicyName>>> = {
  ...{ peer: "peer", callback: "mcp", notify: "notify" },
};
const ADMIN = { verb: "admin", spaces: ["fleet"] } as const;
const EXAMPLE = {
  name: "ops",
  target: { kind: "webhook", url: "https://hooks.example.com/cairn", secret: "secret:OPS_HOOK" },
  spaces: ["team-a"],
} as const;

const spaces = z.array(z.string().min(1).max(200)).min(1).max(100);

function targetChange(name: string, outcome: string, seq: number, state: readonly (string | number)[] = []) {
  return { target: `fleet/event-targets/${name}`, version: seq, contentHash: "", outcome, state: stateHash(state) };
}

/** Declares a target, or changes one. */
export const eventTargetSet = write({
  name: "event_target_set",
  v: 1,
  level: SUBSCRIPTION_LEVEL,
  isTool: false,
  title: "Declare a target of events",
  search: "webhook, forward events, notify, slack, ntfy",
  description:
    "Declares where subscriptions may send events: http, webhook (Standard Webhooks), grpc (mcp.v1.MCPService of tas-mcp), notify (ntfy, Slack, Discord, Telegram, mail by SMTP), peer (another fleet), or callback (hosts on which clients of MCP Events choose addresses). Secrets are named as secret:NAME and read on each full node from CAIRN_SECRET_NAME. A change begins at the next event of each subscription that uses it.",
  input: z.object({
    name: targetName.describe("Yours to choose; an existing one is changed."),
    target: outwardTarget,
    policy: z
      .enum(POLICIES)
      .optional()
      .describe(
        "How an event is tried again: standard (10 attempts in 3 days, default), notify (every 5 minutes for a day; default of notify), mcp (4 in 13 minutes; default of callbacks), peer (for ever; default of peers).",
      ),
    spaces: spaces.describe("Subscriptions of these spaces may use it; * stands for any characters."),
  }),
  example: { ...EXAMPLE, spaces: ["team-a"] },
  aliases: { id: "name" },
  samples: { policy: "standard" },
  output: z.object({ name: z.string(), created: z.boolean() }),
  access: ADMIN,
  hints: { idempotent: true },
  prepare: ({ name, target, policy, spaces: globs }) => {
    const config = canonicalJson(target);
    if (Buffer.byteLength(config) > MAX_CONFIG_BYTES)
      throw new Fault("too_large", `The target has more than ${MAX_CONFIG_BYTES} bytes as JSON`);
    const chosen = policy ?? DEFAULT_POLICIES[target.kind] ?? "standard";
    return { name, config, policy: chosen, spaces: JSON.stringify(globs) };
  },
  apply(tx, command, { caller, timeMs, seq }) {
    const { name, config, policy, spaces: globs } = command;
    const before = targetRow(tx, name);
    const count = tx.get<{ n: number }>("SELECT COUNT(*) AS n FROM event_targets")?.n ?? 0;
    if (before === undefined && count >= MAX_TARGETS)
      throw new Fault("quota_exceeded", `The fleet has ${count} targets of events, as many as it may`, {
        hint: "Remove one that no subscription uses with event_target_remove.",
      });
    tx.run(
      "INSERT OR REPLACE INTO event_targets (name, config, policy, spaces, caller, seq, changed_at) VALUES (?,?,?,?,?,?,?)",
      ...[name, config, policy, globs, caller, seq, timeMs],
    );
    const outcome = before === undefined ? "created" : "updated";
    const change = targetChange(name, outcome, seq, [config, policy, globs]);
    return { output: { name, created: before === undefined }, changes: [change] };
  },
});

/** Removes a target that no subscription uses. */
export const eventTargetRemove = write({
  name: "event_target_remove",
  v: 1,
  level: SUBSCRIPTION_LEVEL,
  isTool: false,
  title: "Remove a target of events",
  description: "Removes a declared target. It is refused while a subscription uses the target.",
  input: z.object({ name: targetName.describe("The declared target.") }),
  aliases: { id: "name" },
  example: { name: "ops" },
  output: z.object({ removed: z.boolean() }),
  access: ADMIN,
  hints: { idempotent: true, destructive: true },
  prepare: (input) => input,
  apply(tx, { name }, { seq }) {
    const user = tx.get<{ id: string }>("SELECT id FROM subscriptions WHERE target = ? ORDER BY id LIMIT 1", name);
    if (user !== undefined)
      throw new Fault("invalid_input", `The subscription ${user.id} uses the target ${JSON.stringify(name)}`, {
        hint: "End the subscription, or change its target, first.",
      });
    if (targetRow(tx, name) === undefined) return { output: { removed: false }, changes: [] };
    tx.run("DELETE FROM event_targets WHERE name = ?", name);
    return { output: { removed: true }, changes: [targetChange(name, "deleted", seq)] };
  },
});

/** Lists the targets. */
export const eventTargetList = read({
  name: "event_target_list",
  isTool: false,
  title: "List targets of events",
  description: "Lists the declared targets with their addresses; secrets are shown as references.",
  input: z.object({}),
  example: {},
  output: z.object({
    targets: z.array(
      z.object({
        name: z.string(),
        target: z.record(z.string(), z.unknown()),
        policy: z.enum(POLICIES),
        spaces: z.array(z.string()),
        by: z.string(),
        changed: z.string(),
      }),
    ),
  }),
  access: { verb: "read", spaces: ["fleet"] },
  run(reader) {
    refuseBelowLevel(reader, SUBSCRIPTION_LEVEL, "event_target_list");
    const rows = reader.all<TargetRow>("SELECT * FROM event_targets ORDER BY name");
    return {
      targets: rows.map((row) => ({
        ...{ name: row.name, target: JSON.parse(row.config), policy: row.policy, spaces: JSON.parse(row.spaces) },
        ...{ by: row.caller, changed: timeOf(row.changed_at) },
      })),
    };
  },
});
