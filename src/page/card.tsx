// A titled card whose content the page's script exchanges when it differs.
/** @jsxImportSource hono/jsx */

import type { Child } from "hono/jsx";

/** `id` is unique on its page. */
export function Card({ id, title, children }: { id: string; title: string; children?: Child }) {
  return (
    <section class="card" aria-labelledby={`${id}-title`}>
      <h2 id={`${id}-title`}>{title}</h2>
      <div id={id} data-part>
        {children}
      </div>
    </section>
  );
}
