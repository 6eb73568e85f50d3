// Jobs as a table: what each is, its state, who has it, and since when.
/** @jsxImportSource hono/jsx */

import { ListTable } from "../../../page/list-table.tsx";
import { Ago, type Named, nameText, Words } from "../../../page/text.tsx";
import { jobLink } from "./links.ts";
import { type ShownJob, StatePill } from "./state-pill.tsx";

/** The table, in the order of `jobs`. */
export function JobTable({ jobs, members, nowMs }: { jobs: readonly ShownJob[]; members: Named; nowMs: number }) {
  return (
    <ListTable columns={["Job", "State", ["Worker", "wider"], ["Attempt", "number wider"], ["Since", "end"]]}>
      {jobs.map((job) => (
        <tr>
          <td>
            <a class="id" href={jobLink(job.id)}>
              <Words text={job.id} />
            </a>{" "}
            <span class="tag">
              <Words text={job.action} />
            </span>
            {job.error === undefined ? null : (
              <div class="quiet about">
                <Words text={job.error} />
              </div>
            )}
          </td>
          <td>
            <StatePill job={job} />
          </td>
          <td class="author wider">
            <Words text={nameText(job.worker ?? "", members)} />
          </td>
          <td class="number wider">
            {job.attempt} of {job.attempts}
          </td>
          <td class="end">
            <Ago time={job.since} nowMs={nowMs} />
          </td>
        </tr>
      ))}
    </ListTable>
  );
}
