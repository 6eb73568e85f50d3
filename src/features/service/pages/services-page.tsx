// The page of services: all that the caller may see, those that do not run first, and the members that run them.
/** @jsxImportSource hono/jsx */

import type { z } from "zod";
import type { Page } from "../../../operation/page.ts";
import { Card } from "../../../page/card.tsx";
import { Filter, FilterState, FilterText } from "../../../page/filter.tsx";
import { ListCard } from "../../../page/list-card.tsx";
import { ListTable } from "../../../page/list-table.tsx";
import { Ago, Words } from "../../../page/text.tsx";
import { FENCE_WORDS } from "../fencing.ts";
import { serviceList } from "../read.ts";
import { SERVICE_STATES } from "../rows.ts";
import type { ShownService } from "../shown.ts";
import { SERVICES, serviceLink } from "./links.ts";
import { ServicePill } from "./service-pill.tsx";
import { TakenBack } from "./taken-back.tsx";

/** Services on the page: a filter shows the others. */
const MAX_SHOWN = 200;
/** Changes of services are in no feed that a page could follow. */
const AGAIN_SECONDS = 5;
/** What needs a look first. */
const ORDER: readonly ShownService["state"][] = ["idle", "stopping", "starting", "ready", "disabled"];

type List = z.infer<typeof serviceList.output>;

/** The page. */
export const servicesPage: Page = {
  path: SERVICES,
  summary: "Services: what runs where, what does not and why, and the members that run them",
  navigation: { order: 54, label: "Services", needs: serviceList.name },
  async open(visit) {
    const view = { space: visit.parameter("space").trim(), state: visit.parameter("state").trim() };
    const narrowed = Object.fromEntries(Object.entries(view).filter(([, value]) => value !== ""));
    const [list, { name }] = await Promise.all([visit.ask(serviceList, narrowed), visit.frame()]);
    return {
      title: `Services: ${name}`,
      againSeconds: AGAIN_SECONDS,
      body: <Services list={list} view={view} nowMs={visit.nowMs} />,
    };
  },
};

interface ServicesProps {
  list: List;
  view: { space: string; state: string };
  nowMs: number;
}

function Services({ list: { services, members }, view, nowMs }: ServicesProps) {
  const isNarrowed = view.space !== "" || view.state !== "";
  const sorted = services.toSorted((one, other) => ORDER.indexOf(one.state) - ORDER.indexOf(other.state));
  const left = sorted.length - MAX_SHOWN;
  return (
    <div class="wide">
      <ListCard id="services" title="Services" filter={<Narrow view={view} />}>
        {sorted.length === 0 ? (
          <p class="empty">{isNarrowed ? "There is no such service." : "There is no service that you may see."}</p>
        ) : (
          <ServiceTable services={sorted.slice(0, MAX_SHOWN)} nowMs={nowMs} />
        )}
        {left > 0 ? <p class="quiet">{left} more are left out: narrow the list.</p> : null}
      </ListCard>
      <Card id="service-members" title="Members that run services">
        <Members members={members} />
      </Card>
    </div>
  );
}

function Narrow({ view }: { view: ServicesProps["view"] }) {
  return (
    <Filter action={SERVICES}>
      <FilterText name="space" label="Only services of this space" value={view.space} placeholder="space" max={64} />
      <FilterState value={view.state} any="any state" states={[...SERVICE_STATES, "disabled"]} />
    </Filter>
  );
}

function ServiceTable({ services, nowMs }: { services: readonly ShownService[]; nowMs: number }) {
  return (
    <ListTable columns={["Service", "State", "Member", ["Fenced by", "wider"], ["Since", "end"]]}>
      {services.map((service) => (
        <ServiceRow service={service} nowMs={nowMs} />
      ))}
    </ListTable>
  );
}

function ServiceRow({ service, nowMs }: { service: ShownService; nowMs: number }) {
  const { name, space, state, copies, fence, deploying, deploy_failed: failed } = service;
  const [worst] = copies.toSorted((one, other) => ORDER.indexOf(one.state) - ORDER.indexOf(other.state));
  const held = copies.filter((copy) => copy.state !== "idle").map((copy) => copy.name ?? copy.node ?? "");
  return (
    <tr>
      <td>
        <a class="id" href={serviceLink(service)}>
          <Words text={name} />
        </a>{" "}
        <span class="tag">
          <Words text={space} />
        </span>
        {state === "ready" || worst === undefined ? null : (
          <div class="quiet about">
            <Words text={worst.reason} />
          </div>
        )}
        {deploying === true ? <div class="quiet about">Version {service.version} is being deployed.</div> : null}
        {failed === undefined ? null : (
          <div class="quiet about">
            <TakenBack failed={failed} />
          </div>
        )}
      </td>
      <td>
        <ServicePill state={state} />
      </td>
      <td class="author">
        <Words text={held.join(", ")} />
      </td>
      <td class="wider">{FENCE_WORDS[fence]}</td>
      <td class="end">{worst === undefined ? null : <Ago time={worst.since} nowMs={nowMs} />}</td>
    </tr>
  );
}

function Members({ members }: { members: List["members"] }) {
  if (members.length === 0) {
    return <p class="empty">None: a member says so once its setting fleet.run names what it may run.</p>;
  }
  return (
    <ListTable columns={["Member", "Runs"]}>
      {members.map(({ name, node, services, drained, reason }) => (
        <tr>
          <td>
            <Words text={name || node} />
            {drained ? <span class="pill warning">drained</span> : null}
            {reason === undefined ? null : (
              <div class="quiet about">
                <Words text={reason} />
              </div>
            )}
          </td>
          <td>
            <Words text={services.length === 0 ? "nothing" : services.slice(0, 20).join(", ")} />
            {services.length > 20 ? ` and ${services.length - 20} more` : null}
          </td>
        </tr>
      ))}
    </ListTable>
  );
}
