// The cache of an edge on the overview: whether it is fresh, what it keeps, how reads were met. Other nodes have none.
/** @jsxImportSource hono/jsx */

import { counted } from "../../lib/counted.ts";
import { Fault } from "../../lib/fault.ts";
import type { Section } from "../../operation/page.ts";
import { Card } from "../../page/card.tsx";
import { Words } from "../../page/text.tsx";
import type { CacheReport } from "../cache-report.ts";
import { NODE_STATUS } from "../node-status.ts";

/** The cache. */
export const cacheSection: Section = {
  column: "side",
  order: 20,
  async show(visit) {
    const status = await visit.tryAsk(NODE_STATUS);
    if (status instanceof Fault || status.cache === undefined) return { body: null };
    const { cache, members } = status;
    const upstream = members.find(({ node }) => node === cache.upstream)?.name ?? cache.upstream;
    return { body: <Cache cache={cache} upstream={upstream} /> };
  },
};

/** `upstream` is the name of the node that is followed. */
function Cache({ cache, upstream }: { cache: CacheReport; upstream: string | null }) {
  return (
    <Card id="cache" title="Cache">
      <p>
        {upstream === null ? (
          <strong>No full node reachable</strong>
        ) : (
          <span>
            Follows <Words text={upstream} />
          </span>
        )}{" "}
        <span class="quiet">{freshText(cache)}</span>
      </p>
      <p class="quiet">
        <Words text={spacesText(cache)} />
      </p>
      <p class="quiet">{keptText(cache)}</p>
      <p class="quiet">{answersText(cache)}</p>
    </Card>
  );
}

function freshText({ fresh, age_seconds }: CacheReport): string {
  if (age_seconds === null) return "nothing is known yet";
  return fresh ? `fresh, at most ${age_seconds} s old` : `not fresh: may be ${age_seconds} s old`;
}

function spacesText({ spaces, stale_spaces }: CacheReport): string {
  const kept = spaces.includes("*") ? "every space" : spaces.join(", ");
  const stale = stale_spaces.length === 0 ? "none" : stale_spaces.join(", ");
  return `keeps ${kept === "" ? "no space yet" : kept}; may be served stale: ${stale}`;
}

function keptText({ entries, bytes, max_bytes, disk_bytes, evictions }: CacheReport): string {
  const share = Math.round((100 * bytes) / max_bytes);
  return [
    `${counted(entries, "document")} in memory (${share} % of the room)`,
    `${counted(disk_bytes, "byte")} kept over a restart`,
    `${evictions} made room for others`,
  ].join(", ");
}

function answersText({ hits, misses, stale, revalidated }: CacheReport): string {
  return `${counted(hits, "hit")}, ${counted(misses, "miss", "misses")}, ${revalidated} revalidated, ${stale} stale`;
}
