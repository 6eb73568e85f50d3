// Leases in a table: who holds what, since when, what for, and who waits in line.
/** @jsxImportSource hono/jsx */

import type { z } from "zod";
import { spanText } from "../../../lib/span-text.ts";
import { address } from "../../../page/address.ts";
import { AuditLink } from "../../../page/audit-link.tsx";
import { FormKey } from "../../../page/form-key.tsx";
import { ListTable } from "../../../page/list-table.tsx";
import { Ago, type Named, Words } from "../../../page/text.tsx";
import { Who } from "../../../page/who.tsx";
import type { leaseList } from "../list.ts";
import { LEASES } from "./links.ts";

/** What `lease_list` returns. */
export type List = z.infer<typeof leaseList.output>;
type Lease = List["leases"][number];

/** Times in ms. */
export interface TableProps {
  leases: readonly Lease[];
  members: Named;
  nowMs: number;
  /** Whether the caller may take a lease away; left out: the table does not offer it. */
  mayForce?: (name: string) => boolean;
  /** Whether the caller may see all changes of a lease; left out: the table has no link to them. */
  mayAudit?: (name: string) => boolean;
}

const no = () => false;

export function LeaseTable({ leases, members, nowMs, mayForce = no, mayAudit = no }: TableProps) {
  return (
    <ListTable columns={["Lease", ["Holder", "wider"], ["Waiting", "number wider"], ["Since", "end"]]}>
      {leases.map((lease) => (
        <tr>
          <td>
            <span class="id">
              <Words text={lease.name} />
            </span>{" "}
            {mayAudit(lease.name) ? (
              <span class="about">
                <AuditLink target={lease.name} />
              </span>
            ) : null}
            {lease.for === "" ? null : (
              <div class="quiet about">
                <Words text={lease.for} />
              </div>
            )}
            <div class="about narrow">
              <Who author={lease.held_by.caller} agent={lease.held_by.agent} members={members} />
            </div>
            <Line lease={lease} members={members} nowMs={nowMs} />
            {mayForce(lease.name) ? <Force name={lease.name} /> : null}
          </td>
          <td class="author wider">
            <Who author={lease.held_by.caller} agent={lease.held_by.agent} members={members} />
          </td>
          <td class="number wider">{lease.waiting}</td>
          <td class="end">
            <Ago time={lease.since} nowMs={nowMs} />
          </td>
        </tr>
      ))}
    </ListTable>
  );
}

function Line({ lease: { line = [], waiting }, members, nowMs }: Omit<TableProps, "leases"> & { lease: Lease }) {
  if (line.length === 0) return null;
  return (
    <details class="about">
      <summary>{waiting} in line</summary>
      <ol class="line">
        {line.map((waiter) => (
          <li>
            <Who author={waiter.caller} agent={waiter.agent} members={members} />
            {waiter.for === "" ? null : (
              <>
                : <Words text={waiter.for} />
              </>
            )}{" "}
            <span class="quiet">(its place is kept for {spanText(Date.parse(waiter.place_until) - nowMs)})</span>
          </li>
        ))}
      </ol>
      {waiting > line.length ? <p class="quiet">and {waiting - line.length} more</p> : null}
    </details>
  );
}

/** Opened first, so that no lease is lost by one click; works without scripts. */
function Force({ name }: { name: string }) {
  return (
    <details class="about">
      <summary>Take it away</summary>
      <form method="post" action={address(LEASES, { form: "force" })}>
        <FormKey />
        <input type="hidden" name="name" value={name} />
        <p class="quiet">
          The holder may still work on it: only its writes with this fence are refused. The next in line gets the lease.
        </p>
        <button type="submit">
          Take the lease away<span class="hidden"> that is called {name}</span>
        </button>
      </form>
    </details>
  );
}
