// The leases that are held, on the overview.
/** @jsxImportSource hono/jsx */

import type { z } from "zod";
import { Fault } from "../../../lib/fault.ts";
import type { Section } from "../../../operation/page.ts";
import { Ago, type Named, nameText, Refused, Words } from "../../../page/text.tsx";
import { leaseList } from "../list.ts";

/** Leases on the overview; the rest is left to `lease_list`. */
const SHOWN = 50;

type List = z.infer<typeof leaseList.output>;

/** The leases. */
export const leaseSection: Section = {
  column: "wide",
  order: 30,
  heading: "Leases",
  async show(visit) {
    const [list, { members }] = await Promise.all([visit.tryAsk(leaseList, { limit: SHOWN }), visit.frame()]);
    return { follows: {}, body: <Leases list={list} members={members} nowMs={visit.nowMs} /> };
  },
};

interface LeasesProps {
  list: List | Fault;
  members: Named;
  nowMs: number;
}

function Leases({ list, members, nowMs }: LeasesProps) {
  return (
    <section class="card" aria-labelledby="leases-title">
      <div class="head">
        <h2 id="leases-title">Leases</h2>
      </div>
      <div id="leases" data-part>
        {list instanceof Fault ? (
          <Refused fault={list} />
        ) : list.leases.length === 0 ? (
          <p class="empty">No lease that you may see is held.</p>
        ) : (
          <Table list={list} members={members} nowMs={nowMs} />
        )}
      </div>
    </section>
  );
}

function Table({ list, members, nowMs }: LeasesProps & { list: List }) {
  return (
    <>
      <table class="list">
        <thead>
          <tr>
            <th scope="col">Lease</th>
            <th scope="col">Holder</th>
            <th scope="col" class="number wider">
              Waiting
            </th>
            <th scope="col" class="end">
              Since
            </th>
          </tr>
        </thead>
        <tbody>
          {list.leases.map((lease) => (
            <tr>
              <td>
                <span class="id">
                  <Words text={lease.name} />
                </span>
                {lease.for === "" ? null : (
                  <div class="quiet about">
                    <Words text={lease.for} />
                  </div>
                )}
              </td>
              <td class="author">
                {lease.held_by.agent === undefined ? null : (
                  <>
                    <Words text={lease.held_by.agent} />{" "}
                  </>
                )}
                <Words text={nameText(lease.held_by.caller, members)} />
              </td>
              <td class="number wider">{lease.waiting}</td>
              <td class="end">
                <Ago time={lease.since} nowMs={nowMs} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {list.cursor === undefined ? null : <p class="quiet">The first {SHOWN}; cairn lease list shows all.</p>}
    </>
  );
}
