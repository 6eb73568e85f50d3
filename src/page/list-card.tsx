// The card of a page that is one list: its heading with the form that narrows it, and below it what is exchanged.
/** @jsxImportSource hono/jsx */

import type { Child } from "hono/jsx";

/** `id` is unique on its page; `filter` stands beside the heading. */
export function ListCard({
  id,
  title,
  filter,
  children,
}: {
  id: string;
  title: string;
  filter: Child;
  children?: Child;
}) {
  return (
    <section class="card" aria-labelledby={`${id}-title`}>
      <div class="head">
        <h1 id={`${id}-title`}>{title}</h1>
        {filter}
      </div>
      <div id={id} data-part>
        {children}
      </div>
    </section>
  );
}
