// The page of one job: what it is given, who does it, its output while it runs, and what came of it.
/** @jsxImportSource hono/jsx */

import type { Child } from "hono/jsx";
import type { z } from "zod";
import { spaceOf } from "../../../access/space.ts";
import { Fault } from "../../../lib/fault.ts";
import type { Page } from "../../../operation/page.ts";
import { Act } from "../../../page/act.tsx";
import { AUDIT_OPERATION, AuditLink } from "../../../page/audit-link.tsx";
import { Card } from "../../../page/card.tsx";
import { Facts } from "../../../page/fact.tsx";
import { EVENTS_OPERATION, IncidentsLink } from "../../../page/incidents-link.tsx";
import { Ago, type Named, nameText, Words } from "../../../page/text.tsx";
import { ThingHead } from "../../../page/thing-head.tsx";
import { Who } from "../../../page/who.tsx";
import { Written, WrittenOutput } from "../../../page/written.tsx";
import { jobCancel, jobRedrive } from "../control.ts";
import { JOB_GET, JOB_OUTPUT } from "../read.ts";
import { targetOfJob } from "../rows.ts";
import { JOB, JOBS, jobForm, jobLink, ruleLink } from "./links.ts";
import { type ShownJob, StatePill } from "./state-pill.tsx";

/** Changes of jobs are in no feed that a page could follow, and output comes without changes. */
const AGAIN_SECONDS = 2;
const LIST = { path: JOBS, label: "Jobs" };
const ENDED: ReadonlySet<ShownJob["state"]> = new Set(["succeeded", "failed", "cancelled", "dead"]);

type Got = z.infer<typeof JOB_GET.output>;
type Output = z.infer<typeof JOB_OUTPUT.output>;

/** The page. */
export const jobPage: Page = {
  path: JOB,
  summary: "One job: input, attempts, progress, output while it runs, result; cancel it, or queue it again",
  within: JOBS,
  async open(visit) {
    const id = visit.rest;
    const got = await visit.ask(JOB_GET, { id });
    const { job } = got;
    const hasOutput = job.runs === "member" && job.attempt > 0;
    const [output, { name, members }] = await Promise.all([
      hasOutput ? visit.tryAsk(JOB_OUTPUT, { id }) : undefined,
      visit.frame(),
    ]);
    const space = spaceOf(id);
    const may = {
      cancel: visit.may(jobCancel.name, space),
      redrive: visit.may(jobRedrive.name, space),
      audit: visit.may(AUDIT_OPERATION, space),
      events: visit.may(EVENTS_OPERATION, space),
    };
    return {
      title: `${id}: ${name}`,
      ...(ENDED.has(job.state) ? {} : { againSeconds: AGAIN_SECONDS }),
      body: <OneJob got={got} output={output} members={members} nowMs={visit.nowMs} may={may} />,
    };
  },
  forms: {
    cancel: {
      operation: jobCancel.name,
      label: "Cancel the job",
      fields: [],
      known: (rest) => ({ id: rest }),
      input: () => ({}),
      next: (_output, rest) => jobLink(rest),
    },
    redrive: {
      operation: jobRedrive.name,
      label: "Queue it again",
      fields: [],
      known: (rest) => ({ id: rest }),
      input: () => ({}),
      next: (_output, rest) => jobLink(rest),
    },
  },
};

interface JobProps {
  got: Got;
  output: Output | Fault | undefined;
  members: Named;
  nowMs: number;
  may: { cancel: boolean; redrive: boolean; audit: boolean; events: boolean };
}

function OneJob({ got, output, members, nowMs, may }: JobProps) {
  const { job, input, progress, checkpoint, result } = got;
  return (
    <>
      <ThingHead list={LIST} name={job.id} state="state-of-job">
        <p>
          <StatePill job={job} />{" "}
          <span class="quiet">
            since <Ago time={job.since} nowMs={nowMs} />
          </span>{" "}
          {may.events ? <IncidentsLink thing={targetOfJob(job.id)} /> : null}
        </p>
        {progress === undefined ? null : (
          <p>
            <Words text={progress} />
          </p>
        )}
        {job.error === undefined ? null : (
          <p>
            <Words text={job.error} />
          </p>
        )}
        <Buttons job={job} may={may} />
      </ThingHead>
      <div class="columns">
        <div class="wide">
          {output === undefined ? null : (
            <Card id="output" title="Output">
              <OutputText output={output} />
            </Card>
          )}
          <Card id="result" title="Result">
            {result === undefined ? (
              <p class="empty">None{ENDED.has(job.state) ? "" : " yet"}.</p>
            ) : (
              <Written text={result} />
            )}
          </Card>
          <Card id="input" title="Input">
            <Written text={JSON.stringify(input, undefined, 2)} />
          </Card>
          {checkpoint === undefined ? null : (
            <Card id="checkpoint" title="Checkpoint">
              <Written text={checkpoint} />
            </Card>
          )}
        </div>
        <div class="side">
          <Card id="about" title="About it">
            <About job={job} members={members} nowMs={nowMs} />
            {may.audit ? (
              <p>
                <AuditLink target={targetOfJob(job.id)} />
              </p>
            ) : null}
          </Card>
        </div>
      </div>
    </>
  );
}

function OutputText({ output }: { output: Output | Fault }) {
  const sha256 = output instanceof Fault ? undefined : output.output_sha256;
  return (
    <WrittenOutput
      output={output}
      about={(isCut, size) =>
        isCut ? (
          <p class="quiet">
            The end of {size}.{" "}
            {sha256 === undefined ? null : (
              <>
                The whole is the blob <span class="take">{sha256}</span>.
              </>
            )}
          </p>
        ) : null
      }
    />
  );
}

function Buttons({ job: { id, state, cancelling }, may }: Pick<JobProps, "may"> & { job: ShownJob }) {
  const mayCancel = may.cancel && !ENDED.has(state) && cancelling !== true;
  const mayRedrive = may.redrive && ENDED.has(state) && state !== "succeeded";
  if (!mayCancel && !mayRedrive) return null;
  return mayCancel ? (
    <Act action={jobForm(id, "cancel")} label="Cancel the job" />
  ) : (
    <Act action={jobForm(id, "redrive")} label="Queue it again" />
  );
}

function About({ job, members, nowMs }: { job: ShownJob; members: Named; nowMs: number }) {
  const rows: [string, Child][] = [
    ["Action", <Words text={job.action} />],
    ["Started by", <Who author={job.by} agent={job.agent} members={members} />],
    ["Created", <Ago time={job.created} nowMs={nowMs} />],
    ["Attempts", `${job.attempt} of ${job.attempts}`],
    ["Priority", String(job.priority)],
    ["Done by", job.runs === "member" ? "a node" : "an agent"],
  ];
  if (job.schedule !== undefined) rows.push(["Schedule", <Words text={job.schedule} />]);
  if (job.rule !== undefined) {
    rows.push([
      "Rule",
      <a href={ruleLink(job.rule)}>
        <Words text={job.rule} />
      </a>,
    ]);
  }
  if (job.concurrency_key !== undefined) rows.push(["One at a time of", <Words text={job.concurrency_key} />]);
  if (job.worker !== undefined) rows.push(["Worker", <Words text={nameText(job.worker, members)} />]);
  if (job.run_at !== undefined) rows.push(["Not before", job.run_at.slice(0, 19).replace("T", " ")]);
  return <Facts rows={rows} />;
}
