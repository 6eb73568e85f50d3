// The timeline of a session: who wrote when, of the messages on the page. The messages beside it say the same in words.
/** @jsxImportSource hono/jsx */

import { counted } from "../../../lib/counted.ts";
import { type Lane, Lanes, type Mark } from "../../../page/lanes.tsx";
import { Ago, type Named } from "../../../page/text.tsx";
import { Who } from "../../../page/who.tsx";
import type { ShownMessage } from "../shown.ts";

/** Most lanes; those who wrote least share the last one. */
const MAX_LANES = 8;

interface TimelineProps {
  messages: readonly ShownMessage[];
  members: Named;
  nowMs: number;
}

/** From the first message on the page to the last. */
export function Timeline({ messages, members, nowMs }: TimelineProps) {
  const times = messages.map(({ posted_at }) => Date.parse(posted_at));
  if (times.length < 2) return <p class="empty">It begins with the second message.</p>;
  const byAuthor = [...Map.groupBy(messages, ({ author, agent = "" }) => JSON.stringify([author, agent])).values()];
  byAuthor.sort((one, other) => other.length - one.length);
  const few = byAuthor.length > MAX_LANES ? byAuthor.slice(MAX_LANES - 1).flat() : [];
  const own = few.length === 0 ? byAuthor : byAuthor.slice(0, MAX_LANES - 1);
  const lanes = own.map((said) => laneOf(said, { members, nowMs }));
  if (few.length > 0) lanes.push({ label: `${byAuthor.length - own.length} others`, marks: few.map(markOf) });
  return (
    <>
      <Lanes lanes={lanes} fromMs={Math.min(...times)} toMs={Math.max(...times)} nowMs={nowMs} />
      <p class="legend quiet" aria-hidden="true">
        <span class="asked">question or plan</span> <span class="decided">answer or decision</span>{" "}
        <span class="plain">other</span>
      </p>
    </>
  );
}

function laneOf(said: readonly ShownMessage[], { members, nowMs }: Pick<TimelineProps, "members" | "nowMs">): Lane {
  const [first] = said;
  const last = said.at(-1);
  return {
    label: (
      <>
        <Who author={first?.author ?? ""} agent={first?.agent} members={members} />{" "}
        <span class="quiet about">
          {counted(said.length, "message")}, last <Ago time={last?.posted_at ?? ""} nowMs={nowMs} />
        </span>
      </>
    ),
    marks: said.map(markOf),
  };
}

function markOf({ posted_at, message, kind }: ShownMessage): Mark {
  const mark = { atMs: Date.parse(posted_at), href: `#${message}` };
  if (kind === "question" || kind === "plan") return { ...mark, kind: "asked" };
  return kind === "answer" || kind === "decision" ? { ...mark, kind: "decided" } : mark;
}
