// The cache of an edge on the page at /: whether it is fresh, what it keeps, and how reads were answered. Other nodes have none.
/** @jsxImportSource hono/jsx */

import { Fault } from "../lib/fault.ts";
import type { Shown } from "./ask.ts";
import { Words } from "./text.tsx";

type Report = NonNullable<Shown<"node_status">["cache"]>;

export function Cache({ status }: { status: Shown<"node_status"> | Fault }) {
  if (status instanceof Fault || status.cache === undefined) return null;
  const upstream = status.members.find(({ node }) => node === status.cache?.upstream)?.name ?? status.cache.upstream;
  return (
    <section class="card" aria-labelledby="cache-title">
      <h2 id="cache-title">Cache</h2>
      <div id="cache" data-part>
        <p>
          {upstream === null ? (
            <strong>No full node in reach</strong>
          ) : (
            <span>
              Follows <Words text={upstream} />
            </span>
          )}{" "}
          <span class="quiet">{freshText(status.cache)}</span>
        </p>
        <p class="quiet">
          <Words text={spacesText(status.cache)} />
        </p>
        <p class="quiet">{keptText(status.cache)}</p>
        <p class="quiet">{answersText(status.cache)}</p>
      </div>
    </section>
  );
}

function freshText({ fresh, age_seconds }: Report): string {
  if (age_seconds === null) return "nothing is known yet";
  return fresh ? `fresh, at most ${age_seconds} s old` : `not fresh: may be ${age_seconds} s old`;
}

function spacesText({ spaces, stale_spaces }: Report): string {
  const kept = spaces.includes("*") ? "every space" : spaces.join(", ");
  const stale = stale_spaces.length === 0 ? "none" : stale_spaces.join(", ");
  return `keeps ${kept === "" ? "no space yet" : kept}; may be served stale: ${stale}`;
}

function keptText({ entries, bytes, max_bytes, disk_bytes, evictions }: Report): string {
  const share = Math.round((100 * bytes) / max_bytes);
  return `${entries} documents in memory (${share} % of the room), ${disk_bytes} bytes kept over a restart, ${evictions} made room for others`;
}

function answersText({ hits, misses, stale, revalidated }: Report): string {
  return `${hits} hits, ${misses} misses, ${revalidated} revalidated, ${stale} stale`;
}
