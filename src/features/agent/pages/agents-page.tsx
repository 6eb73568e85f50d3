// The page of agents: who works on what now, and the roster.
/** @jsxImportSource hono/jsx */

import type { z } from "zod";
import type { Page } from "../../../operation/page.ts";
import { address } from "../../../page/address.ts";
import { Card } from "../../../page/card.tsx";
import { Filter, FilterText } from "../../../page/filter.tsx";
import { ListTable } from "../../../page/list-table.tsx";
import { PageLinks } from "../../../page/page-links.tsx";
import { Ago, type Named, nameText, Words } from "../../../page/text.tsx";
import { agentList } from "../list.ts";
import { type Worker, Working, workersFor } from "./working.tsx";

const AGENTS = "/ui/agents";
/** Agents on one page of the roster. */
const PAGE = 100;

/** The page. */
export const agentsPage: Page = {
  path: AGENTS,
  summary: "Agents: who works on what now, and the roster with types, callers and when each wrote last",
  navigation: { order: 60, label: "Agents", needs: agentList.name },
  async open(visit) {
    const view = { caller: visit.parameter("caller").trim(), cursor: visit.parameter("cursor") };
    const narrowed = { ...(view.caller && { caller: view.caller }), ...(view.cursor && { cursor: view.cursor }) };
    const [roster, workers, { name, members }] = await Promise.all([
      visit.ask(agentList, { limit: PAGE, ...narrowed }),
      workersFor(visit),
      visit.frame(),
    ]);
    return {
      title: `Agents: ${name}`,
      follows: {},
      body: <Agents roster={roster} workers={workers} view={view} members={members} nowMs={visit.nowMs} />,
    };
  },
};

interface AgentsProps {
  roster: z.infer<typeof agentList.output>;
  workers: readonly Worker[];
  view: { caller: string; cursor: string };
  members: Named;
  nowMs: number;
}

function Agents({ roster, workers, view, members, nowMs }: AgentsProps) {
  return (
    <div class="wide">
      <h1 class="hidden">Agents</h1>
      <Card id="working" title="Who works on what now">
        {workers.length === 0 ? (
          <p class="empty">No agent says that it works on something, and no lease that you may see is held.</p>
        ) : (
          <Working workers={workers} members={members} nowMs={nowMs} />
        )}
      </Card>
      <section class="card" aria-labelledby="roster-title">
        <div class="head">
          <h2 id="roster-title">Agents of the fleet</h2>
          <Narrow caller={view.caller} />
        </div>
        <div id="roster" data-part>
          <Roster roster={roster} view={view} members={members} nowMs={nowMs} />
        </div>
      </section>
    </div>
  );
}

function Narrow({ caller }: { caller: string }) {
  return (
    <Filter action={AGENTS}>
      <FilterText
        name="caller"
        label="Only agents of this caller"
        value={caller}
        placeholder="caller, as whoami writes it"
        max={256}
      />
    </Filter>
  );
}

function Roster({ roster: { agents, cursor }, view, members, nowMs }: Omit<AgentsProps, "workers">) {
  if (agents.length === 0)
    return <p class="empty">{view.caller === "" ? "No agent is registered yet." : "This caller has no agent."}</p>;
  return (
    <>
      <ListTable columns={["Agent", ["Caller", "wider"], ["Wrote last", "end"]]}>
        {agents.map((agent) => (
          <tr>
            <td>
              <strong>
                <Words text={agent.name} />
              </strong>{" "}
              {agent.type === "" ? null : (
                <span class="tag">
                  <Words text={agent.type} />
                </span>
              )}
              {agent.doing === undefined ? null : (
                <div class="quiet about">
                  <Words text={agent.doing} />
                </div>
              )}
              <div class="about narrow">
                of <Words text={nameText(agent.caller, members)} />
              </div>
            </td>
            <td class="author wider">
              <a href={address(AGENTS, { caller: agent.caller })}>
                <Words text={nameText(agent.caller, members)} />
              </a>
              {agent.via === "" ? null : (
                <span class="quiet">
                  {" "}
                  via <Words text={nameText(agent.via, members)} />
                </span>
              )}
            </td>
            <td class="end">
              <Ago time={agent.seen_at} nowMs={nowMs} />
            </td>
          </tr>
        ))}
      </ListTable>
      <PageLinks
        of="roster"
        first={view.cursor === "" ? undefined : address(AGENTS, { caller: view.caller })}
        next={cursor === undefined ? undefined : address(AGENTS, { caller: view.caller, cursor })}
      />
    </>
  );
}
