// The fleet on the overview: who leads, what may fail, and each member as this node knows it. Lines and no table, so
// that a phone shows it.
/** @jsxImportSource hono/jsx */

import { counted } from "../../lib/counted.ts";
import { Fault } from "../../lib/fault.ts";
import type { Section } from "../../operation/page.ts";
import { Card } from "../../page/card.tsx";
import { Refused, Words } from "../../page/text.tsx";
import { type MemberReport, NODE_STATUS, type NodeReport } from "../node-status.ts";
import { machineWords } from "../placing/machine-words.ts";
import { FLEET } from "./fleet-page.tsx";
import { lifeOf, marksOf, wayOf } from "./member-words.ts";
import { Summary } from "./summary.tsx";

/** The fleet and its members. */
export const membersSection: Section = {
  column: "side",
  order: 10,
  async show(visit) {
    const status = await visit.tryAsk(NODE_STATUS, { machines: true });
    return {
      body: (
        <Card id="fleet" title="Fleet">
          {status instanceof Fault ? <Refused fault={status} /> : <Members status={status} />}
        </Card>
      ),
    };
  },
};

function Members({ status }: { status: NodeReport }) {
  return (
    <div>
      <Summary status={status} />
      <ul class="members">
        {status.members.map((member) => (
          <li class={lifeOf(member) === "up" ? "ok" : "warning"}>
            <strong>
              <Words text={member.name} />
            </strong>{" "}
            <span class="quiet">{marksOf(member)}</span>
            <p class="quiet">{factsOf(member).join(" · ")}</p>
            <Machine machine={member.machine} />
          </li>
        ))}
      </ul>
      <p>
        <a href={FLEET}>all of each machine, and what runs there</a>
      </p>
    </div>
  );
}

function Machine({ machine }: Pick<MemberReport, "machine">) {
  if (machine === undefined || machine === null) return null;
  return (
    <p class="quiet">
      <Words text={machineWords(machine).join(" · ")} />
    </p>
  );
}

function factsOf(member: MemberReport): string[] {
  const { self, lag, age_seconds, position, version } = member;
  return [
    position === "" ? "no report yet" : lag === 0 || lag === null ? "up to date" : `${counted(lag, "change")} behind`,
    ...(self ? [] : [wayOf(member) === "unknown" ? "way unknown" : wayOf(member)]),
    ...(self || age_seconds === null ? [] : [`heard ${Math.round(age_seconds)} s ago`]),
    version,
  ];
}
