// The fleet on the page at /: who leads, what may fail, and each member with what this node knows of it. Readable on a phone: lines, no table.
/** @jsxImportSource hono/jsx */

import { Fault } from "../lib/fault.ts";
import type { Shown } from "./ask.ts";
import { Refused, Words } from "./text.tsx";

type Status = Shown<"node_status">;
type Member = Status["members"][number];

export function Fleet({ status }: { status: Status | Fault }) {
  return (
    <section class="card" aria-labelledby="fleet-title">
      <h2 id="fleet-title">Fleet</h2>
      <div id="fleet" data-part>
        {status instanceof Fault ? <Refused fault={status} /> : <Members status={status} />}
      </div>
    </section>
  );
}

function Members({ status: { fleet, members } }: { status: Status }) {
  return (
    <div>
      <p>
        <strong>
          <Words text={fleet.name} />
        </strong>{" "}
        <span class="quiet">
          {fleet.leader === "" ? "no leader known" : "led by "}
          {fleet.leader === "" ? null : <Words text={fleet.leader} />}, {fleet.voters} voting, profile {fleet.profile}
        </span>
      </p>
      <p>{fleet.survives}</p>
      <ul class="members">
        {members.map((member) => (
          <li class={stateOf(member)}>
            <strong>
              <Words text={member.name} />
            </strong>{" "}
            <span class="quiet">{marksOf(member)}</span>
            <p class="quiet">{factsOf(member).join(" · ")}</p>
          </li>
        ))}
      </ul>
    </div>
  );
}

/** Heard lately, or not: the beats come each second. */
function stateOf({ self, age_seconds }: Member): "ok" | "warning" {
  return self || (age_seconds !== null && age_seconds <= 5) ? "ok" : "warning";
}

function marksOf({ role, leader, votes, self, state }: Member): string {
  const marks = [
    role,
    leader ? "leads" : votes ? "votes" : "",
    self ? "this node" : "",
    state === "leaving" ? state : "",
  ];
  return marks.filter((mark) => mark !== "").join(", ");
}

function factsOf(member: Member): string[] {
  const { self, lag, path, relay, round_trip_ms, age_seconds, position, version } = member;
  const way = path === "relay" ? `by relay ${relay}` : path === "none" ? "no path" : path;
  return [
    position === "" ? "not heard yet" : lag === 0 || lag === null ? "up to date" : `${lag} changes behind`,
    ...(self ? [] : [round_trip_ms === null ? way : `${way}, ${round_trip_ms} ms`]),
    ...(self || age_seconds === null ? [] : [`heard ${Math.round(age_seconds)} s ago`]),
    version,
  ];
}
