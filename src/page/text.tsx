// Text by callers as it is safe to look at: escaped by hono/jsx, invisible and reordering characters shown, each piece
// kept from reordering its neighbours. And times, sizes and names in words.
/** @jsxImportSource hono/jsx */

import type { Fault } from "../lib/fault.ts";
import { printableParts } from "../lib/printable.ts";
import { spanText } from "../lib/span-text.ts";

/** Text by callers. `block` keeps line ends; elsewhere they are shown as escapes, since one line is meant. */
export function Words({ text, block = false }: { text: string; block?: boolean }) {
  const plain = block ? text.replaceAll("\r\n", "\n") : text.replaceAll("\n", "\\n").replaceAll("\t", "\\t");
  const parts = printableParts(plain).map((part) =>
    part.escaped ? (
      <b class="odd" title="A character that would be invisible, or change the order of the text">
        {part.text}
      </b>
    ) : (
      part.text
    ),
  );
  return <bdi>{parts}</bdi>;
}

/** A time (ISO 8601) as how long ago it was, with the exact time as a tooltip. */
export function Ago({ time, nowMs }: { time: string; nowMs: number }) {
  return (
    <time datetime={time} title={time}>
      {agoText(nowMs - Date.parse(time))}
    </time>
  );
}

/** Returns `5 min ago` for a span in ms, and `now` below a second. */
export function agoText(spanMs: number): string {
  const text = spanText(spanMs);
  return text === "0 s" ? "now" : `${text} ago`;
}

/** In place of a part: why it is not shown. */
export function Refused({ fault }: { fault: Fault }) {
  return (
    <p class="empty">
      <Words text={fault.message} />
    </p>
  );
}

/** Members of the fleet, by StableNodeID. */
export type Named = readonly { node: string; name: string }[];

/** Returns an author as people write it: without `user:`, and members by their names. */
export function nameText(author: string, members: Named): string {
  const plain = author.replace(/^user:/, "");
  const known = members.find(({ node }) => plain.endsWith(`@${node}`) || plain === `node:${node}` || plain === node);
  return known === undefined ? plain : plain.replace(known.node, () => known.name);
}
