// The list of contexts on the page at /: filter, table, pages.
/** @jsxImportSource hono/jsx */

import { Fault } from "../lib/fault.ts";
import type { Shown } from "./ask.ts";
import { contextLink, listLink } from "./links.ts";
import { Ago, type Named, nameText, Refused, sizeText, Words } from "./text.tsx";

export interface ListFilter {
  prefix: string;
  tag: string;
  cursor: string;
}

interface ListProps {
  list: Shown<"context_list"> | Fault;
  filter: ListFilter;
  members: Named;
  nowMs: number;
}

export function ContextList({ list, filter, members, nowMs }: ListProps) {
  return (
    <section class="card" aria-labelledby="contexts-title">
      <div class="head">
        <h2 id="contexts-title">Contexts</h2>
        <search>
          <form method="get" action="/" class="filter">
            <label>
              <span class="hidden">Only ids that start with</span>
              <input
                type="search"
                name="prefix"
                value={filter.prefix}
                placeholder="prefix, such as team-a/"
                maxlength={256}
              />
            </label>
            {filter.tag === "" ? null : <input type="hidden" name="tag" value={filter.tag} />}
            <button type="submit">Filter</button>
          </form>
        </search>
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
          <ContextTable list={list} filter={filter} members={members} nowMs={nowMs} />
        )}
      </div>
    </section>
  );
}

function ContextTable({ list, filter, members, nowMs }: ListProps & { list: Shown<"context_list"> }) {
  if (list.contexts.length === 0) {
    const narrowed = filter.prefix !== "" || filter.tag !== "" || filter.cursor !== "";
    return (
      <p class="empty">{narrowed ? "Nothing here matches." : "Nothing has been written yet that you may read."}</p>
    );
  }
  return (
    <>
      <table class="list">
        <thead>
          <tr>
            <th scope="col">Context</th>
            <th scope="col" class="number">
              Version
            </th>
            <th scope="col" class="number wider">
              Size
            </th>
            <th scope="col" class="wider">
              Author
            </th>
            <th scope="col" class="end">
              Written
            </th>
          </tr>
        </thead>
        <tbody>
          {list.contexts.map((context) => (
            <tr>
              <td>
                <a class="id" href={contextLink(context.id)}>
                  {context.id}
                </a>
                {context.title === "" && context.tags.length === 0 ? null : (
                  <div class="quiet about">
                    <Words text={context.title} /> <Tags tags={context.tags} />
                  </div>
                )}
              </td>
              <td class="number">{context.version}</td>
              <td class="number wider">{sizeText(context.size)}</td>
              <td class="wider author">
                <Words text={nameText(context.author, members)} />
              </td>
              <td class="end">
                <Ago time={context.updated_at} nowMs={nowMs} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      <nav class="pages" aria-label="Pages of the list">
        {filter.cursor === "" ? null : <a href={listLink({ ...filter, cursor: "" })}>First page</a>}
        {list.cursor === undefined ? null : <a href={listLink({ ...filter, cursor: list.cursor })}>Next page</a>}
      </nav>
    </>
  );
}

/** Tags as links to what else has them. */
export function Tags({ tags }: { tags: readonly string[] }) {
  return (
    <>
      {tags.map((tag) => (
        <>
          <a class="tag" href={listLink({ tag })}>
            <Words text={tag} />
          </a>{" "}
        </>
      ))}
    </>
  );
}
