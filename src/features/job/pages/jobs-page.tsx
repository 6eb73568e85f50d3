// The page of jobs: all that the caller may see, the newest first, by space, action and state.
/** @jsxImportSource hono/jsx */

import type { z } from "zod";
import type { Page } from "../../../operation/page.ts";
import { Filter, FilterState, FilterText } from "../../../page/filter.tsx";
import { ListCard } from "../../../page/list-card.tsx";
import { PageLinks } from "../../../page/page-links.tsx";
import type { Named } from "../../../page/text.tsx";
import { jobList } from "../read.ts";
import { JOB_STATES } from "../rows.ts";
import { JobTable } from "./job-table.tsx";
import { JOBS, type JobsView, jobsLink } from "./links.ts";

/** Jobs on one page. */
const PAGE = 50;
/** Changes of jobs are in no feed that a page could follow. */
const AGAIN_SECONDS = 5;

/** The page. */
export const jobsPage: Page = {
  path: JOBS,
  summary: "Jobs: what waits, what runs and who does it, what failed",
  navigation: { order: 56, label: "Jobs", needs: jobList.name },
  async open(visit) {
    const [space, action, state, cursor] = ["space", "action", "state", "cursor"].map((name) =>
      visit.parameter(name).trim(),
    ) as [string, string, string, string];
    const view = { space, action, state, cursor };
    const narrowed = Object.fromEntries(Object.entries(view).filter(([, value]) => value !== ""));
    const [list, { name, members }] = await Promise.all([
      visit.ask(jobList, { limit: PAGE, ...narrowed }),
      visit.frame(),
    ]);
    return {
      title: `Jobs: ${name}`,
      againSeconds: AGAIN_SECONDS,
      body: <Jobs list={list} view={view} members={members} nowMs={visit.nowMs} />,
    };
  },
};

interface JobsProps {
  list: z.infer<typeof jobList.output>;
  view: JobsView;
  members: Named;
  nowMs: number;
}

function Jobs({ list: { jobs, cursor }, view, members, nowMs }: JobsProps) {
  const isNarrowed = view.space !== "" || view.action !== "" || view.state !== "";
  return (
    <ListCard id="jobs" title="Jobs" filter={<Narrow view={view} />}>
      {jobs.length === 0 ? (
        <p class="empty">{isNarrowed ? "There is no such job." : "There is no job that you may see."}</p>
      ) : (
        <JobTable jobs={jobs} members={members} nowMs={nowMs} />
      )}
      <PageLinks
        of="list"
        first={view.cursor === "" ? undefined : jobsLink({ ...view, cursor: "" })}
        next={cursor === undefined ? undefined : jobsLink({ ...view, cursor })}
        byAge
      />
    </ListCard>
  );
}

function Narrow({ view }: { view: JobsView }) {
  return (
    <Filter action={JOBS}>
      <FilterText name="space" label="Only jobs of this space" value={view.space} placeholder="space" max={64} />
      <FilterText name="action" label="Only jobs of this action" value={view.action} placeholder="action" max={64} />
      <FilterState value={view.state} any="any state" states={JOB_STATES} />
    </Filter>
  );
}
