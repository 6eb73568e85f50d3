// event_topology: who sends events into which spaces, which subscriptions take them, where they go, and how that goes.

import { z } from "zod";
import { levelOf } from "../../../log/level.ts";
import { type CallContext, type ReadOperation, read } from "../../../operation/define.ts";
import { NODE } from "../../../operation/node-parts.ts";
import type { Services } from "../../../operation/services.ts";
import { refuseBelowLevel } from "../../../operation/versions.ts";
import type { Reader } from "../../../store/store.ts";
import { spaceArgument } from "../arguments.ts";
import { EVENT_LOG, type EventLog, type EventOutline } from "../event-log.ts";
import { logKind } from "../moves/arguments.ts";
import { logPlaces, streamOf } from "../moves/place.ts";
import { EVENT_LEVEL } from "../rows.ts";
import { OUTBOX } from "../subscription/open-outbox.ts";
import { SUBSCRIPTION_LEVEL, type TargetRow } from "../subscription/rows.ts";
import { type DeliveryReport, deliveriesOf, deliveryReport, isAwayFault } from "./deliveries.ts";
import { scanDown } from "./scan.ts";

/** Newest events that are looked at for their senders. */
const LOOKED_AT = 5_000;
/** Most senders, by space. */
const MAX_SENDERS = 50;

const sender = z.object({ name: z.string(), space: z.string(), events: z.number().int(), bytes: z.number().int() });
const target = z.object({
  name: z.string(),
  kind: z.string(),
  health: z.enum(["ok", "failing", "stopped", "unused"]),
  subscriptions: z.number().int(),
});

const input = z.object({ space: spaceArgument.optional().describe("Only this space (default: all you may read).") });
const output = z.object({
  log: z
    .object({ kind: logKind, durability: z.string(), reached: z.boolean() })
    .describe(
      "The log of events. Where it is not reached, senders are those that came before that failed, and lag is not known.",
    ),
  looked_at: z.number().int().describe(`Of the newest ${LOOKED_AT} events: senders are those of them.`),
  senders: z.array(sender).describe("Verified callers by space, those with the most events first."),
  subscriptions: z.array(deliveryReport),
  targets: z
    .array(target)
    .describe("Declared targets that these subscriptions use; for readers of the space fleet also the others."),
});

/** The operation for pages, which have no node. */
export const topologyAsked = { name: "event_topology", output };

/** What is connected to what. */
export type Topology = z.output<typeof output>;

/** Returns the operation. */
export function eventTopology(node: Services): ReadOperation<typeof input, typeof output> {
  return read({
    name: topologyAsked.name,
    atLeader: true,
    isTool: false,
    title: "Show how events flow",
    search: "event topology, senders, targets, health, routing",
    description:
      "Shows who sends events into the spaces that you may read, which subscriptions and rules take them, to which targets, and how deliveries go.",
    input,
    example: {},
    samples: { space: "team-a" },
    output,
    access: { verb: "read", spaces: ({ space }) => (space === undefined ? "visible" : [space]) },
    hints: { idempotent: true },
    async run(reader, { space }, context) {
      refuseBelowLevel(reader, EVENT_LEVEL, "event_topology");
      const isVisible = (name: string) => (space === undefined || name === space) && context.visible(name);
      const log = node.get(EVENT_LOG);
      const { senders, looked_at, reached } = await sendersOf(log, isVisible, context);
      const bounds = { nowMs: node.get(NODE).nowMs(), isVisible };
      const parts = { reader, log, outbox: node.find(OUTBOX), isLogAsked: reached };
      const subscriptions = await deliveriesOf(parts, bounds, context);
      const kind = streamOf(logPlaces(reader)) === undefined ? ("fleet" as const) : ("jetstream" as const);
      return {
        log: { kind, durability: log.durability(), reached },
        ...{ looked_at, senders, subscriptions },
        targets: targetsOf(reader, subscriptions, isVisible("fleet")),
      };
    },
  });
}

async function sendersOf(
  log: EventLog,
  isVisible: (space: string) => boolean,
  context: CallContext,
): Promise<Pick<Topology, "looked_at" | "senders"> & { reached: boolean }> {
  const by = new Map<string, z.output<typeof sender>>();
  let looked_at = 0;
  const look = ({ space, caller, size }: EventOutline) => {
    if (!isVisible(space)) return;
    looked_at += 1;
    const key = JSON.stringify([caller, space]);
    const found = by.get(key) ?? { name: caller, space, events: 0, bytes: 0 };
    found.events += 1;
    found.bytes += size;
    by.set(key, found);
  };
  const { tail } = log.head();
  const range = { after: Math.max(0, tail - LOOKED_AT), upTo: tail };
  let reached = !log.isAway;
  try {
    if (reached) await scanDown({ range, max: LOOKED_AT, read: log.outlines.bind(log) }, look, context);
  } catch (error) {
    if (!isAwayFault(error)) throw error;
    reached = false;
  }
  const senders = [...by.values()].sort((one, other) => other.events - one.events).slice(0, MAX_SENDERS);
  return { looked_at, senders, reached };
}

function targetsOf(reader: Reader, subscriptions: readonly DeliveryReport[], withAll: boolean): Topology["targets"] {
  if (levelOf(reader) < SUBSCRIPTION_LEVEL) return [];
  const rows = reader.all<Pick<TargetRow, "name" | "config">>("SELECT name, config FROM event_targets ORDER BY name");
  return rows.flatMap(({ name, config }) => {
    const users = subscriptions.filter((each) => each.target === name);
    if (users.length === 0 && !withAll) return [];
    const { kind } = JSON.parse(config) as { kind: string };
    return [{ name, kind, health: healthOf(users), subscriptions: users.length }];
  });
}

function healthOf(users: readonly DeliveryReport[]): z.output<typeof target>["health"] {
  if (users.length === 0) return "unused";
  if (users.some(({ state }) => state === "failing")) return "failing";
  return users.every(({ state }) => state === "paused") ? "stopped" : "ok";
}
