// The page of the fleet: a line for each member with its machine, the way to it, and what runs there. On a phone each
// line is a block of named values.
/** @jsxImportSource hono/jsx */

import type { Child } from "hono/jsx";
import { sizeText } from "../../lib/byte-size.ts";
import { counted } from "../../lib/counted.ts";
import { spanText } from "../../lib/span-text.ts";
import type { Page } from "../../operation/page.ts";
import { EVENTS_OPERATION, IncidentsLink } from "../../page/incidents-link.tsx";
import { Words } from "../../page/text.tsx";
import { serviceAddress } from "../../page/thing-link.ts";
import { type MemberReport, NODE_STATUS, type NodeReport } from "../node-status.ts";
import type { MachineReport } from "../placing/machine-schema.ts";
import { heatWords } from "../placing/machine-words.ts";
import { lifeOf, marksOf, wayOf } from "./member-words.ts";
import { askRunning, type Running } from "./running.ts";
import { Summary } from "./summary.tsx";

/** Path of the page. */
export const FLEET = "/ui/fleet";
/** Heartbeats are in memory of the members, and no changes of the log. */
const AGAIN_SECONDS = 5;
/** Services of one member that are named. */
const MAX_SERVICES = 12;
/** A gauge at or above these percents is marked: something is scarce, or used up. */
const SCARCE = 80;
const USED_UP = 95;

/** The page. */
export const fleetPage: Page = {
  path: FLEET,
  summary: "The fleet: each member with its load, memory, disk, heat, the way to it, and what runs there",
  navigation: { order: 53, label: "Fleet", needs: NODE_STATUS.name },
  async open(visit) {
    const [status, running, { name }] = await Promise.all([
      visit.ask(NODE_STATUS, { machines: true }),
      askRunning(visit),
      visit.frame(),
    ]);
    return {
      title: `Fleet: ${name}`,
      againSeconds: AGAIN_SECONDS,
      body: <Fleet status={status} running={running} mayEvents={visit.may(EVENTS_OPERATION, "fleet")} />,
    };
  },
};

interface FleetProps {
  status: NodeReport;
  running: Running;
  /** Whether what happened to members is offered. */
  mayEvents: boolean;
}

