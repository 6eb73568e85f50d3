// service_plan: what would be done about services, now or without certain members. Nothing is changed.

import { z } from "zod";
import { Fault } from "../../lib/fault.ts";
import { SHOW_ROW } from "../../lib/work.ts";
import { type Operation, read } from "../../operation/define.ts";
import { ServiceKey, type Services } from "../../operation/services.ts";
import { refuseBelowLevel } from "../../operation/versions.ts";
import { type Decision, decide, type World } from "./decide.ts";
import type { Keeper } from "./keeper.ts";
import { isHeld, oneNamed, SERVICE_LEVEL, type ServiceRow, serviceName, startText } from "./rows.ts";
import { nameOf } from "./shown.ts";
import { type Said, type Step, takeSaid, takeStep } from "./transition.ts";

/** The keeper of the leader; on other members it has nothing to do. */
export const KEEPER: ServiceKey<Keeper> = new ServiceKey("the keeper of services");

/** Steps of a copy that are followed: a plan that goes on for longer goes round in circles. */
const MAX_STEPS = 12;

const planned = z.object({
  name: z.string(),
  copy: z.string().optional(),
  space: z.string(),
  now: z.string().describe("Its state and member now."),
  steps: z.array(z.string()).describe("What would be done, in this order; empty: nothing."),
  after: z.string().describe("Its state and member after that, where each step succeeds."),
  why: z.string().describe("Why nothing more is done."),
  candidates: z.array(
    z.object({
      name: z.string(),
      node: z.string().optional(),
      problem: z.string().optional().describe("Why it cannot run it; absent: it can."),
    }),
  ),
});

/** A plan for one copy. */
export type Planned = z.output<typeof planned>;

/** service_plan as pages ask it. */
export const SERVICE_PLAN = { name: "service_plan", output: z.object({ plan: z.array(planned) }) };

/** Shows what would be done. */
export const servicePlan = (node: Services): Operation =>
  read({
    ...SERVICE_PLAN,
    title: "Plan of services",
    search: "dry run, what happens if a machine fails, where would it go, failover plan",
    description:
      "Shows what the leader would do about services and in which order, and which members could run each: now, or with `without` as if those members had failed. Nothing is changed.",
    input: z.object({
      name: serviceName.optional().describe("Only this service."),
      without: z
        .array(z.string().min(1).max(100))
        .max(16)
        .optional()
        .describe("Names or ids of members, as if they were away."),
    }),
    example: {},
    samples: { name: "wiki", without: ["mini"] },
    access: { verb: "read", spaces: "visible" },
    atLeader: true,
    async run(reader, { name, without = [] }, { visible, spend, signal }) {
      refuseBelowLevel(reader, SERVICE_LEVEL, "service_plan");
      const isAsked = (each: string, space: string) => (name === undefined || each === name) && visible(space);
      const world = await node.get(KEEPER).world(signal, isAsked, { isPlan: true });
      const away = new Set(without.map((word) => requireNode(word, world)));
      const nodes = world.nodes.map((each) => (away.has(each.node) ? { ...each, away: true } : each));
      const all = planOf({ ...world, nodes });
      spend(SHOW_ROW * all.length);
      return { plan: all };
    },
  });

function requireNode(word: string, world: World): string {
  const found = oneNamed(word, world.nodes, "without");
  if (found !== undefined) return found.node;
  throw new Fault("invalid_input", `${JSON.stringify(word)} is no member that runs services`, {
    hint: "service_list shows them.",
    details: { field: "without" },
  });
}

/** Follows the decisions about each copy until nothing is to be done, as if each step succeeded. Pure. */
export function planOf(world: World): Planned[] {
  return decide(world).map((first) => {
    // A copy depends on nothing of other services.
    const own = {
      ...world,
      services: world.services.filter(({ name }) => name === first.name),
      rows: world.rows.filter(({ name }) => name === first.name),
    };
    const key = ({ name, copy }: { name: string; copy: string }) => name === first.name && copy === first.copy;
    const found = own.rows.find(key);
    // That of the declaration is the one by which callers are judged.
    const space = own.services[0]?.value.space ?? found?.space ?? "";
    const steps: string[] = [];
    let row = found;
    let last: Decision = first;
    for (let round = 0; round < MAX_STEPS; round += 1) {
      const others = own.rows.filter((each) => !key(each));
      const now = { ...own, rows: row === undefined ? others : [...others, row] };
      const isLost = (each: ServiceRow) => world.nodes.find(({ node }) => node === each.node)?.away === true;
      const next = decide({ ...now, isOver: (each) => isHeld(each) && isLost(each) }).find(key);
      if (next === undefined) break;
      last = next;
      if (next.step === undefined) break;
      steps.push(wordsOf(next.step, row, world));
      row = afterStep(row, next.step, world.timeMs);
    }
    const { name, copy, why, candidates } = last;
    return {
      ...{ name, space, now: placeOf(found, world), steps, after: placeOf(row, world), why },
      ...(copy === "" ? {} : { copy }),
      candidates: candidates.map(({ name: member, seen, problem }) => ({
        name: seen?.name || member,
        ...(seen === undefined ? {} : { node: seen.node }),
        ...(problem === "" ? {} : { problem }),
      })),
    };
  });
}

function wordsOf(step: Step, row: ServiceRow | undefined, { nodes }: World): string {
  const name = nameOf(step.node, nodes) || "this node";
  if (step.to === "starting") return `start on ${name}`;
  if (step.to === "stopping") return `stop on ${name}: ${step.reason}`;
  if (step.to === "idle") return `wait for the end of its lease on ${name}, at most ${(row?.lease_ms ?? 0) / 1000} s`;
  return step.to === "gone" ? "forget it" : `stay on ${name}`;
}

/** What a step makes of a row when its member does what it is to do. */
function afterStep(row: ServiceRow | undefined, step: Step, timeMs: number): ServiceRow | undefined {
  const at = { seq: (row?.seq ?? 0) + 1, timeMs, n: row?.n || 1 };
  const made = takeStep(row, step, at)?.row;
  if (made === undefined || (step.to !== "starting" && step.to !== "stopping")) return made;
  const { name, copy, n, fence_seq: seq } = made;
  const said: Said = { name, copy, n, seq, what: step.to === "starting" ? "ready" : "ended", reason: "" };
  return takeSaid(made, said, { ...at, seq: at.seq + 1 })?.row;
}

function placeOf(row: ServiceRow | undefined, { nodes }: World): string {
  if (row === undefined || !isHeld(row)) return "runs nowhere";
  return `${row.state} on ${nameOf(row.node, nodes) || "this node"} (${startText(row)})`;
}
