// The list of contexts, on the overview and as a page: filter, table, pages.
/** @jsxImportSource hono/jsx */

import type { Child } from "hono/jsx";
import { z } from "zod";
import { sizeText } from "../../../lib/byte-size.ts";
import { Fault } from "../../../lib/fault.ts";
import type { Follows, Page, Section, Visit } from "../../../operation/page.ts";
import { Filter, FilterText } from "../../../page/filter.tsx";
import { ListTable } from "../../../page/list-table.tsx";
import { PageLinks } from "../../../page/page-links.tsx";
import { Ago, type Named, Refused, Words } from "../../../page/text.tsx";
import { Who } from "../../../page/who.tsx";
import { contextList } from "../list-contexts.ts";
import { metadata } from "../rows.ts";
import { contextLink, LIST, type ListFilter, listLink } from "./links.ts";
import { Tags } from "./tags.tsx";

/** Contexts on one page of the list. */
const PAGE = 50;

const listedWhole = metadata.extend({ looks_like: z.array(z.string()).optional() });

/** Without `fields` a list has all fields of each context. */
const wholeList = { name: contextList.name, output: contextList.output.extend({ contexts: z.array(listedWhole) }) };

type List = z.infer<typeof wholeList.output>;

/** The list on the overview. */
export const contextSection: Section = {
  column: "wide",
  order: 20,
  heading: "Contexts",
  async show(visit) {
    const { follows, ...props } = await listFor(visit);
    return { follows, body: <ContextList {...props} heading={<h2 id="contexts-title">Contexts</h2>} /> };
  },
};

/** The list. */
export const contextListPage: Page = {
  path: LIST,
  summary: "Contexts: by id, prefix and tag",
  navigation: { order: 20, label: "Contexts", needs: contextList.name },
  async open(visit) {
    const [{ name }, { follows, ...props }] = await Promise.all([visit.frame(), listFor(visit)]);
    return {
      title: `Contexts: ${name}`,
      follows,
      body: <ContextList {...props} heading={<h1 id="contexts-title">Contexts</h1>} />,
    };
  },
};

async function listFor(visit: Visit): Promise<Omit<ListProps, "heading"> & { follows: Follows }> {
  const filter = { prefix: visit.parameter("prefix"), tag: visit.parameter("tag"), cursor: visit.parameter("cursor") };
  const { prefix, tag, cursor } = filter;
  const narrowed = { ...(prefix && { prefix }), ...(tag && { tag }), ...(cursor && { cursor }) };
  const [list, { members }] = await Promise.all([visit.tryAsk(wholeList, { limit: PAGE, ...narrowed }), visit.frame()]);
  // An invalid filter fails the whole page; a missing right or an unreachable node fails only this part.
  if (list instanceof Fault && list.code !== "forbidden" && list.code !== "unavailable") throw list;
  return { list, filter, members, nowMs: visit.nowMs, follows: prefix === "" ? {} : { prefix } };
}

interface ListProps {
  list: List | Fault;
  filter: Required<ListFilter>;
  members: Named;
  nowMs: number;
  heading: Child;
}

function ContextList({ list, filter, members, nowMs, heading }: ListProps) {
  return (
    <section class="card" aria-labelledby="contexts-title">
      <div class="head">
        {heading}
        <Search filter={filter} />
      </div>
      {filter.tag === "" ? null : (
        <p>
          Tag{" "}
          <span class="tag">
            <Words text={filter.tag} />
          </span>{" "}
          <a href={listLink({ prefix: filter.prefix })}>all tags</a>
        </p>
      )}
      <div id="contexts" data-part>
        {list instanceof Fault ? (
          <Refused fault={list} />
        ) : (
          <Contexts list={list} filter={filter} members={members} nowMs={nowMs} />
        )}
      </div>
    </section>
  );
}

function Search({ filter }: Pick<ListProps, "filter">) {
  return (
    <Filter action={LIST}>
      <FilterText
        name="prefix"
        label="Only ids that start with"
        value={filter.prefix}
        placeholder="prefix, such as team-a/"
        max={256}
      />
      {filter.tag === "" ? null : <input type="hidden" name="tag" value={filter.tag} />}
    </Filter>
  );
}

function Contexts({ list, filter, members, nowMs }: Omit<ListProps, "heading"> & { list: List }) {
  if (list.contexts.length === 0) {
    const narrowed = filter.prefix !== "" || filter.tag !== "" || filter.cursor !== "";
    return (
      <p class="empty">{narrowed ? "No context matches." : "No context that you may read has been written yet."}</p>
    );
  }
  return (
    <>
      <ListTable
        columns={["Context", ["Version", "number"], ["Size", "number wider"], ["Author", "wider"], ["Written", "end"]]}
      >
        {list.contexts.map((context) => (
          <Row context={context} members={members} nowMs={nowMs} />
        ))}
      </ListTable>
      <PageLinks
        of="list"
        first={filter.cursor === "" ? undefined : listLink({ ...filter, cursor: "" })}
        next={list.cursor === undefined ? undefined : listLink({ ...filter, cursor: list.cursor })}
      />
    </>
  );
}

interface RowProps extends Pick<ListProps, "members" | "nowMs"> {
  context: List["contexts"][number];
}

function Row({ context, members, nowMs }: RowProps) {
  return (
    <tr>
      <td>
        <a class="id" href={contextLink(context.id)}>
          <Words text={context.id} />
        </a>
        {context.looks_like === undefined ? null : (
          <div class="quiet about">
            looks like <Words text={context.looks_like.join(", ")} />, and is another
          </div>
        )}
        {context.visibility === undefined ? null : (
          <>
            {" "}
            <span class="tag">{context.visibility.replace("_", " ")}</span>
          </>
        )}
        {context.superseded_by === undefined ? null : (
          <div class="quiet about">
            superseded by{" "}
            {context.superseded_by.map((id) => (
              <a href={contextLink(id)}>
                <Words text={id} />{" "}
              </a>
            ))}
          </div>
        )}
        {context.title === "" && context.tags.length === 0 ? null : (
          <div class="quiet about">
            <Words text={context.title} /> <Tags tags={context.tags} />
          </div>
        )}
      </td>
      <td class="number">{context.version}</td>
      <td class="number wider">{sizeText(context.size)}</td>
      <td class="wider author">
        <Who author={context.author} agent={context.agent} members={members} />
      </td>
      <td class="end">
        <Ago time={context.updated_at} nowMs={nowMs} />
      </td>
    </tr>
  );
}