function Fleet({ status, running, mayEvents }: FleetProps) {
  return (
    <section class="card" aria-labelledby="fleet-title">
      <h1 id="fleet-title">Fleet</h1>
      <div id="fleet" data-part>
        <Summary status={status} />
        <table class="list fleet">
          <thead>
            <tr>
              {["Member", "State", "Busy", "Memory", "Disk", "Heat", "Uptime", "Way", "Runs"].map((name) => (
                <th scope="col">{name}</th>
              ))}
            </tr>
          </thead>
          <tbody>
            {status.members.map((member) => (
              <Row member={member} running={running} mayEvents={mayEvents} />
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function Row({ member, running, mayEvents }: Omit<FleetProps, "status"> & { member: MemberReport }) {
  const machine = member.machine ?? undefined;
  return (
    <tr>
      <td>
        <strong>
          <Words text={member.name} />
        </strong>{" "}
        <span class="quiet">{marksOf(member)}</span>
        <p class="labels">
          {(machine?.labels ?? []).map((label) => (
            <>
              <span class="tag">
                <Words text={label} />
              </span>{" "}
            </>
          ))}
          {mayEvents ? <IncidentsLink thing={`fleet/health/${member.node}`} /> : null}
        </p>
      </td>
      <td data-name="State">
        <State member={member} isDrained={running.isDrained(member.node)} />
      </td>
      <td data-name="Busy">
        <Busy machine={machine} />
      </td>
      <td data-name="Memory">
        <Used total={machine?.memory_total} free={machine?.memory_free} />
      </td>
      <td data-name="Disk">
        <Used total={machine?.disk_total} free={machine?.disk_free} />
      </td>
      <td data-name="Heat">
        <Heat machine={machine} />
      </td>
      <td data-name="Uptime">
        <Known value={machine?.uptime_seconds} words={(seconds) => spanText(seconds * 1000)} />
      </td>
      <td data-name="Way">
        <Words text={wayOf(member)} />
      </td>
      <td data-name="Runs">
        <Runs node={member.node} running={running} />
      </td>
    </tr>
  );
}

function State({ member, isDrained }: { member: MemberReport; isDrained: boolean }) {
  const { age_seconds: age, conditions, lag, machine } = member;
  const life = lifeOf(member);
  const kind = { up: "ok", late: "warning", gone: "failing", unknown: "role" }[life];
  const facts = [
    life === "late" || life === "gone" ? `not heard for ${Math.round(age ?? 0)} s` : "",
    lag === null || lag === 0 ? "" : `${counted(lag, "change")} behind`,
    machine?.stale === true ? `machine as it was ${Math.round(machine.age_seconds)} s ago` : "",
    ...conditions.map((code) => code.replaceAll("_", " ")),
  ].filter((fact) => fact !== "");
  return (
    <>
      <span class={`pill ${kind}`}>{life}</span>
      {isDrained ? (
        <>
          {" "}
          <span class="pill warning">drained</span>
        </>
      ) : null}
      {facts.length === 0 ? null : (
        <div class="quiet about">
          <Words text={facts.join(", ")} />
        </div>
      )}
    </>
  );
}

function Busy({ machine }: { machine: MachineReport | undefined }) {
  const { busy_percent: percent = null, busy_by: by = null, cores = null } = machine ?? {};
  if (percent === null) return <Unknown />;
  return (
    <Gauge percent={percent}>
      {percent} %{" "}
      <span class="quiet">
        {[by, cores === null ? "" : counted(cores, "CPU")].filter((each) => each !== null && each !== "").join(", ")}
      </span>
    </Gauge>
  );
}

/** How much of a size is in use. */
function Used({ total, free }: { total: number | null | undefined; free: number | null | undefined }) {
  if (free === null || free === undefined) return <Unknown />;
  if (total === null || total === undefined || total <= 0) return <>{sizeText(free)} free</>;
  const percent = Math.round((100 * Math.max(0, total - free)) / total);
  return (
    <Gauge percent={percent}>
      {percent} % <span class="quiet">of {sizeText(total)}</span>
    </Gauge>
  );
}

function Heat({ machine }: { machine: MachineReport | undefined }) {
  const isKnown =
    machine !== undefined && (machine.temperature_celsius !== null || (machine.throttled ?? []).length > 0);
  if (!isKnown) return <Unknown />;
  const isSlowed = (machine.throttled ?? []).length > 0;
  return isSlowed ? <strong class="slowed">{heatWords(machine)}</strong> : heatWords(machine);
}

function Known<T>({ value, words }: { value: T | null | undefined; words: (value: T) => string }) {
  return value === null || value === undefined ? <Unknown /> : words(value);
}

function Unknown() {
  return <span class="quiet">unknown</span>;
}

/** Words, and below them a bar that is as full as they say. */
function Gauge({ percent, children }: { percent: number; children?: Child }) {
  const kind = percent >= USED_UP ? "failing" : percent >= SCARCE ? "warning" : undefined;
  return (
    <>
      {children}
      <svg class="gauge" aria-hidden="true" focusable="false" width="100%" height="4">
        <rect class="ground" width="100%" height="4" rx="2" />
        <rect class={kind} width={`${Math.min(100, percent)}%`} height="4" rx="2" />
      </svg>
    </>
  );
}

function Runs({ node, running: { servicesOn, jobsOn, isCut } }: { node: string; running: Running }) {
  if (servicesOn === undefined && jobsOn === undefined) return <Unknown />;
  const services = servicesOn?.(node) ?? [];
  const jobs = jobsOn?.(node) ?? 0;
  const unknown = servicesOn === undefined ? "services unknown" : jobsOn === undefined ? "jobs unknown" : "";
  if (services.length === 0 && jobs === 0) return <span class="quiet">{unknown || "nothing"}</span>;
  const left = services.length - MAX_SERVICES;
  return (
    <>
      {services.slice(0, MAX_SERVICES).map((service) => (
        <>
          <a class="id" href={serviceAddress(service)}>
            <Words text={service.name} />
          </a>{" "}
        </>
      ))}
      {left > 0 ? `and ${left} more ` : null}
      {jobs === 0 ? null : (
        <a href="/ui/jobs?state=running">
          {isCut ? "at least " : ""}
          {counted(jobs, "job")}
        </a>
      )}
      {unknown === "" ? null : <span class="quiet"> {unknown}</span>}
    </>
  );
}
