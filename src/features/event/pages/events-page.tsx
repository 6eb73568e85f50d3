// The page of events: how they flow, as a picture and in tables, and the newest ones.
/** @jsxImportSource hono/jsx */

import type { z } from "zod";
import { counted } from "../../../lib/counted.ts";
import { Fault } from "../../../lib/fault.ts";
import { spanText } from "../../../lib/span-text.ts";
import type { Page } from "../../../operation/page.ts";
import { address } from "../../../page/address.ts";
import { Card } from "../../../page/card.tsx";
import { Filter, FilterText } from "../../../page/filter.tsx";
import { ListCard } from "../../../page/list-card.tsx";
import { ListTable } from "../../../page/list-table.tsx";
import { PageLinks } from "../../../page/page-links.tsx";
import { Ago, type Named, nameText, Refused, Words } from "../../../page/text.tsx";
import { listAsked } from "../list.ts";
import { logAsked } from "../moves/get.ts";
import { type Topology, topologyAsked } from "../stats/topology-operation.ts";
import { TopologyPicture } from "./topology-picture.tsx";

const EVENTS = "/ui/events";
/** Events on one page. */
const PAGE = 50;
/** Characters of the data of an event. */
const MAX_DATA = 160;

type List = z.output<typeof listAsked.output>;
type Move = NonNullable<z.output<typeof logAsked.output>["move"]>;
type View = Record<"space" | "type" | "before", string>;

/** The page. */
export const eventsPage: Page = {
  path: EVENTS,
  summary: "Events: who sends them, which subscriptions take them and how deliveries go, and the newest events",
  navigation: { order: 55, label: "Events", needs: listAsked.name },
  async open(visit) {
    const view: View = {
      space: visit.parameter("space").trim(),
      type: visit.parameter("type").trim(),
      before: visit.parameter("before"),
    };
    const { space, type, before } = view;
    const narrowed = { ...(space && { space }), ...(type && { types: [type] }), ...(before && { before }) };
    const [list, topology, log, { name, members }] = await Promise.all([
      visit.tryAsk(listAsked, { limit: PAGE, ...narrowed }),
      visit.ask(topologyAsked, space === "" ? {} : { space }),
      visit.may(logAsked.name, "fleet") ? visit.tryAsk(logAsked) : undefined,
      visit.frame(),
    ]);
    // Only where the log cannot be asked the rest of the page says something of its own.
    if (list instanceof Fault && list.code !== "event_log_unavailable") throw list;
    return {
      title: `Events: ${name}`,
      // Events are in no feed of changes: the page is fetched again with every tick, and when a target changes.
      follows: { prefix: "fleet/event-targets/" },
      body: <Events list={list} topology={topology} log={log} view={view} members={members} nowMs={visit.nowMs} />,
    };
  },
};

interface EventsProps {
  list: List | Fault;
  topology: Topology;
  /** What readers of the space fleet see of the log. */
  log: z.output<typeof logAsked.output> | Fault | undefined;
  view: View;
  members: Named;
  nowMs: number;
}

function Events({ list, topology, log, view, members, nowMs }: EventsProps) {
  return (
    <div class="columns">
      <div class="wide">
        <ListCard id="events" title="Events" filter={<Narrow view={view} />}>
          {list instanceof Fault ? (
            <Refused fault={list} />
          ) : (
            <EventTable list={list} view={view} members={members} nowMs={nowMs} />
          )}
        </ListCard>
        <Card id="subscriptions" title="Subscriptions">
          <Subscriptions topology={topology} members={members} />
        </Card>
      </div>
      <div class="side">
        <Card id="senders" title="Senders">
          <Senders topology={topology} members={members} />
        </Card>
        <Card id="targets" title="Targets">
          <Targets topology={topology} />
        </Card>
        <Card id="log" title="Log">
          <LogPlace topology={topology} log={log} />
        </Card>
      </div>
    </div>
  );
}

function Narrow({ view }: Pick<EventsProps, "view">) {
  return (
    <Filter action={EVENTS}>
      <FilterText name="space" label="Only events of this space" value={view.space} placeholder="space" max={200} />
      <FilterText
        name="type"
        label="Only events of this type"
        value={view.type}
        placeholder="type, such as build.*"
        max={256}
      />
    </Filter>
  );
}

interface TableProps extends Omit<EventsProps, "topology" | "log" | "list"> {
  list: List;
}

function EventTable({ list: { events, cursor, more }, view, members, nowMs }: TableProps) {
  if (events.length === 0) return <p class="empty">There is no such event that you may read.</p>;
  return (
    <>
      <ListTable columns={["Event", ["Sender", "wider"], ["When", "end"]]}>
        {events.map((event) => (
          <tr>
            <td>
              <Words text={event.type} />{" "}
              <span class="tag">
                <Words text={event.cairnspace} />
              </span>{" "}
              {event.subject === undefined ? null : <Words text={event.subject} />}
              <p class="quiet">
                <Words text={dataText(event)} />
              </p>
            </td>
            <td class="wider author">
              <Words text={event.cairnagent ?? nameText(event.cairncaller, members)} />
            </td>
            <td class="end">
              <Ago time={event.cairntime} nowMs={nowMs} />
            </td>
          </tr>
        ))}
      </ListTable>
      <PageLinks
        of="events"
        byAge
        first={view.before === "" ? undefined : address(EVENTS, { ...view, before: "" })}
        next={more ? address(EVENTS, { ...view, before: cursor }) : undefined}
      />
    </>
  );
}

