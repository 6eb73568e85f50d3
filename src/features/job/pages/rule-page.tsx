// The page of one rule: its number now, what it does and why, the jobs that it started, and its declaration.
/** @jsxImportSource hono/jsx */

import type { Child } from "hono/jsx";
import { Fault } from "../../../lib/fault.ts";
import { exactSpanText } from "../../../lib/span-text.ts";
import type { Page } from "../../../operation/page.ts";
import { AUDIT_OPERATION, AuditLink } from "../../../page/audit-link.tsx";
import { Card } from "../../../page/card.tsx";
import { Facts } from "../../../page/fact.tsx";
import { Ago, type Named, Refused, Words } from "../../../page/text.tsx";
import { ThingHead } from "../../../page/thing-head.tsx";
import { Written } from "../../../page/written.tsx";
import { jobList } from "../read.ts";
import { RULE_LIST } from "../rule-read.ts";
import { JobTable } from "./job-table.tsx";
import { jobsLink, RULE_PAGE, RULES_PAGE } from "./links.ts";
import { Clock, firesText, RulePill, type ShownRule } from "./rule-pill.tsx";
import type { ShownJob } from "./state-pill.tsx";

/** Numbers are in memory of members, and no changes of the log. */
const AGAIN_SECONDS = 5;
const LIST = { path: RULES_PAGE, label: "Rules" };
/** Jobs of the action that are looked at: those of the rule are shown. */
const LOOKED = 200;

/** The page. */
export const rulePage: Page = {
  path: RULE_PAGE,
  summary: "One rule: its number, what it does now and why, the jobs that it started, its declaration",
  within: RULES_PAGE,
  async open(visit) {
    const asked = visit.rest;
    const [{ rules }, { name, members }] = await Promise.all([visit.ask(RULE_LIST, { name: asked }), visit.frame()]);
    const rule = rules[0];
    if (rule === undefined)
      throw new Fault("not_found", `There is no rule ${JSON.stringify(asked)}`, {
        hint: "The page of rules has those that you may see.",
      });
    const { space, action } = rule;
    const found = await visit.tryAsk(jobList, { space, action, limit: LOOKED });
    return {
      title: `${asked}: ${name}`,
      againSeconds: AGAIN_SECONDS,
      body: (
        <Rule
          rule={rule}
          jobs={found instanceof Fault ? found : found.jobs.filter((job) => job.rule === rule.name)}
          isCut={!(found instanceof Fault) && found.cursor !== undefined}
          members={members}
          nowMs={visit.nowMs}
          mayAudit={visit.may(AUDIT_OPERATION, "fleet")}
        />
      ),
    };
  },
};

interface RuleProps {
  rule: ShownRule;
  jobs: readonly ShownJob[] | Fault;
  /** There are older jobs of the action. */
  isCut: boolean;
  members: Named;
  nowMs: number;
  mayAudit: boolean;
}

function Rule({ rule, jobs, isCut, members, nowMs, mayAudit }: RuleProps) {
  const { name, space, action, state, why, declared } = rule;
  const description = declared?.["description"];
  return (
    <>
      <ThingHead list={LIST} name={name} state="state-of-rule">
        <p>
          <RulePill state={state} />{" "}
          <span class="quiet">
            <Words text={why} />
          </span>
        </p>
        {typeof description === "string" ? (
          <p>
            <Words text={description} />
          </p>
        ) : null}
      </ThingHead>
      <div class="columns">
        <div class="wide">
          <Card id="jobs" title="Jobs that it started">
            <Started jobs={jobs} members={members} nowMs={nowMs} />
            <p class="quiet">
              {isCut ? `Of the newest ${LOOKED} jobs of the action. ` : ""}
              <a href={jobsLink({ space, action })}>All jobs of the action</a>
            </p>
          </Card>
        </div>
        <div class="side">
          <Card id="about" title="About it">
            <About rule={rule} nowMs={nowMs} />
          </Card>
          <Card id="declared" title="Declaration">
            <Written text={JSON.stringify(declared, undefined, 2)} />
            {mayAudit ? (
              <p>
                <AuditLink target={`fleet/rules/${name}`} />
              </p>
            ) : null}
          </Card>
        </div>
      </div>
    </>
  );
}

function Started({ jobs, members, nowMs }: Pick<RuleProps, "jobs" | "members" | "nowMs">) {
  if (jobs instanceof Fault) return <Refused fault={jobs} />;
  if (jobs.length === 0) return <p class="empty">None that is kept.</p>;
  return <JobTable jobs={jobs} members={members} nowMs={nowMs} />;
}

function About({ rule, nowMs }: Pick<RuleProps, "rule" | "nowMs">) {
  const { value, beyond_seconds: beyond, above, last_fired: fired, next_possible: next } = rule;
  const never = fired === undefined;
  const rows: [string, Child][] = [
    ["Probe", <Words text={rule.probe} />],
    ["Fires", firesText(rule)],
    ["Number", value === undefined ? "none" : String(value)],
  ];
  if (beyond !== undefined) rows.push([above === undefined ? "Below for" : "Above for", exactSpanText(1000 * beyond)]);
  rows.push(
    ["Starts", <Words text={rule.action} />],
    ["Space", <Words text={rule.space} />],
    ["Open jobs", `${rule.open_jobs} of at most ${rule.at_most}`],
    ["Firings", String(rule.firings)],
    ["Last fired", never ? "never" : <Ago time={fired} nowMs={nowMs} />],
    ["Cool-down", exactSpanText(1000 * rule.cool_down_seconds)],
  );
  if (next !== undefined) rows.push(["Cools down until", <Clock time={next} />]);
  return <Facts rows={rows} />;
}
