// The page of the store: how it grew, as a chart and as the table that the chart is drawn from.
/** @jsxImportSource hono/jsx */

import type { z } from "zod";
import { sizeText } from "../../lib/byte-size.ts";
import type { Page } from "../../operation/page.ts";
import { ListTable } from "../../page/list-table.tsx";

import { storeGrowth } from "../growth.ts";

/** Path of the page. */
export const STORE = "/ui/store";

/** The page. */
export const storePage: Page = {
  path: STORE,
  summary: "The store: how it grew, and its size; for readers of all spaces",
  within: "/",
  async open(visit) {
    const [growth, { name }] = await Promise.all([visit.ask(storeGrowth), visit.frame()]);
    return { title: `Store: ${name}`, follows: {}, charts: true, body: <Store growth={growth} /> };
  },
};

function Store({ growth: { points, bytes } }: { growth: z.infer<typeof storeGrowth.output> }) {
  const grouped = new Intl.NumberFormat("en");
  return (
    <section class="card" aria-labelledby="store-title">
      <h1 id="store-title">Growth of the store</h1>
      <figure class="chart" data-chart="growth" aria-hidden="true" />
      <div id="growth" data-part>
        {points.length === 0 ? (
          <p class="empty">Nothing has been written yet.</p>
        ) : (
          <>
            <p>
              {grouped.format(points.at(-1)?.changes ?? 0)} changes so far; the file has {sizeText(bytes)}.
            </p>
            <details>
              <summary>As a table</summary>
              <ListTable columns={["Time", ["Changes so far", "number"]]}>
                {points.map(({ time, changes }) => (
                  <tr>
                    <td>
                      <time datetime={time}>{time.slice(0, 19).replace("T", " ")}</time>
                    </td>
                    <td class="number" data-value={changes}>
                      {grouped.format(changes)}
                    </td>
                  </tr>
                ))}
              </ListTable>
            </details>
          </>
        )}
      </div>
    </section>
  );
}
