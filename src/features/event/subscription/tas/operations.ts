// The targets of tas-mcp's interface, over declared targets and subscriptions: each is a pair of both of one name. So
// what it does is what an admin could do by event_target_set and subscription_create, with the same rights.

import { z } from "zod";
import { Fault } from "../../../../lib/fault.ts";
import { SHOW_ROW } from "../../../../lib/work.ts";
import { type MacroSteps, macro, type Operation, read } from "../../../../operation/define.ts";
import type { Services } from "../../../../operation/services.ts";
import { refuseBelowLevel } from "../../../../operation/versions.ts";
import { spaceArgument } from "../../arguments.ts";
import { targetName } from "../arguments.ts";
import { OUTBOX } from "../open-outbox.ts";
import { SUBSCRIPTION_LEVEL } from "../rows.ts";
import {
  subscriptionChangeWrite,
  subscriptionCreate,
  subscriptionEnd,
  subscriptionPause,
  subscriptionResume,
} from "../subscription-operations.ts";
import { eventTargetList, eventTargetRemove, eventTargetSet } from "../target-operations.ts";
import { metricsOf, pairsOf, shownPair } from "./state.ts";
import { declaredOf, type TasTarget, targetIn } from "./target.ts";

const DEFAULT_SPACE = "default";
const space = spaceArgument
  .optional()
  .describe(`Space of the events and of the subscription (default: ${DEFAULT_SPACE}).`);
const shown = z.record(z.string(), z.unknown()).describe("A target as tas-mcp shows it.");
const READS = {
  verb: "read" as const,
  spaces: ({ space: of = DEFAULT_SPACE }: { space?: string | undefined }) => ["fleet", of],
};
const ADMIN = { verb: "admin" as const, spaces: READS.spaces };
const EXAMPLE = {
  id: "ci",
  ...{ name: "CI", type: "http", endpoint: "https://ci.example.com/in", config: { timeout: "30s" } },
  rules: [{ id: "critical", conditions: [{ field: "event_type", operator: "eq" as const, value: "critical" }] }],
};

function notFound(id: string): Fault {
  return new Fault("not_found", `There is no target ${JSON.stringify(id)} with a subscription of its name`, {
    hint: "GET /api/v1/forwarding/targets has those of a space.",
  });
}

const COMMON = { atLeader: true, isTool: false, access: READS, hints: { idempotent: true } } as const;
const listInput = z.object({ space });
const getInput = z.object({ id: targetName.describe("The target."), space });

function reads(node: Services): readonly Operation[] {
  return [
    read({
      ...COMMON,
      name: "tas_target_list",
      title: "List targets in the form of tas-mcp",
      description:
        "Lists the targets of a space that have a subscription of their own name, by id, as tas-mcp shows them.",
      input: listInput,
      example: {},
      samples: { space: "team-a" },
      output: z.object({}).catchall(shown),
      run(reader, { space: of = DEFAULT_SPACE }, context) {
        refuseBelowLevel(reader, SUBSCRIPTION_LEVEL, "tas_target_list");
        const pairs = pairsOf(reader, of);
        context.spend(SHOW_ROW * pairs.length);
        return Object.fromEntries(pairs.map((pair) => [pair.id, shownPair(reader, pair, node.find(OUTBOX))]));
      },
    }),
    read({
      ...COMMON,
      name: "tas_target_get",
      title: "Show a target in the form of tas-mcp",
      description: "Shows one target with its rules, state and counters, as tas-mcp shows it.",
      input: getInput,
      example: { id: "ci" },
      samples: { space: "team-a" },
      output: z.object({}).catchall(z.unknown()),
      run(reader, { id, space: of = DEFAULT_SPACE }, context) {
        refuseBelowLevel(reader, SUBSCRIPTION_LEVEL, "tas_target_get");
        const pair = pairsOf(reader, of).find((each) => each.id === id);
        if (pair === undefined) throw notFound(id);
        context.spend(SHOW_ROW);
        return shownPair(reader, pair, node.find(OUTBOX));
      },
    }),
  ];
}

function metrics(node: Services): Operation {
  return read({
    ...COMMON,
    name: "tas_forwarding_metrics",
    title: "Counters of targets in the form of tas-mcp",
    description:
      "Counts of the targets of a space since this leader leads: sent, failed attempts, left out by rules, given up.",
    input: listInput,
    example: {},
    samples: { space: "team-a" },
    output: z.object({
      total_events: z.number().int().describe("Events that the targets are done with."),
      forwarded_events: z.number().int(),
      failed_events: z.number().int().describe("Given up: they are dead letters."),
      dropped_events: z.number().int().describe("Left out by rules or their rates."),
      retry_events: z.number().int().describe("Attempts that failed and were made again."),
      target_metrics: z.record(z.string(), z.record(z.string(), z.union([z.string(), z.number()]))),
      last_updated: z.string(),
    }),
    run(reader, { space: of = DEFAULT_SPACE }, context) {
      refuseBelowLevel(reader, SUBSCRIPTION_LEVEL, "tas_forwarding_metrics");
      const all = pairsOf(reader, of).map((pair) => [pair.id, metricsOf(pair, node.find(OUTBOX))] as const);
      context.spend(SHOW_ROW * all.length);
      const sum = (name: "delivered" | "failed" | "dropped" | "dead") =>
        all.reduce((total, [, { counts }]) => total + counts[name], 0);
      return {
        total_events: sum("delivered") + sum("dropped") + sum("dead"),
        ...{ forwarded_events: sum("delivered"), failed_events: sum("dead"), dropped_events: sum("dropped") },
        retry_events: sum("failed"),
        target_metrics: Object.fromEntries(all.map(([id, { shown: metrics }]) => [id, metrics])),
        last_updated: new Date().toISOString(),
      };
    },
  });
}

