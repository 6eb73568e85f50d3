// Who works on what now: what agents say of it, with the leases that they hold, as a picture with words.
/** @jsxImportSource hono/jsx */

import { z } from "zod";
import { Fault } from "../../../lib/fault.ts";
import type { Section, Visit } from "../../../operation/page.ts";
import { address } from "../../../page/address.ts";
import { type Lane, Lanes } from "../../../page/lanes.tsx";
import { Ago, type Named, Words } from "../../../page/text.tsx";
import { Who } from "../../../page/who.tsx";
import { agentList } from "../list.ts";

/** Agents and leases that are looked at. */
const LOOKED_AT = 500;
/** Most lanes of the picture. */
const MAX_LANES = 12;
/** The picture begins with the oldest lease, but no earlier than this and no later than an hour ago. */
const LONGEST_MS = 24 * 3_600_000;
const SHORTEST_MS = 3_600_000;

/** `lease_list` of the feature of leases, as far as it is read here: features meet in operations. */
const LEASE_LIST = {
  name: "lease_list",
  output: z.object({
    leases: z.array(
      z.object({
        name: z.string(),
        held_by: z.object({ caller: z.string(), agent: z.string().optional() }),
        for: z.string(),
        since: z.string(),
      }),
    ),
  }),
};

type Lease = z.infer<typeof LEASE_LIST.output>["leases"][number];

/** Somebody who says that it works on something, or who holds a lease. */
export interface Worker {
  caller: string;
  agent?: string | undefined;
  doing?: string | undefined;
  seenMs?: number;
  leases: readonly Lease[];
}

/** Returns who works, those who say on what first. Leases are those that the caller may see. */
export async function workersFor(visit: Visit): Promise<Worker[]> {
  const [roster, leases] = await Promise.all([
    visit.tryAsk(agentList, { limit: LOOKED_AT }),
    visit.tryAsk(LEASE_LIST, { limit: LOOKED_AT }),
  ]);
  const keyOf = (caller: string, agent = "") => JSON.stringify([caller, agent]);
  const held = leases instanceof Fault ? [] : leases.leases;
  const heldBy = Map.groupBy(held, ({ held_by: { caller, agent } }) => keyOf(caller, agent));
  const workers: Worker[] = [];
  for (const { name, caller, doing, seen_at } of roster instanceof Fault ? [] : roster.agents) {
    const key = keyOf(caller, name);
    const own = heldBy.get(key) ?? [];
    heldBy.delete(key);
    if (doing !== undefined || own.length > 0)
      workers.push({ caller, agent: name, doing, seenMs: Date.parse(seen_at), leases: own });
  }
  for (const own of heldBy.values()) {
    const [first] = own;
    if (first !== undefined) workers.push({ ...first.held_by, leases: own });
  }
  const isSaid = ({ doing }: Worker) => (doing === undefined ? 1 : 0);
  return workers.sort((one, other) => isSaid(one) - isSaid(other));
}

/** On the overview; an empty part where no one works. */
export const workingSection: Section = {
  column: "wide",
  order: 15,
  async show(visit) {
    const [workers, { members }] = await Promise.all([workersFor(visit), visit.frame()]);
    return {
      follows: {},
      body: (
        <div id="working" data-part>
          {workers.length === 0 ? null : (
            <section class="card" aria-labelledby="working-title">
              <h2 id="working-title">Who works on what now</h2>
              <Working workers={workers} members={members} nowMs={visit.nowMs} />
            </section>
          )}
        </div>
      ),
    };
  },
};

interface WorkingProps {
  workers: readonly Worker[];
  members: Named;
  nowMs: number;
}

export function Working({ workers, members, nowMs }: WorkingProps) {
  const starts = workers.flatMap(({ leases }) => leases.map(({ since }) => Date.parse(since)));
  const fromMs = Math.max(nowMs - LONGEST_MS, Math.min(nowMs - SHORTEST_MS, ...starts));
  const shown = workers.slice(0, MAX_LANES);
  return (
    <>
      <Lanes lanes={shown.map((worker) => laneOf(worker, members, nowMs))} fromMs={fromMs} toMs={nowMs} nowMs={nowMs} />
      {workers.length > shown.length ? <p class="quiet">and {workers.length - shown.length} more</p> : null}
    </>
  );
}

function laneOf({ caller, agent, doing, seenMs, leases }: Worker, members: Named, nowMs: number): Lane {
  return {
    label: (
      <>
        <strong>
          <Who author={caller} agent={agent} members={members} />
        </strong>
        {doing === undefined ? null : (
          <>
            {": "}
            <Words text={doing} />
          </>
        )}
        {leases.map(({ name, for: purpose, since }) => (
          <span class="quiet about held">
            holds{" "}
            <a class="id" href={address("/ui/leases", { prefix: name })}>
              <Words text={name} />
            </a>{" "}
            since <Ago time={since} nowMs={nowMs} />
            {purpose === "" ? null : (
              <>
                : <Words text={purpose} />
              </>
            )}
          </span>
        ))}
      </>
    ),
    marks: [
      ...leases.map(({ since }) => ({ atMs: Date.parse(since), untilMs: nowMs })),
      ...(seenMs === undefined ? [] : [{ atMs: seenMs, kind: "quiet" as const }]),
    ],
  };
}
