// The audit: who changed what and when, and the calls that this node refused, for operators.
/** @jsxImportSource hono/jsx */

import type { z } from "zod";
import { counted } from "../../../lib/counted.ts";
import type { Page } from "../../../operation/page.ts";
import { Services } from "../../../operation/services.ts";
import { address } from "../../../page/address.ts";
import { ListTable } from "../../../page/list-table.tsx";
import { PageLinks } from "../../../page/page-links.tsx";
import { Ago, type Named, nameText, Words } from "../../../page/text.tsx";
import { Who } from "../../../page/who.tsx";
import { auditQuery } from "../audit-query.ts";
import { contextLink } from "./links.ts";

const AUDIT = "/ui/audit";
/** Rows on one page. */
const PAGE = 100;
const FILTERS = ["caller", "operation", "prefix", "since", "until"] as const;

const asked = auditQuery(new Services());

type Audit = z.infer<typeof asked.output>;
type View = Record<(typeof FILTERS)[number] | "cursor", string>;

/** The page. */
export const auditPage: Page = {
  path: AUDIT,
  summary: "The audit: changes by caller, operation, target and time, and refused calls; for operators",
  navigation: { order: 70, label: "Audit", needs: asked.name },
  async open(visit) {
    const named = [...FILTERS, "cursor"].map((name) => [name, visit.parameter(name).trim()] as const);
    const given = Object.fromEntries(named.filter(([, value]) => value !== ""));
    const [audit, { name, members }] = await Promise.all([visit.ask(asked, { limit: PAGE, ...given }), visit.frame()]);
    return {
      title: `Audit: ${name}`,
      ...(given["cursor"] === undefined ? { follows: {} } : {}),
      body: <AuditView audit={audit} view={Object.fromEntries(named) as View} members={members} nowMs={visit.nowMs} />,
    };
  },
};

interface AuditProps {
  audit: Audit;
  view: View;
  members: Named;
  nowMs: number;
}

function AuditView({ audit, view, members, nowMs }: AuditProps) {
  return (
    <div class="wide">
      <section class="card" aria-labelledby="audit-title">
        <div class="head">
          <h1 id="audit-title">Audit</h1>
        </div>
        <Filter view={view} />
        <div id="changes" data-part>
          <Changes audit={audit} view={view} members={members} nowMs={nowMs} />
        </div>
      </section>
      {view.cursor === "" ? (
        <section class="card" aria-labelledby="refusals-title">
          <h2 id="refusals-title">Calls that this node refused</h2>
          <div id="refusals" data-part>
            <Refusals audit={audit} members={members} nowMs={nowMs} />
          </div>
        </section>
      ) : null}
    </div>
  );
}

function Filter({ view }: Pick<AuditProps, "view">) {
  const field = (name: (typeof FILTERS)[number], label: string, placeholder: string) => (
    <label>
      {label}
      <input name={name} value={view[name]} placeholder={placeholder} maxlength={256} />
    </label>
  );
  return (
    <search>
      <form method="get" action={AUDIT} class="fields">
        {field("caller", "Caller", "user:ann@example.com")}
        {field("operation", "Operation", "context_put")}
        {field("prefix", "Target starts with", "team-a/")}
        {field("since", "Since", "2026-01-31T12:00:00Z")}
        {field("until", "Until", "2026-02-01T12:00:00Z")}
        <button type="submit">Filter</button>
      </form>
    </search>
  );
}

function Changes({ audit: { rows, cursor }, view, members, nowMs }: AuditProps) {
  if (rows.length === 0) return <p class="empty">No change that you may see matches.</p>;
  return (
    <>
      <ListTable columns={["What", ["Who", "wider"], ["When", "end"]]}>
        {rows.map((row) => (
          <tr>
            <td>
              <Target row={row} />
              <div class="quiet about">
                <a class="quiet" href={address(AUDIT, { operation: row.operation })}>
                  {row.operation}
                </a>
                {row.outcome === "" ? null : (
                  <>
                    , <Words text={row.outcome} />
                  </>
                )}
                {row.operation.startsWith("context_") && row.version > 0 ? `, version ${row.version}` : null}
                {row.via === "" ? null : (
                  <>
                    , via <Words text={nameText(row.via, members)} />
                  </>
                )}
                {row.client === undefined ? null : (
                  <>
                    , said by the client: <Words text={row.client} />
                  </>
                )}
              </div>
              <div class="about narrow">
                <Who author={row.caller} agent={row.agent} members={members} />
              </div>
            </td>
            <td class="wider author">
              <Who author={row.caller} agent={row.agent} members={members} />
            </td>
            <td class="end">
              <Ago time={row.time} nowMs={nowMs} />
            </td>
          </tr>
        ))}
      </ListTable>
      <PageLinks
        of="audit"
        first={view.cursor === "" ? undefined : address(AUDIT, { ...view, cursor: "" })}
        next={cursor === undefined ? undefined : address(AUDIT, { ...view, cursor })}
        byAge
      />
    </>
  );
}

/** What was changed, as a link to its page where it has one; else to its changes alone. */
function Target({ row: { operation, target } }: { row: Audit["rows"][number] }) {
  if (target === "") return <span class="id">{operation}</span>;
  const path = target.split("/").map(encodeURIComponent).join("/");
  const href = operation.startsWith("context_")
    ? contextLink(target)
    : /(?:^|\/)session_[0-9a-f]{16}$/.test(target)
      ? `/ui/sessions/${path}`
      : address(AUDIT, { prefix: target });
  return (
    <a class="id" href={href}>
      <Words text={target} />
    </a>
  );
}

function Refusals({ audit: { refusals }, members, nowMs }: Omit<AuditProps, "view">) {
  if (refusals.length === 0) return <p class="empty">None that matches.</p>;
  return (
    <ul class="rows">
      {refusals.map((row) => (
        <li>
          <strong>
            <Words text={nameText(row.caller, members)} />
          </strong>{" "}
          may not {row.verb} in{" "}
          <code>
            <Words text={row.space} />
          </code>
          <p class="quiet about">
            <Words text={row.operation} />, {counted(row.count, "time")} <Ago time={row.time} nowMs={nowMs} />
            {row.client === undefined ? null : (
              <>
                , said by the client: <Words text={row.client} />
              </>
            )}
          </p>
        </li>
      ))}
    </ul>
  );
}
