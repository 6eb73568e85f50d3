// The list of sessions, with a form that begins one.
/** @jsxImportSource hono/jsx */

import type { z } from "zod";
import type { Page } from "../../../operation/page.ts";
import { address } from "../../../page/address.ts";
import { Filter, FilterState, FilterText } from "../../../page/filter.tsx";
import { FormKey } from "../../../page/form-key.tsx";
import { ListCard } from "../../../page/list-card.tsx";
import { ListTable } from "../../../page/list-table.tsx";
import { PageLinks } from "../../../page/page-links.tsx";
import { Ago, type Named, nameText, Words } from "../../../page/text.tsx";
import { MAX_PURPOSE } from "../arguments.ts";
import { sessionCreate } from "../create.ts";
import { sessionList } from "../list.ts";
import { type ListView, listLink, SESSIONS, sessionLink } from "./links.ts";

/** Sessions on one page of the list. */
const PAGE = 50;

type List = z.infer<typeof sessionList.output>;

/** The list. */
export const sessionListPage: Page = {
  path: SESSIONS,
  summary: "Sessions: what they are for, how many messages they have, and a form that begins one",
  navigation: { order: 10, label: "Sessions", needs: sessionList.name },
  async open(visit) {
    const view = {
      space: visit.parameter("space"),
      state: visit.parameter("state"),
      cursor: visit.parameter("cursor"),
    };
    const { space, state, cursor } = view;
    const narrowed = { ...(space && { space }), ...(state && { state }), ...(cursor && { cursor }) };
    const [list, { name, members }] = await Promise.all([
      visit.ask(sessionList, { limit: PAGE, ...narrowed }),
      visit.frame(),
    ]);
    return {
      title: `Sessions: ${name}`,
      follows: space === "" ? {} : { prefix: space === "default" ? "session_" : `${space}/session_` },
      body: <Sessions list={list} view={view} members={members} nowMs={visit.nowMs} />,
    };
  },
  forms: {
    create: {
      operation: sessionCreate.name,
      label: "Begin",
      fields: ["purpose", "space"],
      known: () => ({}),
      input: ({ purpose = "", space = "" }) => ({ purpose, ...(space === "" ? {} : { space }) }),
      next: ({ session }) => sessionLink(String(session)),
    },
  },
};

interface SessionsProps {
  list: List;
  view: Required<ListView>;
  members: Named;
  nowMs: number;
}

function Sessions({ list, view, members, nowMs }: SessionsProps) {
  return (
    <div class="columns">
      <div class="wide">
        <ListCard id="sessions" title="Sessions" filter={<Narrow view={view} />}>
          <Table list={list} view={view} members={members} nowMs={nowMs} />
        </ListCard>
      </div>
      <div class="side">
        <section class="card" aria-labelledby="begin-title">
          <h2 id="begin-title">Begin a session</h2>
          <form method="post" action={address(SESSIONS, { form: "create" })} class="compose">
            <FormKey />
            <label>
              What it is for
              <input name="purpose" required maxlength={MAX_PURPOSE} />
            </label>
            <label>
              Space
              <input name="space" value={view.space} placeholder="default" maxlength={200} />
            </label>
            <button type="submit">Begin</button>
          </form>
        </section>
      </div>
    </div>
  );
}

function Narrow({ view }: Pick<SessionsProps, "view">) {
  return (
    <Filter action={SESSIONS}>
      <FilterText name="space" label="Only sessions of this space" value={view.space} placeholder="space" max={200} />
      <FilterState value={view.state} any="open and closed" states={["open", "closed"]} />
    </Filter>
  );
}

function Table({ list, view, members, nowMs }: SessionsProps) {
  if (list.sessions.length === 0) return <p class="empty">There is no such session that you may read.</p>;
  return (
    <>
      <ListTable columns={["Session", ["Begun by", "wider"], ["Messages", "number"], ["Last", "end"]]}>
        {list.sessions.map((each) => (
          <tr>
            <td>
              <a href={sessionLink(each.session)}>
                <Words text={each.purpose === "" ? each.session : each.purpose} />
              </a>{" "}
              <span class="tag">
                <Words text={each.space} />
              </span>{" "}
              {each.state === "closed" ? <span class="tag">closed</span> : null}
            </td>
            <td class="wider author">
              <Words text={each.agent ?? nameText(each.author, members)} />
            </td>
            <td class="number">{each.message_count}</td>
            <td class="end">
              <Ago time={each.last_at ?? each.created_at} nowMs={nowMs} />
            </td>
          </tr>
        ))}
      </ListTable>
      <PageLinks
        of="list"
        first={view.cursor === "" ? undefined : listLink({ ...view, cursor: "" })}
        next={list.cursor === undefined ? undefined : listLink({ ...view, cursor: list.cursor })}
      />
    </>
  );
}
