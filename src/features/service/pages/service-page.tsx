// The page of one service: its copies and why they are so, what the leader does next, who could run it, and what its
// program writes.
/** @jsxImportSource hono/jsx */

import type { Child } from "hono/jsx";
import type { z } from "zod";
import { Fault } from "../../../lib/fault.ts";
import type { Page } from "../../../operation/page.ts";
import { Act } from "../../../page/act.tsx";
import { AUDIT_OPERATION, AuditLink } from "../../../page/audit-link.tsx";
import { Card } from "../../../page/card.tsx";
import { Facts } from "../../../page/fact.tsx";
import { EVENTS_OPERATION, IncidentsLink } from "../../../page/incidents-link.tsx";
import { ListTable } from "../../../page/list-table.tsx";
import { Ago, Refused, Words } from "../../../page/text.tsx";
import { ThingHead } from "../../../page/thing-head.tsx";
import { WrittenOutput } from "../../../page/written.tsx";
import { serviceMove, serviceRestart } from "../control.ts";
import { serviceRollback } from "../deploy.ts";
import { FENCE_WORDS } from "../fencing.ts";
import { SERVICE_PLAN } from "../plan.ts";
import { OUTPUT_OF_SERVICE, SERVICE_GET } from "../read.ts";
import { DEFAULT_SPACE } from "../rows.ts";
import type { ShownService } from "../shown.ts";
import { SERVICE, SERVICES, type ServiceKey, serviceForm, serviceLink, serviceOf } from "./links.ts";
import { ServicePill } from "./service-pill.tsx";
import { TakenBack } from "./taken-back.tsx";

/** Changes of services are in no feed that a page could follow, and output comes without changes. */
const AGAIN_SECONDS = 3;

const LIST = { path: SERVICES, label: "Services" };

type Plan = z.infer<typeof SERVICE_PLAN.output>["plan"];
type Output = z.infer<typeof OUTPUT_OF_SERVICE.output>;

/** The page. */
export const servicePage: Page = {
  path: SERVICE,
  summary:
    "One service: its copies, why they are so, what comes next, who could run it, output; restart it, move it, or take a deploy back",
  within: SERVICES,
  async open(visit) {
    const key = serviceOf(visit.rest);
    const { service, next } = await visit.ask(SERVICE_GET, { ...key });
    const [output, planned, { name }] = await Promise.all([
      visit.tryAsk(OUTPUT_OF_SERVICE, { ...key }),
      visit.tryAsk(SERVICE_PLAN, { name: key.name }),
      visit.frame(),
    ]);
    const may = {
      restart: visit.may(serviceRestart.name, key.space),
      move: visit.may(serviceMove.name, key.space),
      deploy: visit.may(serviceRollback.name, DEFAULT_SPACE),
      audit: visit.may(AUDIT_OPERATION, key.space),
      events: visit.may(EVENTS_OPERATION, key.space),
    };
    return {
      title: `${service.name}: ${name}`,
      againSeconds: AGAIN_SECONDS,
      body: (
        <OneService service={service} next={next} output={output} planned={planned} nowMs={visit.nowMs} may={may} />
      ),
    };
  },
  forms: {
    restart: {
      operation: serviceRestart.name,
      label: "Restart it",
      fields: [],
      known: (rest) => ({ ...serviceOf(rest) }),
      input: () => ({}),
      next: (_output, rest) => serviceLink(serviceOf(rest)),
    },
    rollback: {
      operation: serviceRollback.name,
      label: "Go back to the version before",
      fields: [],
      known: (rest) => ({ name: serviceOf(rest).name }),
      input: () => ({}),
      next: (_output, rest) => serviceLink(serviceOf(rest)),
    },
    move: {
      operation: serviceMove.name,
      label: "Move it",
      fields: ["to"],
      known: (rest) => ({ ...serviceOf(rest) }),
      input: ({ to = "" }) => (to === "" ? {} : { to }),
      next: (_output, rest) => serviceLink(serviceOf(rest)),
    },
  },
};

interface ServiceProps {
  service: ShownService;
  next: readonly string[];
  output: Output | Fault;
  planned: { plan: Plan } | Fault;
  nowMs: number;
  may: { restart: boolean; move: boolean; deploy: boolean; audit: boolean; events: boolean };
}

function OneService({ service, next, output, planned, nowMs, may }: ServiceProps) {
  const key = { space: service.space, name: service.name };
  return (
    <>
      <ThingHead
        list={LIST}
        name={service.name}
        state="state-of-service"
        below={<Buttons service={service} planned={planned} may={may} at={key} />}
      >
        <p>
          <ServicePill state={service.state} />{" "}
          {service.url === undefined ? null : <a href={service.url}>{service.url}</a>}{" "}
          {may.events ? <IncidentsLink thing={`${key.space}/services/${key.name}`} /> : null}
        </p>
        <DeployState service={service} />
        {next.slice(0, 20).map((why) => (
          <p>
            <Words text={why} />
          </p>
        ))}
      </ThingHead>
      <div class="columns">
        <div class="wide">
          <Card id="copies" title="Copies">
            <Copies copies={service.copies} nowMs={nowMs} />
          </Card>
          <Card id="plan" title="What the leader would do">
            {planned instanceof Fault ? <Refused fault={planned} /> : <PlanList plan={planned.plan} />}
          </Card>
          <Card id="output" title="Output">
            <OutputText output={output} />
          </Card>
        </div>
        <div class="side">
          <Card id="about" title="About it">
            <About service={service} />
            {may.audit ? (
              <p>
                <AuditLink target={`${key.space}/services/${key.name}`} />
              </p>
            ) : null}
          </Card>
        </div>
      </div>
    </>
  );
}