function dataText({ data, data_base64 }: List["events"][number]): string {
  if (data_base64 !== undefined) return `bytes: ${data_base64.slice(0, MAX_DATA)}`;
  const text = data === undefined ? "" : typeof data === "string" ? data : JSON.stringify(data);
  const characters = [...text.slice(0, 2 * MAX_DATA)];
  return characters.length <= MAX_DATA ? characters.join("") : `${characters.slice(0, MAX_DATA - 1).join("")}…`;
}

function Subscriptions({ topology, members }: Pick<EventsProps, "topology" | "members">) {
  if (topology.subscriptions.length === 0) return <p class="empty">Nothing that you may see is subscribed.</p>;
  return (
    <>
      <div class="wider">
        <TopologyPicture topology={topology} />
      </div>
      <ListTable
        columns={["Subscription", ["Owner", "wider"], ["Failed", "number"], ["Dead", "number"], ["Behind", "end"]]}
      >
        {topology.subscriptions.map((each) => (
          <tr>
            <td>
              <Words text={each.id} />{" "}
              <span class={each.state === "failing" ? "pill failing" : "tag"}>
                {each.reason === undefined ? each.state : `${each.state}: ${each.reason}`}
              </span>
              <p class="quiet">
                to <Words text={each.target === "" ? each.kind : each.target} />, {each.delivered} delivered
              </p>
              {each.problem === undefined ? null : (
                <p class="quiet">
                  <Words text={each.problem} />
                </p>
              )}
            </td>
            <td class="wider author">
              <Words text={nameText(each.owner, members)} />
            </td>
            <td class="number">{each.failed}</td>
            <td class="number">{each.dead_letters}</td>
            <td class="end">{behindText(each)}</td>
          </tr>
        ))}
      </ListTable>
    </>
  );
}

function behindText({ behind, lag_seconds: lag }: Topology["subscriptions"][number]): string {
  if (lag === undefined) return `${behind} (lag unknown)`;
  return behind === 0 ? "0" : `${behind} (${spanText(lag * 1000)})`;
}

/** Where the log of events is. */
function LogPlace({ topology: { log: place }, log }: Pick<EventsProps, "topology" | "log">) {
  const { move, stream, waiting = 0 } = log instanceof Fault ? {} : (log ?? {});
  return (
    <>
      <p>
        {place.kind === "fleet" ? "In the fleet" : "In NATS JetStream"}{" "}
        <span class={place.reached ? "tag" : "pill failing"}>
          {place.reached ? "reached" : "cannot be reached now"}
        </span>
      </p>
      <p class="quiet">
        {place.durability}
        {stream === undefined ? "" : `, ${stream}`}
      </p>
      {waiting === 0 ? null : <p class="quiet">{counted(waiting, "event")} of Cairn itself not in it yet</p>}
      {move === undefined ? null : <p class="quiet">Moving to {progressText(move, log)}</p>}
    </>
  );
}

function progressText({ to, state, copied }: Move, log: EventsProps["log"]): string {
  const all = log === undefined || log instanceof Fault ? undefined : log.events;
  const place = to === "fleet" ? "the fleet" : "NATS JetStream";
  return copied === undefined ? `${place}: ${state}` : `${place}: ${state}, ${copied} of ${all} copied`;
}

function Senders({ topology: { senders, looked_at }, members }: Pick<EventsProps, "topology" | "members">) {
  if (senders.length === 0) return <p class="empty">No event that you may read is kept.</p>;
  return (
    <>
      <ul class="rows">
        {senders.map(({ name, space, events }) => (
          <li>
            <Words text={nameText(name, members)} />{" "}
            <span class="tag">
              <Words text={space} />
            </span>{" "}
            {events}
          </li>
        ))}
      </ul>
      <p class="quiet">Of the newest {counted(looked_at, "event")}.</p>
    </>
  );
}

function Targets({ topology: { targets } }: Pick<EventsProps, "topology">) {
  if (targets.length === 0) return <p class="empty">No target that you may see is declared.</p>;
  return (
    <ul class="rows">
      {targets.map(({ name, kind, health, subscriptions }) => (
        <li>
          <Words text={name} /> <span class={health === "failing" ? "pill failing" : "tag"}>{health}</span>{" "}
          <span class="quiet">
            {kind}, {subscriptions === 1 ? "1 subscription" : `${subscriptions} subscriptions`}
          </span>
        </li>
      ))}
    </ul>
  );
}
