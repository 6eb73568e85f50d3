// The page of one message: its text in any version, its history with diffs, and who acknowledged it.
/** @jsxImportSource hono/jsx */

import type { z } from "zod";
import { Fault } from "../../../lib/fault.ts";
import type { Page } from "../../../operation/page.ts";
import { Card } from "../../../page/card.tsx";
import { DiffLines, unifiedKind } from "../../../page/diff.tsx";
import { Ago, type Named, Refused } from "../../../page/text.tsx";
import { Who } from "../../../page/who.tsx";
import { Written } from "../../../page/written.tsx";
import { messageDiff } from "../diff.ts";
import { messageGet } from "../get.ts";
import { MESSAGE, type MessageView, messageLink, SESSIONS, sessionLink } from "./links.ts";
import { MessageHead } from "./message.tsx";

/** The page. */
export const messagePage: Page = {
  path: MESSAGE,
  summary: "One message: its whole text, its versions and diffs, who acknowledged it",
  within: SESSIONS,
  async open(visit) {
    const end = visit.rest.lastIndexOf("/");
    const which = { session: visit.rest.slice(0, Math.max(0, end)), message: visit.rest.slice(end + 1) };
    const view = { version: visit.parameter("version"), from: visit.parameter("from"), to: visit.parameter("to") };
    const { version, from, to } = view;
    const [got, diff, { name, members }] = await Promise.all([
      visit.ask(messageGet, { ...which, ...(version && { version: wholeNumber(version) }) }),
      from === ""
        ? undefined
        : visit.tryAsk(messageDiff, { ...which, from: wholeNumber(from), ...(to && { to: wholeNumber(to) }) }),
      visit.frame(),
    ]);
    return {
      title: `${got.message} in ${got.session}: ${name}`,
      follows: { id: got.session },
      body: <Message got={got} diff={diff} view={view} members={members} nowMs={visit.nowMs} />,
    };
  },
};

/** Returns the number that a text is. Any other text is returned as it is, so that the operation refuses it. */
function wholeNumber(text: string): number | string {
  return /^[0-9]{1,15}$/.test(text) ? Number(text) : text;
}

interface MessageProps {
  got: z.infer<typeof messageGet.output>;
  diff: z.infer<typeof messageDiff.output> | Fault | undefined;
  view: MessageView;
  members: Named;
  nowMs: number;
}

function Message({ got, diff, view, members, nowMs }: MessageProps) {
  const { session, message, removed, text } = got;
  return (
    <>
      <div class="title">
        <p class="crumb">
          <a href={SESSIONS}>Sessions</a> <span aria-hidden="true">/</span>{" "}
          <a href={sessionLink(session, {}, message)}>{session}</a>
        </p>
        <h1 class="id">{message}</h1>
        <MessageHead message={got} members={members} nowMs={nowMs} />
      </div>
      {diff === undefined ? null : (
        <section class="card" aria-labelledby="diff-title">
          <div class="head">
            <h2 id="diff-title">
              Changes from {view.from} to {diff instanceof Fault ? view.to : diff.to}
            </h2>
            <a href={messageLink(session, message)}>close</a>
          </div>
          {diff instanceof Fault ? (
            <Refused fault={diff} />
          ) : (
            <DiffLines lines={diff.diff.replace(/\n$/, "").split("\n")} kindOf={unifiedKind} />
          )}
        </section>
      )}
      <div class="columns">
        <section class="card" aria-labelledby="text-title">
          <div id="text" data-part>
            <div class="head">
              <h2 id="text-title">{view.version ? `Text of version ${view.version}` : "Text"}</h2>
              {view.version ? <a href={messageLink(session, message)}>newest</a> : null}
            </div>
            {removed === undefined ? <Written text={text} /> : <p class="empty">{removed}</p>}
          </div>
        </section>
        <div class="side">
          <Card id="history" title="History">
            <Versions got={got} nowMs={nowMs} />
          </Card>
          <Card id="acks" title="Acknowledged by">
            <Acknowledged got={got} members={members} nowMs={nowMs} />
          </Card>
        </div>
      </div>
    </>
  );
}

function Versions({ got: { session, message, versions, removed }, nowMs }: Pick<MessageProps, "got" | "nowMs">) {
  return (
    <ol class="history">
      {versions.toReversed().map(({ version, at }) => {
        const number = String(version);
        const isKept = removed === undefined;
        return (
          <li>
            <span class="number">
              {isKept ? <a href={messageLink(session, message, { version: number })}>{number}</a> : number}
            </span>
            <span>
              <Ago time={at} nowMs={nowMs} />
            </span>
            <span class="quiet end">{removed ?? (version === 1 ? "posted" : "edited")}</span>
            <span class="end">
              {isKept && version > 1 ? (
                <a
                  href={messageLink(session, message, { from: String(version - 1), to: number })}
                  aria-label={`Changes of version ${number}`}
                >
                  diff
                </a>
              ) : null}
            </span>
          </li>
        );
      })}
    </ol>
  );
}

function Acknowledged({
  got: { acked_by, ack_wanted },
  members,
  nowMs,
}: Pick<MessageProps, "got" | "members" | "nowMs">) {
  if (acked_by.length === 0)
    return <p class="empty">{ack_wanted === true ? "Nobody yet." : "No acknowledgement is wanted."}</p>;
  return (
    <ul class="rows">
      {acked_by.map(({ author, agent, at }) => (
        <li>
          <Who author={author} agent={agent} members={members} /> <Ago time={at} nowMs={nowMs} />
        </li>
      ))}
    </ul>
  );
}