/** A deploy that is on its way, or was taken back. */
function DeployState({ service: { version, deploying, deploy_failed: failed } }: { service: ShownService }) {
  if (deploying === true)
    return <p>Version {version} is being deployed: it is taken back unless it is ready in time.</p>;
  if (failed === undefined) return null;
  return (
    <p>
      <TakenBack failed={failed} />
    </p>
  );
}

function Buttons({
  service,
  planned,
  may,
  at,
}: Pick<ServiceProps, "service" | "planned" | "may"> & { at: ServiceKey }) {
  const hasOne = service.copies.every(({ copy }) => copy === undefined);
  const candidates = planned instanceof Fault ? [] : (planned.plan[0]?.candidates ?? []);
  const able = candidates.filter(({ problem }) => problem === undefined);
  return (
    <div class="acts">
      {may.restart ? <Act action={serviceForm(at, "restart")} label="Restart it" /> : null}
      {may.deploy && service.artifact !== undefined ? (
        <Act action={serviceForm(at, "rollback")} label="Go back to the version before" />
      ) : null}
      {may.move && hasOne ? (
        <Act action={serviceForm(at, "move")} label="Move it">
          <label>
            <span class="hidden">Member that gets it</span>
            <select name="to">
              <option value="">where it is declared</option>
              {able.map(({ name, node = name }) => (
                <option value={node}>{name}</option>
              ))}
            </select>
          </label>
        </Act>
      ) : null}
    </div>
  );
}

function Copies({ copies, nowMs }: { copies: ShownService["copies"]; nowMs: number }) {
  if (copies.length === 0) return <p class="empty">It has never run.</p>;
  return (
    <ListTable columns={["Member", "State", ["Fence", "wider"], ["Revision", "number wider"], ["Since", "end"]]}>
      {copies.map((copy) => (
        <tr>
          <td>
            <Words text={copy.name ?? copy.node ?? "none yet"} />
            <div class="quiet about">
              <Words text={copy.reason} />
              {copy.asked === undefined ? null : ` An operator asked for a ${copy.asked}.`}
            </div>
          </td>
          <td>
            <ServicePill state={copy.state} />
            {copy.failures === undefined ? null : <span class="quiet"> failed {copy.failures} times</span>}
          </td>
          <td class="wider">{copy.fence ?? ""}</td>
          <td class="number wider">{copy.revision}</td>
          <td class="end">
            <Ago time={copy.since} nowMs={nowMs} />
          </td>
        </tr>
      ))}
    </ListTable>
  );
}

function PlanList({ plan }: { plan: Plan }) {
  if (plan.length === 0) return <p class="empty">Nothing: no copy of it is to run.</p>;
  return (
    <>
      {plan.slice(0, 20).map(({ now, steps, after, why, candidates }) => (
        <div>
          <p>
            <Words text={`Now: ${now}. Then: ${steps.length === 0 ? "nothing" : steps.join(", ")}. After: ${after}.`} />
          </p>
          <p class="quiet">
            <Words text={why} />
          </p>
          {candidates.slice(0, 20).map(({ name, problem = "can run it" }) => (
            <p>
              <Words text={`${name}: ${problem}`} />
            </p>
          ))}
        </div>
      ))}
    </>
  );
}

function OutputText({ output }: { output: Output | Fault }) {
  const node = output instanceof Fault ? "" : (output.node ?? "");
  return (
    <WrittenOutput
      output={output}
      about={(isCut, size) => (
        <p class="quiet">
          {isCut ? `The end of ${size}` : "All"} that its last start has written on <Words text={node} />.
        </p>
      )}
    />
  );
}

function About({ service }: { service: ShownService }) {
  const { space, version, artifact, primary, backups, where, labels, description, fence } = service;
  const rows: [string, Child][] = [["Space", <Words text={space} />]];
  if (description !== undefined) rows.push(["Description", <Words text={description} />]);
  if (primary !== undefined) rows.push(["Primary", <Words text={primary} />]);
  if (backups.length > 0) rows.push(["Backups", <Words text={backups.join(", ")} />]);
  rows.push(["Where", <Words text={where} />]);
  if (labels.length > 0) rows.push(["Labels", <Words text={labels.join(", ")} />]);
  rows.push(["Declaration", `version ${version}`]);
  if (artifact !== undefined) rows.push(["Artifact", <span class="tag">{artifact.slice(0, 12)}</span>]);
  rows.push(["Fenced by", FENCE_WORDS[fence]]);
  return <Facts rows={rows} />;
}
