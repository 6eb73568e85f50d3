// The page at /: what there is, how the node does, who you are and may do, how to connect a client. Each part stands alone, as rights may allow one and not another.
/** @jsxImportSource hono/jsx */

import { Fault } from "../lib/fault.ts";
import type { Asker, Shown } from "./ask.ts";
import { Cache } from "./cache.tsx";
import { Connect } from "./connect.tsx";
import { ContextList, type ListFilter } from "./context-list.tsx";
import { Fleet } from "./fleet.tsx";
import { agoText, type Named, Refused, spanText, Words } from "./text.tsx";
import { You } from "./you.tsx";

export interface OverviewFacts {
  status: Shown<"node_status"> | Fault;
  whoami: Shown<"whoami"> | Fault;
  list: Shown<"context_list"> | Fault;
  filter: ListFilter;
  /** Base URL at which this caller reaches the node. */
  base: string;
  nowMs: number;
}

/** Contexts on one page of the list. */
const PAGE = 50;

export async function overviewFacts(
  asker: Asker,
  filter: ListFilter,
  base: string,
  nowMs: number,
): Promise<OverviewFacts> {
  const { prefix, tag, cursor } = filter;
  const narrowed = { ...(prefix && { prefix }), ...(tag && { tag }), ...(cursor && { cursor }) };
  const [status, whoami, list] = await Promise.all([
    asker.tryAsk("node_status"),
    asker.tryAsk("whoami"),
    asker.tryAsk("context_list", { limit: PAGE, ...narrowed }),
  ]);
  // A filter that is no filter is the whole page's failure; a missing right, or nobody who could be asked, only that of its part.
  if (list instanceof Fault && list.code !== "forbidden" && list.code !== "unavailable") throw list;
  const known = status instanceof Fault ? undefined : status.urls[0];
  return { status, whoami, list, filter, nowMs, base: asker.caller.kind === "local" ? base : (known ?? base) };
}

export function Overview({ facts }: { facts: OverviewFacts }) {
  return (
    <div class="columns">
      <h1 class="hidden">Contexts and state of this node</h1>
      <div class="wide">
        <Conditions status={facts.status} nowMs={facts.nowMs} />
        <ContextList list={facts.list} filter={facts.filter} members={membersOf(facts.status)} nowMs={facts.nowMs} />
      </div>
      <div class="side">
        <Fleet status={facts.status} />
        <Cache status={facts.status} />
        <Node status={facts.status} nowMs={facts.nowMs} />
        <You whoami={facts.whoami} />
        <Connect base={facts.base} />
      </div>
    </div>
  );
}

/** Members of the fleet, where the caller may know them. */
export function membersOf(status: OverviewFacts["status"]): Named {
  return status instanceof Fault ? [] : status.members;
}

function Conditions({ status, nowMs }: { status: OverviewFacts["status"]; nowMs: number }) {
  const conditions = status instanceof Fault ? [] : status.conditions;
  return (
    <div id="conditions" data-part>
      {conditions.length === 0 ? null : (
        <section class="card conditions" aria-label="Conditions">
          <ul>
            {conditions.map((condition) => (
              <li class={condition.severity}>
                <strong>{condition.title}</strong>{" "}
                <span class="quiet">for {spanText(nowMs - Date.parse(condition.since))}</span>
                <p>
                  <Words text={condition.text} />
                </p>
                <p class="quiet">{condition.hint}</p>
              </li>
            ))}
          </ul>
        </section>
      )}
    </div>
  );
}

function Node({ status, nowMs }: Pick<OverviewFacts, "status" | "nowMs">) {
  return (
    <section class="card" aria-labelledby="node-title">
      <h2 id="node-title">Node</h2>
      <div id="node" data-part>
        {status instanceof Fault ? (
          <Refused fault={status} />
        ) : (
          <dl>
            <Row name="Name">{status.tailnet.name === "" ? "none yet" : status.tailnet.name}</Row>
            {status.tailnet.ips.length === 0 ? null : <Row name="Addresses">{status.tailnet.ips.join(", ")}</Row>}
            <Row name="Tailnet">
              {status.tailnet.state}, control server {status.tailnet.control}
            </Row>
            {status.tailnet.key_expiry === null ? null : (
              <Row name="Key expires">{status.tailnet.key_expiry.slice(0, 10)}</Row>
            )}
            <Row name="Position">
              <code>{status.position}</code>
            </Row>
            {status.backup === undefined ? null : (
              <Row name="Backup">
                <Words text={backupText(status.backup, nowMs)} />
              </Row>
            )}
            <Row name="Up">{spanText(status.uptime_seconds * 1000)}</Row>
            <Row name="Build">
              {status.version} ({status.commit})
            </Row>
          </dl>
        )}
      </div>
    </section>
  );
}

function backupText({ at, next }: NonNullable<Shown<"node_status">["backup"]>, nowMs: number): string {
  const last = at === null ? "none yet" : `last ${agoText(nowMs - Date.parse(at))}`;
  if (next === null) return `${last}, next only on demand`;
  const untilMs = Date.parse(next) - nowMs;
  return `${last}, next ${untilMs <= 0 ? "now" : `in ${spanText(untilMs)}`}`;
}

function Row({ name, children }: { name: string; children?: unknown }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}
