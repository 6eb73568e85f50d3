// The page of leases: all that the caller may see, by name, with their lines; an operator takes one away here.
/** @jsxImportSource hono/jsx */

import { spaceOf } from "../../../access/space.ts";
import type { Page } from "../../../operation/page.ts";
import { AUDIT_OPERATION } from "../../../page/audit-link.tsx";
import { Filter, FilterChoice, FilterText } from "../../../page/filter.tsx";
import { ListCard } from "../../../page/list-card.tsx";
import { PageLinks } from "../../../page/page-links.tsx";
import type { Named } from "../../../page/text.tsx";
import { leaseForce } from "../end.ts";
import { leaseList } from "../list.ts";
import { LeaseTable, type List, type TableProps } from "./lease-table.tsx";
import { LEASES, type ListView, listLink } from "./links.ts";

/** Leases on one page. */
const PAGE = 50;

/** The page. */
export const leasePage: Page = {
  path: LEASES,
  summary: "Leases: who holds what, what for, who waits in line, and a form that takes one away; for operators",
  navigation: { order: 50, label: "Leases", needs: leaseList.name },
  async open(visit) {
    const view = {
      prefix: visit.parameter("prefix").trim(),
      own: visit.parameter("own"),
      cursor: visit.parameter("cursor"),
    };
    const { prefix, own, cursor } = view;
    const narrowed = { ...(prefix && { prefix }), ...(own && { own: true }), ...(cursor && { cursor }) };
    const [list, { name, members }] = await Promise.all([
      visit.ask(leaseList, { limit: PAGE, ...narrowed }),
      visit.frame(),
    ]);
    const mayForce = (lease: string) => visit.may(leaseForce.name, spaceOf(lease));
    const mayAudit = (lease: string) => visit.may(AUDIT_OPERATION, spaceOf(lease));
    const may = { mayForce, mayAudit };
    return {
      title: `Leases: ${name}`,
      follows: {},
      body: <Leases list={list} view={view} members={members} nowMs={visit.nowMs} may={may} />,
    };
  },
  forms: {
    force: {
      operation: leaseForce.name,
      label: "Take the lease away",
      fields: ["name"],
      known: () => ({}),
      input: ({ name = "" }) => ({ name }),
      next: () => LEASES,
    },
  },
};

interface LeasesProps {
  list: List;
  view: ListView;
  members: Named;
  nowMs: number;
  may: Pick<Required<TableProps>, "mayForce" | "mayAudit">;
}

function Leases({ list, view, members, nowMs, may }: LeasesProps) {
  return (
    <ListCard id="leases" title="Leases" filter={<Narrow view={view} />}>
      {list.leases.length === 0 ? (
        <p class="empty">
          {view.prefix === "" && view.own === "" ? "No lease that you may see is held." : "No such lease is held."}
        </p>
      ) : (
        <LeaseTable leases={list.leases} members={members} nowMs={nowMs} {...may} />
      )}
      <PageLinks
        of="list"
        first={view.cursor === "" ? undefined : listLink({ ...view, cursor: "" })}
        next={list.cursor === undefined ? undefined : listLink({ ...view, cursor: list.cursor })}
      />
    </ListCard>
  );
}

function Narrow({ view }: Pick<LeasesProps, "view">) {
  return (
    <Filter action={LEASES}>
      <FilterText
        name="prefix"
        label="Only names that start with"
        value={view.prefix}
        placeholder="prefix, such as team-a/"
        max={256}
      />
      <FilterChoice
        name="own"
        label="Whose"
        value={view.own === "" ? "" : "yes"}
        choices={[
          ["", "of all"],
          ["yes", "mine"],
        ]}
      />
    </Filter>
  );
}
