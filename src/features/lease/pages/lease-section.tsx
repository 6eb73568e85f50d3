// The leases that are held, on the overview.
/** @jsxImportSource hono/jsx */

import { Fault } from "../../../lib/fault.ts";
import type { Section } from "../../../operation/page.ts";
import { Refused } from "../../../page/text.tsx";
import { leaseList } from "../list.ts";
import { LeaseTable } from "./lease-table.tsx";
import { LEASES } from "./links.ts";

/** Leases on the overview; the rest is on the page of leases. */
const SHOWN = 10;

/** The leases. */
export const leaseSection: Section = {
  column: "wide",
  order: 30,
  heading: "Leases",
  async show(visit) {
    const [list, { members }] = await Promise.all([visit.tryAsk(leaseList, { limit: SHOWN }), visit.frame()]);
    return {
      follows: {},
      body: (
        <section class="card" aria-labelledby="leases-title">
          <div class="head">
            <h2 id="leases-title">Leases</h2>
            <a href={LEASES}>all leases</a>
          </div>
          <div id="leases" data-part>
            {list instanceof Fault ? (
              <Refused fault={list} />
            ) : list.leases.length === 0 ? (
              <p class="empty">No lease that you may see is held.</p>
            ) : (
              <LeaseTable leases={list.leases} members={members} nowMs={visit.nowMs} />
            )}
          </div>
        </section>
      ),
    };
  },
};