const MAX_TARGET = 131_072;
const targetText = z
  .string()
  .max(MAX_TARGET)
  .describe(
    "A target of tas-mcp as JSON: id, name, type (http, webhook, grpc, argo-events), endpoint, config {timeout, headers, authentication {type: bearer, basic or api-key, token: secret:NAME}}, rules. Durations are text (30s) or nanoseconds; status disabled declares one that gets nothing.",
  );
const done = z.object({ status: z.enum(["created", "updated", "deleted"]), target_id: z.string() });

const create = macro({
  name: "tas_target_create",
  isTool: false,
  title: "Declare a target in the form of tas-mcp",
  description:
    "Declares a target and a subscription of its name, from what tas-mcp takes. The steps are event_target_set and subscription_create.",
  input: z.object({ space, target: targetText }),
  example: { target: JSON.stringify(EXAMPLE) },
  samples: { space: "team-a" },
  maxInputBytes: 262_144,
  output: done,
  access: ADMIN,
  async run({ space: of = DEFAULT_SPACE, target: text }, steps) {
    const target = targetIn(text);
    const { id } = target;
    if (id === undefined)
      throw new Fault("invalid_input", "id is missing", { hint: 'Give id, such as "ci".', details: { field: "id" } });
    const config = declaredOf(target);
    const { targets } = eventTargetList.output.parse(await steps.ask(eventTargetList.name, {}));
    if (targets.some(({ name }) => name === id))
      throw new Fault("id_taken", `There is a target ${JSON.stringify(id)} already`, {
        hint: `Take another id, or change it with PUT /api/v1/forwarding/targets/${id}.`,
      });
    await steps.ask(eventTargetSet.name, { name: id, target: config, spaces: [of] });
    try {
      await subscribe(steps, of, id, target);
    } catch (error) {
      await steps.tryAsk(eventTargetRemove.name, { name: id });
      throw error;
    }
    return { status: "created" as const, target_id: id };
  },
});

/** A disabled target is one whose subscription is paused. */
async function subscribe({ ask }: MacroSteps, of: string, name: string, { rules, status }: TasTarget): Promise<void> {
  const id = `${of}/${name}`;
  await ask(subscriptionCreate.name, { id, target: name, rules });
  if (status === "disabled") await ask(subscriptionPause.name, { id });
}

const update = macro({
  name: "tas_target_update",
  isTool: false,
  title: "Replace a target in the form of tas-mcp",
  description:
    "Replaces a target and the rules of its subscription, or declares both. The steps are event_target_set, subscription_change, and subscription_create where there is none.",
  input: z.object({ id: targetName, space, target: targetText }),
  example: { id: "ci", target: JSON.stringify(EXAMPLE) },
  samples: { space: "team-a" },
  maxInputBytes: 262_144,
  output: done,
  access: ADMIN,
  hints: { idempotent: true },
  async run({ id, space: of = DEFAULT_SPACE, target: text }, steps) {
    const target = targetIn(text);
    const config = declaredOf(target);
    const { targets } = eventTargetList.output.parse(await steps.ask(eventTargetList.name, {}));
    const before = targets.find(({ name }) => name === id);
    const spaces = [...new Set([...(before?.spaces ?? []), of])];
    await steps.ask(eventTargetSet.name, { name: id, target: config, policy: before?.policy ?? "standard", spaces });
    const subscription = `${of}/${id}`;
    const changed = await steps.tryAsk(subscriptionChangeWrite.name, {
      id: subscription,
      target: id,
      rules: target.rules,
    });
    if (changed instanceof Fault) {
      if (changed.code !== "not_found") throw changed;
      await subscribe(steps, of, id, target);
    } else if (target.status === "disabled") await steps.ask(subscriptionPause.name, { id: subscription });
    else if (changed["state"] === "paused") await steps.ask(subscriptionResume.name, { id: subscription });
    return { status: "updated" as const, target_id: id };
  },
});

const remove = macro({
  name: "tas_target_remove",
  isTool: false,
  title: "Remove a target in the form of tas-mcp",
  description:
    "Ends the subscription of a target's name, with its dead letters, and removes the target. The steps are subscription_end and event_target_remove.",
  input: getInput,
  example: { id: "ci" },
  samples: { space: "team-a" },
  output: done,
  access: ADMIN,
  hints: { destructive: true },
  async run({ id, space: of = DEFAULT_SPACE }, { ask }) {
    await ask("tas_target_get", { id, space: of });
    await ask(subscriptionEnd.name, { id: `${of}/${id}` });
    await ask(eventTargetRemove.name, { name: id });
    return { status: "deleted" as const, target_id: id };
  },
});

/** Returns the operations of tas-mcp's targets. */
export function tasOperations(node: Services): readonly Operation[] {
  return [create, update, ...reads(node), metrics(node), remove];
}
