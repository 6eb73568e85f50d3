// This node on the overview: its name and addresses, tailnet state, position, backup, uptime and build.
/** @jsxImportSource hono/jsx */

import { Fault } from "../../lib/fault.ts";
import { spanText } from "../../lib/span-text.ts";
import type { Section } from "../../operation/page.ts";
import { Card } from "../../page/card.tsx";
import { Fact } from "../../page/fact.tsx";
import { agoText, Refused, Words } from "../../page/text.tsx";
import { NODE_STATUS, type NodeReport } from "../node-status.ts";

import { STORE } from "./store-page.tsx";

/** The node. */
export const nodeSection: Section = {
  column: "side",
  order: 30,
  async show(visit) {
    const status = await visit.tryAsk(NODE_STATUS);
    return {
      body: (
        <Card id="node" title="Node">
          {status instanceof Fault ? <Refused fault={status} /> : <Facts status={status} nowMs={visit.nowMs} />}
        </Card>
      ),
    };
  },
};

function Facts({ status, nowMs }: { status: NodeReport; nowMs: number }) {
  const { tailnet, backup } = status;
  // In development and in the conformance suite.
  const isAlone = tailnet.engine === "loopback";
  return (
    <dl>
      {isAlone ? null : <Fact name="Name">{tailnet.name === "" ? "none yet" : tailnet.name}</Fact>}
      {tailnet.ips.length === 0 ? null : <Fact name="Addresses">{tailnet.ips.join(", ")}</Fact>}
      <Fact name="Tailnet">
        {isAlone ? "none: this node is for this machine only" : `${tailnet.state}, control server ${tailnet.control}`}
      </Fact>
      {tailnet.key_expiry === null ? null : <Fact name="Key expires">{tailnet.key_expiry.slice(0, 10)}</Fact>}
      <Fact name="Position">
        <code>{status.position}</code> <a href={STORE}>growth</a>
      </Fact>
      {backup === undefined ? null : (
        <Fact name="Backup">
          <Words text={backupText(backup, nowMs)} />
        </Fact>
      )}
      <Fact name="Up">{spanText(status.uptime_seconds * 1000)}</Fact>
      <Fact name="Build">
        {status.version} ({status.commit})
      </Fact>
    </dl>
  );
}

function backupText({ at, next }: NonNullable<NodeReport["backup"]>, nowMs: number): string {
  const last = at === null ? "none yet" : `last ${agoText(nowMs - Date.parse(at))}`;
  if (next === null) return `${last}, next only on demand`;
  const untilMs = Date.parse(next) - nowMs;
  return `${last}, next ${untilMs <= 0 ? "now" : `in ${spanText(untilMs)}`}`;
}
